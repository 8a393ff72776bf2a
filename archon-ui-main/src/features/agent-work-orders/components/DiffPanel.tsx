import { useQuery } from "@tanstack/react-query";
import { defaultRangeExtractor, useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { workOrderKeys } from "../hooks/keys";
import { useComments } from "../hooks/useComments";
import { Button, cn, count, Empty, Problem, plural, Skeleton, useMediaQuery, useStored, useToast } from "../host";
import { asApiError } from "../services/client";
import type { highlight as Highlight } from "../services/highlight";
import { workOrderService } from "../services/workOrderService";
import type { BranchDiff, FileChange } from "../types";
import {
  type DiffLine,
  type DiffPair,
  fingerprint,
  hiddenBecause,
  hunksOf,
  type LineComment,
  languageOf,
  pairsOf,
} from "../utils/diff";
import { CommentDrawer } from "./CommentDrawer";
import { DiffFileHead, DiffFiles } from "./DiffFiles";
import { CommentBox, DiffPairLine, DiffRowLine } from "./DiffLine";

interface DiffPanelProps {
  orderId: string;
  /** The commit that the change was last saved at: another one is another diff. */
  version: string;
  onSend: (text: string) => Promise<void>;
}

export type DiffRow =
  | { row: "file"; key: string; file: FileChange; at: number }
  | { row: "hidden"; key: string; file: FileChange; why: string }
  | { row: "hunk"; key: string; title: string; file: FileChange }
  | { row: "line"; key: string; lines: DiffLine[]; pair: DiffPair | null; file: FileChange };

/** The branch against its base, file by file; comments on lines become one message to the agent. */
export default function DiffPanel({ orderId, version, onSend }: DiffPanelProps) {
  const query = useQuery({
    queryKey: workOrderKeys.diff(orderId, version),
    queryFn: ({ signal }) => workOrderService.diff(orderId, signal),
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: (before) => before,
    retry: false,
  });
  if (query.data) {
    if (query.data.files.length === 0) return <Empty title="Nothing differs from the base yet" />;
    return <Diff orderId={orderId} diff={query.data} onSend={onSend} />;
  }
  if (query.error) {
    const told = asApiError(query.error);
    if (told.status === 404) return <Empty title="There is no change yet">{told.message}</Empty>;
    return (
      <Problem
        className="m-3"
        message={told.message}
        nextAction={told.nextAction}
        onRetry={() => void query.refetch()}
      />
    );
  }
  return <Skeleton lines={6} className="m-3 h-8" />;
}

const NO_NAMES: string[] = [];

function Diff({
  orderId,
  diff,
  onSend,
}: {
  orderId: string;
  diff: BranchDiff;
  onSend: (text: string) => Promise<void>;
}) {
  const wide = useMediaQuery("(min-width: 1024px)");
  const roomy = useMediaQuery("(min-width: 1280px)");
  const [splitWanted, setSplitWanted] = useStored("local", "awo-diff-split", false);
  const split = roomy && splitWanted;
  const scroller = useRef<HTMLElement>(null);
  const [shownByHand, setShownByHand] = useState<ReadonlySet<string>>(new Set());
  const [viewed, setViewed] = useStored<string[]>("local", `awo-viewed:${orderId}`, NO_NAMES);
  const [commenting, setCommenting] = useState<string | null>(null);
  const { comments, put, remove, clear } = useComments(orderId);
  const { showToast } = useToast();
  const highlight = useHighlight();

  const marks = useMemo(
    () => new Map(diff.files.map((file) => [file.path, `${file.path}@${fingerprint(file.patch ?? file.status)}`])),
    [diff],
  );
  const isViewed = (file: FileChange) => viewed.includes(marks.get(file.path) ?? "");
  const rows = useMemo(
    () => rowsOf(diff.files, shownByHand, (file) => viewed.includes(marks.get(file.path) ?? ""), split),
    [diff, shownByHand, viewed, marks, split],
  );
  const heads = useMemo(() => rows.flatMap((row, at) => (row.row === "file" ? [at] : [])), [rows]);
  const getItemKey = useCallback((at: number) => rows[at]?.key ?? at, [rows]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (at) => (rows[at]?.row === "line" ? 24 : rows[at]?.row === "hunk" ? 28 : 44),
    getItemKey,
    overscan: 12,
    // The head of the file that one reads stays on top.
    rangeExtractor: (range) => {
      const head = heads.findLast((at) => at <= range.startIndex) ?? 0;
      return [...new Set([head, ...defaultRangeExtractor(range)])];
    },
  });
  const items = virtual.getVirtualItems();
  const stickyAt =
    heads.findLast((at) => (virtual.measurementsCache[at]?.start ?? 0) <= (virtual.scrollOffset ?? 0)) ?? 0;

  const toggleViewed = (file: FileChange) => {
    const mark = marks.get(file.path) ?? "";
    setViewed(isViewed(file) ? viewed.filter((one) => one !== mark) : [...viewed, mark].slice(-500));
  };
  const show = (path: string) => setShownByHand((before) => new Set(before).add(path));
  const goTo = (path: string) => {
    const at = rows.findIndex((row) => row.row === "file" && row.file.path === path);
    if (at >= 0) virtual.scrollToIndex(at, { align: "start" });
  };
  const commentsOf = (key: string) => comments.filter((comment) => keyOf(comment) === key);
  const send = async (text: string) => {
    await onSend(text);
    clear();
    showToast(`${plural(comments.length, "comment")} sent as one message.`, "success");
  };

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className={cn("flex min-h-0 flex-1 flex-col", !split && "lg:flex-row")}>
        <DiffFiles
          diff={diff}
          wide={wide && !split}
          isViewed={isViewed}
          onGo={goTo}
          split={split}
          onSplit={roomy ? setSplitWanted : null}
        />
        <section
          ref={scroller}
          aria-label="Changed lines"
          tabIndex={0}
          className="min-h-0 min-w-0 flex-1 overflow-auto contain-strict focus-visible:-outline-offset-2"
        >
          <div className="relative min-w-full" style={{ height: virtual.getTotalSize() }}>
            {items.map((item) => {
              const row = rows[item.index];
              if (!row) return null;
              const sticky = item.index === stickyAt;
              return (
                <div
                  key={item.key}
                  ref={virtual.measureElement}
                  data-index={item.index}
                  className={cn("inset-x-0 top-0", sticky ? "sticky z-10" : "absolute")}
                  style={sticky ? undefined : { transform: `translateY(${item.start}px)` }}
                >
                  {row.row === "file" && (
                    <DiffFileHead file={row.file} viewed={isViewed(row.file)} onViewed={() => toggleViewed(row.file)} />
                  )}
                  {row.row === "hidden" && (
                    <p className="flex items-center gap-3 bg-card px-3 py-2 text-muted">
                      Not shown: {row.why}.
                      {row.file.patch && (
                        <Button size="small" onClick={() => show(row.file.path)}>
                          Show it
                        </Button>
                      )}
                    </p>
                  )}
                  {row.row === "hunk" && (
                    <p className="truncate bg-sunk px-3 py-1 font-mono text-code text-muted">⋯ {row.title}</p>
                  )}
                  {row.row === "line" && (
                    <>
                      {row.pair ? (
                        <DiffPairLine
                          pair={row.pair}
                          language={languageOf(row.file.path)}
                          highlight={highlight}
                          onComment={(line) => setCommenting(lineKey(row.file.path, line))}
                        />
                      ) : (
                        row.lines.map((line) => (
                          <DiffRowLine
                            key={row.key}
                            line={line}
                            language={languageOf(row.file.path)}
                            highlight={highlight}
                            onComment={() => setCommenting(row.key)}
                          />
                        ))
                      )}
                      {row.lines.map((line) => {
                        const key = lineKey(row.file.path, line);
                        const old = commentsOf(key)[0];
                        if (commenting !== key && !old) return null;
                        return (
                          <CommentBox
                            key={old?.id ?? `new ${key}`}
                            text={old?.text ?? ""}
                            editing={commenting === key}
                            onEdit={() => setCommenting(key)}
                            onSave={(text) => {
                              put({ ...commentOn(row.file, line), text, ...(old ? { id: old.id } : {}) });
                              setCommenting(null);
                            }}
                            onCancel={() => setCommenting(null)}
                            onRemove={() => {
                              if (old) remove(old.id);
                              setCommenting(null);
                            }}
                          />
                        );
                      })}
                    </>
                  )}
                </div>
              );
            })}
          </div>
        </section>
      </div>
      <CommentDrawer
        comments={comments}
        isThere={(comment) => isThere(rows, comment)}
        onRemove={remove}
        onSend={send}
      />
      <p className="sr-only" role="status">
        {count(diff.files.length)} files, {count(diff.additions)} lines added, {count(diff.deletions)} deleted
      </p>
    </div>
  );
}

