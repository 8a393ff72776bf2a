import { Link } from "react-router-dom";
import { Card, count, RelativeTime } from "../host";
import { type ServiceStatus, STATUSES } from "../types";
import { StatusBadge } from "./StatusBadge";

/** How many orders stand where; each leads to its list. */
export function QueueCounts({ status: { queue, oldest_pending_at } }: { status: ServiceStatus }) {
  return (
    <Card as="section" aria-label="Queue" className="flex flex-col gap-3">
      <h2 className="font-semibold">Queue</h2>
      <ul className="grid grid-cols-2 gap-2 sm:grid-cols-4">
        {STATUSES.map((status) => (
          <li key={status}>
            <Link
              to={`/agent-work-orders?status=${status}`}
              className="flex min-h-11 items-center justify-between gap-2 rounded-lg border border-line px-3 hover:bg-sunk"
            >
              <StatusBadge order={{ status, waiting_reason: null, cancel_requested_at: null }} />
              <span className="tabular font-semibold">{count(queue[status] ?? 0)}</span>
            </Link>
          </li>
        ))}
      </ul>
      <p className="text-muted text-sm">
        {oldest_pending_at ? (
          <>
            The oldest that waits for a slot was filed <RelativeTime at={oldest_pending_at} />.
          </>
        ) : (
          "Nothing waits for a slot."
        )}
      </p>
    </Card>
  );
}
