import { defaultRangeExtractor, useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { type FindState, useFind } from "../hooks/useFind";
import { useFollow } from "../hooks/useFollow";
import { Button, cn, count, Empty, Problem, Skeleton } from "../host";
import type { JournalState } from "../services/journal";
import { fold, isBad, keyOf, type ShownRow } from "../utils/transcript";
import { FindBar } from "./FindBar";
import { TextSheet, type WholeText } from "./TextSheet";
import { TranscriptRow } from "./TranscriptRow";

interface TranscriptPanelProps {
  orderId: string;
  journal: JournalState & { reload: () => void };
  grows: boolean;
  /** Only this step's lines; null for all. */
  step: number | null;
  /** A line to show, and a number that changes whenever it is asked for anew. */
  goTo: { seq: number; times: number } | null;
}

/** Everything that happened, as it happens: followed, or read in peace. */
export function TranscriptPanel({ orderId, journal, grows, step, goTo }: TranscriptPanelProps) {
  const scroller = useRef<HTMLElement>(null);
  const [toggled, setToggled] = useState<ReadonlyMap<number, boolean>>(new Map());
  const [marked, setMarked] = useState<number | null>(null);
  const [whole, setWhole] = useState<WholeText | null>(null);
  const find = useFind(journal.rows, step);
  const { following, pause, resume, toEnd } = useFollow(scroller, goTo === null);

  const openGroups = useMemo(
    () => new Set([...toggled].filter(([key, open]) => open && key < 0).map(([key]) => -key)),
    [toggled],
  );
  const shown = useMemo(
    () => fold(find.rows, find.filtered ? 0 : journal.openedAt, openGroups),
    [find.rows, find.filtered, journal.openedAt, openGroups],
  );
  const focused = useRef<number | null>(null);
  // Another function would have all rows measured anew at every frame.
  const getItemKey = useCallback((index: number) => keyAt(shown, index), [shown]);
  const virtual = useVirtualizer({
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: (index) => estimate(shown[index]),
    getItemKey,
    overscan: 12,
    // What has the focus stays on the page: else the focus would fall out of it.
    rangeExtractor: (range) => {
      const indexes = defaultRangeExtractor(range);
      const kept = focused.current;
      if (kept === null || kept >= shown.length || indexes.includes(kept)) return indexes;
      return [...indexes, kept].sort((a, b) => a - b);
    },
  });
  const total = virtual.getTotalSize();

  // biome-ignore lint/correctness/useExhaustiveDependencies: whatever makes it longer moves the end
  useLayoutEffect(() => {
    if (following) toEnd();
  }, [following, total, shown.length, toEnd]);

  useHeldPlace(scroller, virtual, shown, journal.first, following);

  const jump = useCallback(
    (seq: number) => {
      const at = indexOfSeq(shown, seq);
      if (at < 0) return false;
      pause();
      const row = shown[at];
      if (row?.row === "group") setToggled((before) => new Map(before).set(keyOf(row), true));
      setMarked(seq);
      virtual.scrollToIndex(at, { align: "center" });
      return true;
    },
    [shown, pause, virtual],
  );

  // A line may be asked for before it has arrived.
  const reached = useRef(0);
  useEffect(() => {
    if (goTo && reached.current !== goTo.times && jump(goTo.seq)) reached.current = goTo.times;
  }, [goTo, jump]);
  const current = find.current?.event.seq;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only another match is worth a jump
  useEffect(() => {
    if (current !== undefined) jump(current);
  }, [current, find.turn]);

  const onToggle = useCallback(
    (key: number, open: boolean) => {
      pause();
      setToggled((before) => new Map(before).set(key, open));
    },
    [pause],
  );
  const closeWhole = useCallback(() => setWhole(null), []);
  const nextBad = () => {
    const from = marked ?? 0;
    const bad = shown.find((row) => row.event.seq > from && isBad(row)) ?? shown.find(isBad);
    if (bad) jump(bad.event.seq);
  };
  const press = (event: KeyboardEvent) => {
    if (event.target instanceof HTMLInputElement) return;
    if ((event.key === "f" && (event.ctrlKey || event.metaKey)) || event.key === "/") find.focus();
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (event.key === "f") following ? pause() : resume();
    else if (event.key === "End" || event.key === "G") resume();
    else if (event.key === "e") nextBad();
    else return;
    event.preventDefault();
  };

  const unseen = useUnseen(journal.last, following);
  const items = virtual.getVirtualItems();
  const first = items[0]?.start ?? 0;

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys that work wherever the focus is in here
    <div className="relative flex min-h-0 flex-1 flex-col" onKeyDown={press}>
      <FindBar find={find} onNextBad={nextBad} onPause={pause} />
      {journal.error && (
        <Problem
          className="m-2"
          message={journal.error.message}
          nextAction={journal.error.nextAction}
          onRetry={journal.reload}
        />
      )}
      {journal.loading && journal.last === 0 && <Skeleton lines={4} className="m-2 h-8" />}
      {!journal.loading && journal.rows.length > 0 && shown.length === 0 && (
        <Empty title="No line is like this" action={<Button onClick={find.clear}>Show all lines</Button>} />
      )}
      <section
        ref={scroller}
        role="log"
        aria-live="off"
        aria-label="Transcript"
        tabIndex={0}
        className="min-h-0 flex-1 overflow-auto overscroll-contain contain-strict bg-card [overflow-anchor:none] focus-visible:-outline-offset-2"
        onFocus={(event) => {
          const index = event.target.closest("[data-index]")?.getAttribute("data-index");
          focused.current = index ? Number(index) : null;
        }}
        onBlur={() => {
          focused.current = null;
        }}
      >
        <div className="relative w-full" style={{ height: total }}>
          {/* Moved by `top`: rows that stay keep their place in what is painted, and a transform would paint all anew. */}
          <div
            // What passes under a resting pointer is not pointed at; while it follows it moves always, and can be clicked.
            className={cn("absolute inset-x-0", virtual.isScrolling && !following && "pointer-events-none")}
            style={{ top: first }}
          >
            {items.map((item) => {
              const row = shown[item.index];
              if (!row) return null;
              return (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  // The one that is kept for its focus stands out of the row.
                  className={item.index === focused.current && isApart(items, item.index) ? "sr-only" : undefined}
                >
                  <TranscriptRow
                    row={row}
                    open={toggled.get(keyOf(row)) ?? isBad(row)}
                    marked={row.event.seq === marked}
                    onToggle={onToggle}
                    onWhole={setWhole}
                  />
                </div>
              );
            })}
          </div>
        </div>
      </section>
      {grows && !following && (
        <div className="pointer-events-none absolute inset-x-0 bottom-2 flex justify-center">
          <Button variant="primary" size="small" className="pointer-events-auto" onClick={resume}>
            Paused{unseen > 0 && ` · ${count(unseen)} new`}
            <ArrowDown size={14} aria-hidden />
          </Button>
        </div>
      )}
      {grows && following && (
        <span className="pointer-events-none absolute right-4 bottom-2 sm:top-3.5 sm:bottom-auto rounded-md bg-card px-2 py-0.5 text-muted text-xs">
          Following
        </span>
      )}
      <TextSheet orderId={orderId} whole={whole} onClose={closeWhole} />
    </div>
  );
}

