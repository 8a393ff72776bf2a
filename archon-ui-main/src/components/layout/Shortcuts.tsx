import { useEffect, useState } from "react";
import { useNavigate } from "react-router-dom";
import { useCommands } from "@/features/shared/hooks/useCommands";
import { useStored } from "@/features/shared/hooks/useStored";
import { Dialog, Key, Switch } from "@/features/ui/primitives";
import { PATHS } from "@/paths";
import { NAVIGATION } from "@/routes";

const PAGES: [keys: string, what: string][] = [
  ["Ctrl/⌘ K", "Find anything"],
  ["c", "New work order"],
  ["/", "Find on this page"],
  ["j k", "Next, previous row"],
  ["Enter", "Open the row"],
  ["x", "Select the row"],
  ["1 – 4", "Parts of a work order"],
  ["f", "Follow the transcript, or stop following"],
  ["End", "Latest line of the transcript"],
  ["e", "Next error in the transcript"],
  ["m", "Write to the agent"],
  ["Ctrl/⌘ Enter", "File, or send"],
];

/** Whether the key was pressed where text is written. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName) || target.role === "combobox")
  );
}

/** Single keys that go somewhere, and the list of all of them. They can be switched off (WCAG 2.1.4). */
export function Shortcuts() {
  const navigate = useNavigate();
  const [open, setOpen] = useState(false);
  const [enabled, setEnabled] = useStored("local", "archon-single-keys", true);
  useCommands([
    { id: "keys", group: "You", label: "Keys, and switching single keys off", keys: "?", run: () => setOpen(true) },
  ]);

  useEffect(() => {
    let going = 0;
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event)) return;
      if (event.key === "?") return setOpen(true);
      if (!enabled || document.querySelector('[role="dialog"],[role="alertdialog"],[role="menu"]')) return;
      if (event.key === "g") {
        going = event.timeStamp;
        return;
      }
      const page = event.timeStamp - going < 1500 && NAVIGATION.find(({ key }) => key === event.key);
      going = 0;
      if (page) navigate(page.path);
      else if (event.key === "c") navigate(PATHS.newWorkOrder);
      else if (event.key === "/") document.querySelector<HTMLElement>("[data-find]")?.focus();
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [enabled, navigate]);

  return (
    <Dialog open={open} onOpenChange={setOpen} title="Keys">
      <label htmlFor="single-keys" className="flex items-center justify-between gap-4">
        Single keys
        <Switch id="single-keys" checked={enabled} onCheckedChange={setEnabled} />
      </label>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-2">
        {NAVIGATION.map(({ key, label }) => (
          <Row key={key} keys={`g ${key}`} what={label} />
        ))}
        {PAGES.map(([keys, what]) => (
          <Row key={keys} keys={keys} what={what} />
        ))}
      </dl>
    </Dialog>
  );
}

function Row({ keys, what }: { keys: string; what: string }) {
  return (
    <>
      <dt>
        <Key>{keys}</Key>
      </dt>
      <dd>{what}</dd>
    </>
  );
}
