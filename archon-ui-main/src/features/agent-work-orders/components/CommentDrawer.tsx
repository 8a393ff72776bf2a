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
    <details className="max-h-[40dvh] overflow-y-auto border-accent border-t-2 bg-card p-2">
      <summary className="flex flex-wrap items-center gap-3">
        <span className="flex-1 font-medium">{plural(comments.length, "comment")} not sent</span>
        <Button
          variant="primary"
          busy={busy ? "Sending…" : undefined}
          onClick={(event) => {
            event.preventDefault();
            void send();
          }}
        >
          Send as one message
        </Button>
      </summary>
      {error && <Problem className="mt-2" message={error.message} nextAction={error.nextAction} />}
      <ul className="mt-2 flex flex-col gap-2">
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
    </details>
  );
}
