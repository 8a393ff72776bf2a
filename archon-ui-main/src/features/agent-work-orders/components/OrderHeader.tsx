import type { ReactNode } from "react";
import { duration, money, secondsBetween, useNow } from "../host";
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
      <h1 className="w-full min-w-0 truncate pr-22 font-semibold text-xl" title={title}>
        {title}
      </h1>
      <StatusBadge order={order} turning />
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
