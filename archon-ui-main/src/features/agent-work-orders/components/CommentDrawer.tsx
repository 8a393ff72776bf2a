import { ChevronRight } from "lucide-react";
import { useState } from "react";
import { Button, Problem, plural } from "../host";
import { type ApiError, asApiError } from "../services/client";
import { type LineComment, messageOf } from "../utils/diff";

interface CommentDrawerProps {
  comments: LineComment[];
  isThere: (comment: LineComment) => boolean;
  onRemove: (id: string) => void;
  onSend: (text: string) => Promise<void>;
}

/** Comments that are not sent yet; together they become one message. */
export function CommentDrawer({ comments, isThere, onRemove, onSend }: CommentDrawerProps) {
  const [open, setOpen] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  if (comments.length === 0) return null;
  const send = async () => {
    setBusy(true);
    setError(null);
    try {
      await onSend(messageOf(comments));
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <section aria-label="Comments" className="flex max-h-[40dvh] flex-col border-accent border-t-2 bg-card p-2">
      <div className="flex flex-wrap items-center gap-3">
        <button
          type="button"
          aria-expanded={open}
          className="flex min-h-9 flex-1 items-center gap-2 text-left font-medium"
          onClick={() => setOpen(!open)}
        >
          <ChevronRight size={16} aria-hidden className={open ? "rotate-90" : undefined} />
          {plural(comments.length, "comment")} not sent
        </button>
        <Button variant="primary" busy={busy ? "Sending…" : undefined} onClick={() => void send()}>
          Send as one message
        </Button>
      </div>
      {error && <Problem className="mt-2" message={error.message} nextAction={error.nextAction} />}
      {open && (
        <ul className="mt-2 flex min-h-0 flex-col gap-2 overflow-y-auto">
          {comments.map((comment) => (
            <li key={comment.id} className="flex items-start gap-2">
              <span className="min-w-0 flex-1">
                <code className="break-all font-mono text-code">
                  {comment.path}:{comment.line}
                </code>
                {!isThere(comment) && <span className="ml-2 text-waiting text-xs">line changed</span>}
                <span className="block whitespace-pre-wrap break-words text-muted">{comment.text}</span>
              </span>
              <Button size="small" onClick={() => onRemove(comment.id)}>
                Remove
              </Button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
