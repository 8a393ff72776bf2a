import { GitPullRequest } from "lucide-react";
import { type MouseEvent, memo } from "react";
import { Link } from "react-router-dom";
import type { ListedOrder } from "../hooks/useWorkOrders";
import { Checkbox, cn, duration, money, RelativeTime, safeHref, secondsBetween, useNow } from "../host";
import { isTerminal } from "../types";
import { elapsedSpan, headline, pullRequestNumber, repositoryName, stepPlace } from "../utils/words";
import { StatusBadge } from "./StatusBadge";

interface RowProps {
  order: ListedOrder;
  selected: boolean;
  /** It no longer matches the filter, and stays until the next look so that nothing moves under the pointer. */
  dimmed: boolean;
  turning: boolean;
  onSelect: (id: string, selected: boolean, range: boolean) => void;
  onOpenSoon: () => void;
}

/** One order: a line on a wide page, two on a phone. */
export const WorkOrderRow = memo(function WorkOrderRow({
  order,
  selected,
  dimmed,
  turning,
  onSelect,
  onOpenSoon,
}: RowProps) {
  const id = order.agent_work_order_id;
  const title = headline(order.user_request);
  const place = stepPlace(order);
  return (
    <div
      className={cn(
        "flex h-full items-center gap-3 border-line border-b bg-card px-3 hover:bg-sunk",
        selected && "bg-accent-soft hover:bg-accent-soft",
        dimmed && "opacity-60",
      )}
    >
      <Checkbox
        checked={selected}
        disabled={isTerminal(order.status)}
        aria-label={`Select ${title}`}
        onClick={(event: MouseEvent) => onSelect(id, !selected, event.shiftKey)}
      />
      <div className="grid min-w-0 flex-1 grid-cols-[minmax(0,1fr)_auto] items-center gap-x-3 lg:grid-cols-[8.5rem_minmax(0,1fr)_8rem_5.5rem_4rem_3.5rem_6.5rem]">
        <StatusBadge order={order} turning={turning} className="order-3 text-xs lg:order-none lg:text-sm" />
        <div className="order-1 col-span-2 min-w-0 lg:order-none lg:col-span-1">
          <Link
            to={`/agent-work-orders/${id}`}
            data-row-link
            className="block truncate font-medium hover:underline"
            title={title}
            onPointerEnter={onOpenSoon}
            onFocus={onOpenSoon}
          >
            {title}
          </Link>
          <span className="block truncate text-muted text-xs" title={order.repository_url}>
            {repositoryName(order.repository_url)}
            {order.failure_class && <span className="text-failed"> · {order.failure_class}</span>}
            {order.attempt > 1 && <span> · attempt {order.attempt}</span>}
          </span>
        </div>
        <span className="hidden truncate text-muted lg:block" title={order.current_phase ?? undefined}>
          {place && !isTerminal(order.status) && (
            <>
              <span className="tabular">
                {place[0]}/{place[1]}
              </span>{" "}
              {order.current_phase}
            </>
          )}
        </span>
        <Elapsed order={order} className="hidden text-right lg:block" />
        <span className="tabular order-4 text-right text-muted text-xs lg:order-none lg:text-sm">
          {place && !isTerminal(order.status) && (
            <span className="lg:hidden">
              {place[0]}/{place[1]} ·{" "}
            </span>
          )}
          {money(order.cost_usd ?? 0)}
        </span>
        <PullRequestLink url={order.github_pull_request_url} />
        <RelativeTime at={order.created_at} className="hidden text-right text-muted lg:block" />
      </div>
    </div>
  );
});

function Elapsed({ order, className }: { order: ListedOrder; className: string }) {
  const [from, to] = elapsedSpan(order);
  const now = useNow(to ? 0 : 1);
  return <span className={cn("tabular text-muted", className)}>{duration(secondsBetween(from, to, now))}</span>;
}

function PullRequestLink({ url }: { url: string | null | undefined }) {
  const href = safeHref(url);
  if (!href) return <span className="hidden lg:block" />;
  return (
    <a
      href={href}
      target="_blank"
      rel="noreferrer"
      className="hidden items-center gap-1 text-accent hover:underline lg:inline-flex"
      aria-label={`Pull request ${pullRequestNumber(href)}`}
    >
      <GitPullRequest size={16} aria-hidden />#{pullRequestNumber(href)}
    </a>
  );
}
