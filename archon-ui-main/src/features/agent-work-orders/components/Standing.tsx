import { RotateCcw } from "lucide-react";
import { Button, Card, Problem, RelativeTime } from "../host";
import type { WorkOrderDetail } from "../types";
import { waitingWords } from "../utils/words";

interface StandingProps {
  order: WorkOrderDetail;
  /** Seq of the line where it went wrong; null when none is known. */
  badSeq: number | null;
  onJump: (seq: number) => void;
  onRetry: () => void;
}

/** What comes first on the page of an order: why it failed, or what it waits for, and what a person can do. */
export function Standing({ order, badSeq, onJump, onRetry }: StandingProps) {
  if (order.status === "failed") {
    return (
      <Problem
        message={order.error_message ?? "The order failed."}
        nextAction={order.next_action ?? "Look at its last lines, then retry it."}
      >
        <div className="flex flex-wrap items-center gap-2">
          {order.failure_class && (
            <span className="rounded-md bg-failed-soft px-2 py-0.5 font-medium text-failed">{order.failure_class}</span>
          )}
          {badSeq !== null && (
            <Button size="small" onClick={() => onJump(badSeq)}>
              Jump to where
            </Button>
          )}
          <Button size="small" onClick={onRetry}>
            <RotateCcw size={14} aria-hidden />
            Retry…
          </Button>
        </div>
      </Problem>
    );
  }
  if (order.status === "waiting" && order.waiting_reason && order.waiting_reason !== "approval") {
    return (
      <Card edge="waiting" className="flex flex-col gap-1" role="status">
        <p className="font-medium text-waiting">
          It waits: {waitingWords(order.waiting_reason)}
          {order.waiting_until && (
            <>
              . It goes on by itself <RelativeTime at={order.waiting_until} />
            </>
          )}
        </p>
        {order.error_message && <p>{order.error_message}</p>}
        {order.next_action && <p className="text-muted">{order.next_action}</p>}
      </Card>
    );
  }
  return null;
}