function rowsOf(
  files: FileChange[],
  byHand: ReadonlySet<string>,
  isViewed: (file: FileChange) => boolean,
  split: boolean,
): DiffRow[] {
  const rows: DiffRow[] = [];
  files.forEach((file, at) => {
    rows.push({ row: "file", key: `f:${file.path}`, file, at });
    if (isViewed(file)) return;
    const why = byHand.has(file.path) ? null : hiddenBecause(file);
    if (why !== null) {
      rows.push({ row: "hidden", key: `x:${file.path}`, file, why });
      return;
    }
    hunksOf(file.patch ?? "").forEach((hunk, number) => {
      rows.push({ row: "hunk", key: `h:${file.path}:${number}`, title: hunk.title, file });
      for (const pair of split ? pairsOf(hunk.lines) : hunk.lines.map(alone)) rows.push(lineRow(file, pair, split));
    });
  });
  return rows;
}

const alone = (line: DiffLine): DiffPair =>
  line.kind === "minus" ? { before: line, after: null } : { before: null, after: line };

function lineRow(file: FileChange, pair: DiffPair, split: boolean): DiffRow {
  const both = pair.before && pair.before !== pair.after ? [pair.before, pair.after] : [pair.after];
  const lines = both.filter((line) => line !== null);
  const key = lines.map((line) => lineKey(file.path, line)).join(" ");
  return { row: "line", key, lines, pair: split ? pair : null, file };
}

