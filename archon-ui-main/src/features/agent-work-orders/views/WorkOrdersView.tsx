import { useQueryClient } from "@tanstack/react-query";
import { Plus } from "lucide-react";
import { useCallback, useEffect, useMemo, useState } from "react";
import { Link } from "react-router-dom";

import { BulkCancel } from "../components/BulkCancel";
import { ListFilters } from "../components/ListFilters";
import { StatusBadge } from "../components/StatusBadge";
import { WorkOrderList } from "../components/WorkOrderList";
import { isFiltered, useListFilter } from "../hooks/useListFilter";
import {
  type ListedOrder,
  listed,
  matches,
  prependToList,
  useNeedsYou,
  useWorkOrderList,
} from "../hooks/useWorkOrders";
import { Button, Card, Empty, Page, Problem, plural, Skeleton } from "../host";
import { asApiError } from "../services/client";
import { liveOrders } from "../services/liveOrders";
import { type ListFilter, NO_FILTER } from "../services/workOrderService";
import { headline, repositoryName } from "../utils/words";

/** The page of one order is there before the click. */
const openSoon = () => void import("./WorkOrderView");

/** All work orders, newest first, as they change. */
export default function WorkOrdersView() {
  const [filter, setFilter] = useListFilter();
  const list = useWorkOrderList(filter);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const orders = useMemo(() => inOneList(list.data?.pages.map((page) => page.orders) ?? []), [list.data]);
  const [fresh, showFresh] = useFreshOrders(filter, orders, selected.size === 0);
  const repositories = useMemo(() => repositoriesOf(orders), [orders]);

  const { hasNextPage, isFetchingNextPage, fetchNextPage, isFetchNextPageError } = list;
  const more = useCallback(() => {
    if (hasNextPage && !isFetchingNextPage && !isFetchNextPageError) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, isFetchNextPageError, fetchNextPage]);
  const error = list.error ? asApiError(list.error) : null;

  return (
    <Page
      title="Work orders"
      actions={
        <Button asChild variant="primary">
          <Link to="/agent-work-orders/new">
            <Plus size={16} aria-hidden />
            New
          </Link>
        </Button>
      }
    >
      <NeedsYou />
      <ListFilters filter={filter} onChange={setFilter} repositories={repositories} />
      {error && <Problem message={error.message} nextAction={error.nextAction} onRetry={() => void list.refetch()} />}
      {list.isPending && !error && <Skeleton lines={6} />}
      {fresh > 0 && (
        <div className="sticky top-2 z-10 flex justify-center">
          <Button variant="primary" size="small" onClick={showFresh}>
            {fresh} new
          </Button>
        </div>
      )}
      {list.data && orders.length === 0 && <NothingHere filter={filter} onClear={setFilter} />}
      {orders.length > 0 && (
        <>
          <WorkOrderList
            orders={orders}
            filter={filter}
            selected={selected}
            onSelected={setSelected}
            onNearEnd={more}
            onOpenSoon={openSoon}
          />
          {hasNextPage && (
            <div className="flex justify-center">
              <Button busy={isFetchingNextPage ? "Loading…" : undefined} onClick={() => void fetchNextPage()}>
                Load more
              </Button>
            </div>
          )}
        </>
      )}
      <BulkCancel ids={selected} onClear={() => setSelected(new Set())} />
    </Page>
  );
}

/** Orders that wait for a person come before everything else. */
function NeedsYou() {
  const waiting = useNeedsYou().data ?? [];
  if (waiting.length === 0) return null;
  return (
    <Card as="section" edge="waiting" aria-label="Orders that need you" className="flex flex-col gap-2">
      <h2 className="font-semibold text-waiting">
        {waiting.length} {waiting.length === 1 ? "needs" : "need"} you
      </h2>
      <ul className="flex flex-col gap-1">
        {waiting.slice(0, 5).map((order) => (
          <li key={order.agent_work_order_id} className="flex min-w-0 flex-wrap items-center gap-x-3">
            <StatusBadge order={order} />
            <Link
              to={`/agent-work-orders/${order.agent_work_order_id}`}
              className="min-w-0 truncate hover:underline"
              title={headline(order.user_request)}
            >
              {headline(order.user_request)}
            </Link>
            <span className="truncate text-muted">{repositoryName(order.repository_url)}</span>
          </li>
        ))}
      </ul>
      {waiting.length > 5 && (
        <Link to="/agent-work-orders?status=waiting" className="text-accent hover:underline">
          See all {plural(waiting.length, "order")}
        </Link>
      )}
    </Card>
  );
}

