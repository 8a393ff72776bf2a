import { useState } from "react";
import { Button, Confirm, Problem, plural } from "../host";
import { asApiError } from "../services/client";
import { workOrderService } from "../services/workOrderService";

interface BulkCancelProps {
  ids: ReadonlySet<string>;
  onClear: () => void;
}

const AT_ONCE = 4;

/** The bar for what is selected: asks once, then each order reports for itself in its row. */
export function BulkCancel({ ids, onClear }: BulkCancelProps) {
  const [asking, setAsking] = useState(false);
  const [left, setLeft] = useState<number | null>(null);
  const [refused, setRefused] = useState<[id: string, why: string][]>([]);

  const cancelAll = async () => {
    setAsking(false);
    const waiting = [...ids];
    const failures: [string, string][] = [];
    setLeft(waiting.length);
    const worker = async () => {
      for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
        try {
          await workOrderService.cancel(id);
        } catch (error) {
          failures.push([id, asApiError(error).message]);
        }
        setLeft((before) => (before ?? 1) - 1);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    setLeft(null);
    setRefused(failures);
    onClear();
  };

  return (
    <>
      {refused.length > 0 && (
        <Problem
          message={`${plural(refused.length, "order")} refused to be cancelled.`}
          nextAction="The others are being stopped; each row says when nothing of it runs any more."
        >
          <ul className="list-inside list-disc text-muted">
            {refused.map(([id, why]) => (
              <li key={id}>
                <code className="font-mono text-code">{id}</code>: {why}
              </li>
            ))}
          </ul>
          <div>
            <Button size="small" onClick={() => setRefused([])}>
              Dismiss
            </Button>
          </div>
        </Problem>
      )}
      {(ids.size > 0 || left !== null) && (
        <div
          role="toolbar"
          aria-label="What to do with the selected orders"
          className="sticky bottom-[calc(var(--bar)+0.5rem)] z-20 flex items-center gap-2 rounded-lg border border-accent bg-card p-2 sm:bottom-4"
        >
          <span className="tabular flex-1 px-2" role="status">
            {left !== null ? `Asking ${plural(left, "order")} to stop…` : `${ids.size} selected`}
          </span>
          <Button variant="danger" disabled={left !== null} onClick={() => setAsking(true)}>
            Cancel…
          </Button>
          <Button disabled={left !== null} onClick={onClear}>
            Clear selection
          </Button>
        </div>
      )}
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Cancel ${plural(ids.size, "work order")}?`}
        confirm={`Cancel ${plural(ids.size, "work order")}`}
        cancel="Keep them"
        danger
        onConfirm={cancelAll}
      >
        <p>
          Their agents are stopped, and they leave the queue. What they have done so far is kept, and each of them can
          be retried from where it stood.
        </p>
      </Confirm>
    </>
  );
}