const lineKey = (path: string, line: DiffLine): string =>
  line.kind === "minus" ? `before:${line.before}:${path}` : `after:${line.after}:${path}`;
const keyOf = (comment: LineComment): string => `${comment.side}:${comment.line}:${comment.path}`;

function commentOn(file: FileChange, line: DiffLine): Omit<LineComment, "id" | "text"> {
  return line.kind === "minus"
    ? { path: file.path, side: "before", line: line.before ?? 0, lineText: line.text }
    : { path: file.path, side: "after", line: line.after ?? 0, lineText: line.text };
}

/** Whether the line is still what it was when somebody wrote to it. */
const isThere = (rows: DiffRow[], comment: LineComment): boolean =>
  rows.some(
    (row) =>
      row.row === "line" &&
      row.lines.some((line) => lineKey(row.file.path, line) === keyOf(comment) && line.text === comment.lineText),
  );

/** Colours come after the text: their chunk is loaded when the first diff is. */
function useHighlight(): typeof Highlight | null {
  const [loaded, setLoaded] = useState<{ highlight: typeof Highlight } | null>(null);
  useEffect(() => {
    let here = true;
    void import("../services/highlight").then((module) => here && setLoaded(module)).catch(() => undefined);
    return () => {
      here = false;
    };
  }, []);
  return loaded?.highlight ?? null;
}