function NothingHere({ filter, onClear }: { filter: ListFilter; onClear: (change: Partial<ListFilter>) => void }) {
  if (isFiltered(filter)) {
    return (
      <Empty
        title={filter.archived ? "Nothing in the archive" : "Nothing matches"}
        action={<Button onClick={() => onClear(NO_FILTER)}>Show all work orders</Button>}
      >
        {nothingWords(filter)}
      </Empty>
    );
  }
  return (
    <Empty
      title="No work orders yet"
      action={
        <Button asChild variant="primary">
          <Link to="/agent-work-orders/new">File the first work order</Link>
        </Button>
      }
    >
      Say in words what should be done in a repository; an agent does it, the server checks it, and a pull request comes
      out.
    </Empty>
  );
}

function nothingWords({ q, status, repositoryUrl, archived }: ListFilter): string {
  const others = status.length > 0 || repositoryUrl !== "";
  if (archived && !q && !others)
    return "An order that has ended can be archived on its page: it leaves the list, and its files become one archive.";
  const which = archived ? "No archived work order" : "No work order";
  if (!q) return `${which} has this status and repository.`;
  return `${which} has “${q}” in its request${others ? " together with the other filters" : ""}.`;
}

/** Orders filed meanwhile: shown at once where nobody is reading, else kept behind a button. */
function useFreshOrders(filter: ListFilter, orders: ListedOrder[], mayShow: boolean): [number, () => void] {
  const client = useQueryClient();
  const [held, setHeld] = useState<ListedOrder[]>([]);
  const known = useMemo(() => new Set(orders.slice(0, NEWEST).map((order) => order.agent_work_order_id)), [orders]);
  const newest = orders[0]?.created_at;

  useEffect(
    () =>
      liveOrders.onChange((changed) => {
        const order = listed(changed);
        const id = order.agent_work_order_id;
        if (known.has(id) || !matches(filter, order)) return;
        // Older than the newest one here: it belongs further down, and comes with its page.
        if (newest && order.created_at < newest) return;
        if (mayShow && window.scrollY < 80) prependToList(client, filter, [order]);
        else setHeld((before) => [order, ...before.filter((one) => one.agent_work_order_id !== id)]);
      }),
    [client, filter, known, newest, mayShow],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: another filter shows other orders
  useEffect(() => setHeld([]), [filter]);

  const show = useCallback(() => {
    prependToList(client, filter, held);
    setHeld([]);
    window.scrollTo({ top: 0 });
  }, [client, filter, held]);
  return [held.length, show];
}

// Only the newest orders can come twice: from their page, and from the stream. More than a page of them.
const NEWEST = 200;
const MOST_REPOSITORIES = 40;

/** The pages' orders, each once. Runs at every change of an order, over all that has been loaded. */
function inOneList(pages: ListedOrder[][]): ListedOrder[] {
  const [first = [], ...others] = pages;
  const seen = new Set<string>();
  const top = first.filter(({ agent_work_order_id: id }) => !seen.has(id) && seen.add(id));
  return top.concat(...others.map((page) => page.filter(({ agent_work_order_id: id }) => !seen.has(id))));
}

function repositoriesOf(orders: ListedOrder[]): string[] {
  const found = new Set<string>();
  for (const { repository_url: url } of orders) {
    found.add(url);
    if (found.size === MOST_REPOSITORIES) break;
  }
  return [...found].sort();
}
