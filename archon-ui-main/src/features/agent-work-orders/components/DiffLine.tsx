import { MessageSquarePlus } from "lucide-react";
import { Fragment, memo, type ReactNode, useState } from "react";
import { Button, cn, Textarea } from "../host";
import type { CodePiece, highlight as Highlight } from "../services/highlight";
import type { DiffLine, DiffPair } from "../utils/diff";

const GROUNDS = { same: "bg-card", plus: "bg-plus", minus: "bg-minus" };
const SIGNS = { same: " ", plus: "+", minus: "−" };
const WORDS = { same: "", plus: "added ", minus: "deleted " };

interface DiffRowLineProps {
  line: DiffLine;
  language: string | null;
  highlight: typeof Highlight | null;
  onComment: () => void;
}

// A line's colours are worked out once; the line goes, and they with it.
const known = new WeakMap<DiffLine, CodePiece[]>();

function piecesOf(line: DiffLine, language: string | null, highlight: typeof Highlight | null): CodePiece[] {
  if (!highlight || !language) return [{ text: line.text, className: "" }];
  const there = known.get(line);
  if (there) return there;
  const pieces = highlight(line.text, language);
  known.set(line, pieces);
  return pieces;
}

export const DiffRowLine = memo(function DiffRowLine({ line, language, highlight, onComment }: DiffRowLineProps) {
  return (
    <div
      className={cn(
        "group/line grid grid-cols-[2.5rem_2.5rem_1.5rem_minmax(0,1fr)] font-mono text-code leading-6 sm:grid-cols-[3rem_3rem_1.5rem_minmax(0,1fr)]",
        GROUNDS[line.kind],
      )}
    >
      <span aria-hidden className="select-none pr-2 text-right text-muted">
        {line.before}
      </span>
      <span aria-hidden className="select-none pr-2 text-right text-muted">
        {line.after}
      </span>
      <CommentButton line={line} onComment={onComment} />
      <span className="whitespace-pre-wrap break-all pr-2">
        {line.kind !== "same" && <span className="sr-only">{WORDS[line.kind]}</span>}
        {marked(piecesOf(line, language, highlight), line)}
      </span>
    </div>
  );
});

interface DiffPairLineProps extends Omit<DiffRowLineProps, "line" | "onComment"> {
  pair: DiffPair;
  onComment: (line: DiffLine) => void;
}

/** The same, with the old file on the left and the new one on the right. */
export const DiffPairLine = memo(function DiffPairLine({ pair, language, highlight, onComment }: DiffPairLineProps) {
  return (
    <div className="grid grid-cols-2 divide-x divide-line font-mono text-code leading-6">
      {(["before", "after"] as const).map((side) => {
        const line = pair[side];
        if (!line) return <span key={side} aria-hidden className="hatched bg-sunk" />;
        return (
          <div key={side} className={cn("group/line grid grid-cols-[3rem_1.5rem_minmax(0,1fr)]", GROUNDS[line.kind])}>
            <span aria-hidden className="select-none pr-2 text-right text-muted">
              {line[side]}
            </span>
            {/* An unchanged line is one line: it takes its comments on the right. */}
            {line.kind === "same" && side === "before" ? (
              <span />
            ) : (
              <CommentButton line={line} onComment={() => onComment(line)} />
            )}
            <span
              className="whitespace-pre-wrap break-all pr-2"
              aria-hidden={line.kind === "same" && side === "before"}
            >
              {line.kind !== "same" && <span className="sr-only">{WORDS[line.kind]}</span>}
              {marked(piecesOf(line, language, highlight), line)}
            </span>
          </div>
        );
      })}
    </div>
  );
});

function CommentButton({ line, onComment }: { line: DiffLine; onComment: () => void }) {
  return (
    <button
      type="button"
      onClick={onComment}
      aria-label={`Comment on ${WORDS[line.kind]}line ${line.after ?? line.before}`}
      className="relative h-6 text-center text-muted"
    >
      <span aria-hidden className="group-hover/line:invisible">
        {SIGNS[line.kind]}
      </span>
      <MessageSquarePlus
        size={14}
        aria-hidden
        className="invisible absolute inset-0 m-auto text-accent group-hover/line:visible group-focus-within/line:visible"
      />
    </button>
  );
}

/** The pieces, with the part that differs from the line's counterpart on a stronger ground. */
function marked(pieces: CodePiece[], line: DiffLine): ReactNode {
  const [from, to] = line.changed ?? [0, 0];
  const ground = line.kind === "plus" ? "bg-plus-word" : "bg-minus-word";
  let at = 0;
  return pieces.map((piece, index) => {
    const start = at;
    at += piece.text.length;
    const cuts = [0, from - start, to - start, piece.text.length].map((cut) =>
      Math.max(0, Math.min(piece.text.length, cut)),
    );
    return (
      // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one line never move
      <Fragment key={index}>
        {[0, 1, 2].map((part) => {
          const text = piece.text.slice(cuts[part], cuts[part + 1]);
          if (!text) return null;
          return (
            <span key={part} className={cn(piece.className, part === 1 && to > from && ground)}>
              {text}
            </span>
          );
        })}
      </Fragment>
    );
  });
}

interface CommentBoxProps {
  text: string;
  editing: boolean;
  onEdit: () => void;
  onSave: (text: string) => void;
  onCancel: () => void;
  onRemove: () => void;
}

export function CommentBox({ text, editing, onEdit, onSave, onCancel, onRemove }: CommentBoxProps) {
  const [draft, setDraft] = useState(text);
  if (!editing) {
    return (
      <div className="m-2 flex max-w-180 flex-wrap items-start gap-2 rounded-lg border border-accent bg-card p-2">
        <p className="min-w-0 flex-1 whitespace-pre-wrap break-words">{text}</p>
        <Button size="small" onClick={onEdit}>
          Change
        </Button>
        <Button size="small" onClick={onRemove}>
          Remove
        </Button>
      </div>
    );
  }
  return (
    <form
      className="m-2 flex max-w-180 flex-col gap-2 rounded-lg border border-accent bg-card p-2"
      onSubmit={(event) => {
        event.preventDefault();
        if (draft.trim()) onSave(draft);
      }}
      onKeyDown={(event) => {
        if (event.key === "Escape") onCancel();
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && draft.trim()) onSave(draft);
      }}
    >
      <Textarea
        autoFocus
        aria-label="Comment on this line"
        placeholder="What should be different here?"
        value={draft}
        onChange={(event) => setDraft(event.target.value)}
      />
      <div className="flex justify-end gap-2">
        <Button size="small" onClick={onCancel}>
          Not now
        </Button>
        <Button size="small" variant="primary" type="submit" disabled={!draft.trim()}>
          Add the comment
        </Button>
      </div>
    </form>
  );
}