export type { FindState };

function isApart(items: { index: number }[], index: number): boolean {
  return !items.some((item) => item.index === index - 1) && !items.some((item) => item.index === index + 1);
}

const keyAt = (rows: readonly ShownRow[], index: number): number => {
  const row = rows[index];
  return row ? keyOf(row) : index;
};

/**
 * A guess by the text; the browser's measure takes its place as soon as the row is on the page. The better the guess,
 * the less is put right while one scrolls upwards.
 */
function estimate(row: ShownRow | undefined): number {
  if (row?.row === "note") return 28;
  if (row?.row !== "text") return row?.row === "step" && row.event.kind === "step_started" ? 40 : 32;
  row.guess ||= heightOf(row.event.payload.text);
  return row.guess;
}

/** Of Markdown in the column that it is shown in: lines of prose wrap, empty ones part paragraphs, code is denser. */
function heightOf(text: string): number {
  let height = 20;
  let code = false;
  for (const line of text.split("\n")) {
    const fence = line.startsWith("```");
    if (fence) code = !code;
    if (fence || line === "") height += 8;
    else height += code ? 20 : 24 * Math.ceil(line.length / 88);
  }
  return height;
}

/** The row that holds the event: the last one that does not begin after it. */
function indexOfSeq(rows: readonly ShownRow[], seq: number): number {
  let low = 0;
  let high = rows.length - 1;
  let found = -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if ((rows[middle] as ShownRow).event.seq <= seq) {
      found = middle;
      low = middle + 1;
    } else high = middle - 1;
  }
  return found;
}

/** Events since one stopped following. */
function useUnseen(last: number, following: boolean): number {
  const seen = useRef(last);
  if (following || seen.current === 0) seen.current = last;
  return last - seen.current;
}

/** Older lines come in above; the one under the eye stays where it is. */
function useHeldPlace(
  scroller: React.RefObject<HTMLElement | null>,
  virtual: ReturnType<typeof useVirtualizer<HTMLElement, Element>>,
  shown: readonly ShownRow[],
  first: number,
  following: boolean,
) {
  const held = useRef<{ first: number; key: number | null; offset: number }>({ first, key: null, offset: 0 });
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const before = held.current;
    if (!following && before.key !== null && first < before.first) {
      const at = shown.findIndex((row) => keyOf(row) === before.key);
      const start = virtual.measurementsCache[at]?.start;
      if (start !== undefined) element.scrollTop = start + before.offset;
    }
    // The element's own word would cost a layout at every frame.
    const at = virtual.scrollOffset ?? 0;
    const item = virtual.getVirtualItems().find((one) => one.end > at);
    held.current = { first, key: item ? Number(item.key) : null, offset: item ? at - item.start : 0 };
  });
}
