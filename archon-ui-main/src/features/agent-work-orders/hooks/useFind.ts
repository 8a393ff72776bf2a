import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { useDebounced } from "../host";
import { isBad, type Row, searchText } from "../utils/transcript";

export type RowKind = "all" | "text" | "tool" | "bad" | "person";

export const ROW_KINDS: { value: RowKind; label: string }[] = [
  { value: "all", label: "Everything" },
  { value: "text", label: "What the agent said" },
  { value: "tool", label: "Tool calls" },
  { value: "person", label: "What people said" },
  { value: "bad", label: "What went wrong" },
];

const isOfKind = (row: Row, kind: RowKind): boolean =>
  kind === "all" ||
  (kind === "bad" ? isBad(row) : kind === "person" ? row.row === "note" && row.tone === "person" : row.row === kind);

// Lower-case copies, as large as the text itself: made at the first search, and dropped with the last.
let words = new WeakMap<Row, string>();
function wordsOf(row: Row): string {
  const known = words.get(row);
  if (known !== undefined) return known;
  const text = searchText(row);
  words.set(row, text);
  return text;
}

/** The rows of a step and kind, and where in them a text is found: in all of them, not in those on the page. */
export function useFind(all: readonly Row[], step: number | null) {
  const [text, setText] = useState("");
  const [kind, setKind] = useState<RowKind>("all");
  const [at, setAt] = useState(0);
  const [turn, setTurn] = useState(0);
  const input = useRef<HTMLInputElement>(null);
  const wanted = useDebounced(text.trim().toLowerCase(), 120);

  const filtered = kind !== "all" || step !== null;
  const rows = useMemo(
    () =>
      filtered ? all.filter((row) => isOfKind(row, kind) && (step === null || row.event.step_order === step)) : all,
    [all, filtered, kind, step],
  );
  const found = useMemo(() => (wanted ? rows.filter((row) => wordsOf(row).includes(wanted)) : []), [rows, wanted]);
  useEffect(() => {
    if (!wanted) words = new WeakMap();
  }, [wanted]);
  const place = found.length > 0 ? ((at % found.length) + found.length) % found.length : 0;

  const go = useCallback((by: number) => {
    setAt((before) => before + by);
    setTurn((before) => before + 1);
  }, []);
  const clear = useCallback(() => {
    setText("");
    setKind("all");
    setAt(0);
  }, []);
  return {
    rows,
    filtered,
    text,
    setText: (next: string) => {
      setText(next);
      setAt(0);
    },
    kind,
    setKind,
    found: found.length,
    place,
    current: found[place],
    turn,
    next: () => go(1),
    previous: () => go(-1),
    clear,
    input,
    focus: () => input.current?.focus(),
  };
}

export type FindState = ReturnType<typeof useFind>;
