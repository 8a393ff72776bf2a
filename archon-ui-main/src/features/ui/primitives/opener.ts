import { useRef } from "react";

/**
 * Where the focus goes when a dialog closes: back to what opened it. Radix knows only openers that are its own triggers;
 * ours open because of what a page knows.
 */
export function useOpener(open: boolean) {
  const opener = useRef<HTMLElement | null>(null);
  const was = useRef(false);
  // While it is drawn: a field inside may take the focus as soon as it is on the page.
  if (open && !was.current) opener.current = focused();
  was.current = open;
  return {
    onCloseAutoFocus: (event: Event) => {
      if (!opener.current?.isConnected) return;
      event.preventDefault();
      opener.current.focus();
    },
  };
}

/** What has the focus; for an entry of a menu, which is gone soon, the menu's button. */
function focused(): HTMLElement | null {
  const active = document.activeElement;
  const button = active?.closest("[role=menu]")?.getAttribute("aria-labelledby");
  const found = button ? document.getElementById(button) : active;
  return found instanceof HTMLElement ? found : null;
}
