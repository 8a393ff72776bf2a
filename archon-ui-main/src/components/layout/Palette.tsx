import { Search } from "lucide-react";
import { lazy, Suspense, useEffect, useState } from "react";
import { Button } from "@/features/ui/primitives";

const CommandPalette = lazy(() => import("./CommandPalette"));
const OPEN = "archon-palette";

/** Opens the palette, wherever the wish comes from. */
export const openPalette = (): void => void window.dispatchEvent(new Event(OPEN));

/** The palette's button and its key. What is in it is loaded when it is opened for the first time. */
export function Palette() {
  const [open, setOpen] = useState(false);
  const [wanted, setWanted] = useState(false);
  useEffect(() => {
    const show = () => {
      setWanted(true);
      setOpen(true);
    };
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey)
        return;
      event.preventDefault();
      // A question that is open has to be answered first.
      if (open) setOpen(false);
      else if (!document.querySelector('[role="dialog"],[role="alertdialog"]')) show();
    };
    window.addEventListener("keydown", press);
    window.addEventListener(OPEN, show);
    return () => {
      window.removeEventListener("keydown", press);
      window.removeEventListener(OPEN, show);
    };
  }, [open]);
  return (
    <>
      <Button
        variant="ghost"
        size="icon"
        className="hidden sm:inline-flex"
        aria-label="Find anything"
        title="Find anything (Ctrl K)"
        aria-keyshortcuts="Control+K Meta+K"
        onClick={openPalette}
      >
        <Search size={18} aria-hidden />
      </Button>
      {wanted && (
        <Suspense fallback={null}>
          <CommandPalette open={open} onOpenChange={setOpen} />
        </Suspense>
      )}
    </>
  );
}
