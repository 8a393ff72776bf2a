import { Archive } from "lucide-react";
import type { ReactNode } from "react";
import { duration, money, RelativeTime, secondsBetween, useNow } from "../host";
import { isTerminal, type WorkOrderDetail } from "../types";
import { elapsedSpan, headline, stepPlace } from "../utils/words";
import { StatusBadge } from "./StatusBadge";

/** Where the order stands, always in sight. */
export function OrderHeader({ order, actions }: { order: WorkOrderDetail; actions: ReactNode }) {
  const [from, to] = elapsedSpan(order);
  const now = useNow(to ? 0 : 1);
  const place = stepPlace(order);
  const title = headline(order.user_request);
  return (
    <header className="flex flex-wrap items-center gap-x-4 gap-y-2">
      <h1
        className="line-clamp-2 min-h-11 w-full min-w-0 break-words pr-26 font-semibold text-xl sm:line-clamp-1 sm:min-h-0 sm:pr-0"
        title={title}
      >
        {title}
      </h1>
      <StatusBadge order={order} turning />
      {order.archived_at && (
        <span className="inline-flex items-center gap-1.5 rounded-md border border-line px-2 py-0.5 text-muted">
          <Archive size={14} aria-hidden />
          archived <RelativeTime at={order.archived_at} />
        </span>
      )}
      {place && !isTerminal(order.status) && (
        <span>
          <span className="tabular">
            {place[0]}/{place[1]}
          </span>{" "}
          {order.current_phase}
        </span>
      )}
      <span className="tabular text-muted">
        {order.started_at ? "" : "in the queue for "}
        {duration(secondsBetween(from, to, now))}
      </span>
      <span className="tabular text-muted">
        {money(order.cost_usd ?? 0)}
        {order.max_cost_usd ? ` of ${money(order.max_cost_usd)}` : ""}
      </span>
      <div className="ml-auto">{actions}</div>
    </header>
  );
}
