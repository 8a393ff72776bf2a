import {
  type InfiniteData,
  type QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";
import { liveOrders } from "../services/liveOrders";
import { type ListFilter, NO_FILTER, workOrderService } from "../services/workOrderService";
import type { WorkOrder, WorkOrderDetail } from "../types";
import { needsPerson } from "../utils/words";
import { workOrderKeys } from "./keys";

const PAGE_SIZE = 100;
// Who goes on wants much: fewer questions for it.
const NEXT_SIZE = 200;
const KEPT_TEXT = 300;

/** What a row of the list shows; with 100,000 of them the rest would not be worth its memory. */
export type ListedOrder = Pick<
  WorkOrder,
  | "agent_work_order_id"
  | "repository_url"
  | "user_request"
  | "status"
  | "waiting_reason"
  | "waiting_until"
  | "current_phase"
  | "selected_commands"
  | "attempt"
  | "cost_usd"
  | "max_cost_usd"
  | "github_pull_request_url"
  | "failure_class"
  | "error_message"
  | "cancel_requested_at"
  | "created_at"
  | "started_at"
  | "finished_at"
  | "archived_at"
>;

export function listed(order: WorkOrder): ListedOrder {
  return {
    agent_work_order_id: order.agent_work_order_id,
    repository_url: order.repository_url,
    user_request: order.user_request.slice(0, KEPT_TEXT),
    status: order.status,
    waiting_reason: order.waiting_reason,
    waiting_until: order.waiting_until,
    current_phase: order.current_phase,
    selected_commands: order.selected_commands,
    attempt: order.attempt,
    cost_usd: order.cost_usd,
    max_cost_usd: order.max_cost_usd,
    github_pull_request_url: order.github_pull_request_url,
    failure_class: order.failure_class,
    error_message: order.error_message,
    cancel_requested_at: order.cancel_requested_at,
    created_at: order.created_at,
    started_at: order.started_at,
    finished_at: order.finished_at,
    archived_at: order.archived_at,
  };
}

interface ListedPage {
  orders: ListedOrder[];
  next: string | null;
}
type Listed = InfiniteData<ListedPage, string | null>;

/** The list behind a filter, page by page; what has arrived stays on the screen while the next filter loads. */
export function useWorkOrderList(filter: ListFilter) {
  return useInfiniteQuery({
    queryKey: workOrderKeys.list(filter),
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }): Promise<ListedPage> => {
      const page = await workOrderService.list(filter, pageParam, pageParam === null ? PAGE_SIZE : NEXT_SIZE, signal);
      return { orders: page.work_orders.map(listed), next: page.next_cursor ?? null };
    },
    getNextPageParam: (last) => last.next,
    placeholderData: (before) => before,
    // Comparing all pages with all pages at each load is what would not stay smooth.
    structuralSharing: false,
    // The stream keeps it fresh; asking for a thousand pages again would not.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });
}

/** Puts orders on top of a list, unless they are in it. */
export function prependToList(client: QueryClient, filter: ListFilter, orders: ListedOrder[]) {
  client.setQueryData<Listed>(workOrderKeys.list(filter), (data) => {
    if (!data) return data;
    const [first, ...rest] = data.pages;
    // Newer than all that is there: only the first page can hold one of them already.
    const known = new Set(first?.orders.map((order) => order.agent_work_order_id));
    const fresh = orders.filter((order) => !known.has(order.agent_work_order_id));
    if (!first || fresh.length === 0) return data;
    return { ...data, pages: [{ ...first, orders: [...fresh, ...first.orders] }, ...rest] };
  });
}

/** Whether an order belongs to what the filter shows. */
export function matches(filter: ListFilter, order: ListedOrder): boolean {
  return (
    Boolean(order.archived_at) === filter.archived &&
    (filter.status.length === 0 || filter.status.includes(order.status)) &&
    (filter.repositoryUrl === "" ||
      order.repository_url.toLowerCase() === filter.repositoryUrl.toLowerCase().replace(/(\.git)?\/*$/, "")) &&
    (filter.q === "" || order.user_request.toLowerCase().includes(filter.q.toLowerCase()))
  );
}

/** Orders that will not go on before a person acts, newest first. */
export function useNeedsYou() {
  return useQuery({
    queryKey: workOrderKeys.needsYou(),
    queryFn: async ({ signal }) => {
      const page = await workOrderService.list({ ...NO_FILTER, status: ["waiting"] }, null, 200, signal);
      return page.work_orders.filter(needsPerson).map(listed);
    },
    staleTime: Number.POSITIVE_INFINITY,
  });
}

export function useWorkOrder(id: string) {
  return useQuery({
    queryKey: workOrderKeys.detail(id),
    queryFn: ({ signal }) => workOrderService.read(id, signal),
    staleTime: 5_000,
  });
}

export function useWorkflows() {
  return useQuery({
    queryKey: workOrderKeys.workflows,
    queryFn: ({ signal }) => workOrderService.workflows(signal),
    staleTime: 300_000,
  });
}

/** How the page's live connection stands. */
export const useLive = () => useSyncExternalStore(liveOrders.watch, liveOrders.state);

/** Keeps everything that was fetched true while the server tells what changes. Mounted once. */
export function useLiveCache() {
  const client = useQueryClient();
  useEffect(() => {
    const stop = liveOrders.onChange((order) => patch(client, order));
    // What changed between the first answers and the open stream has told nobody.
    let before = liveOrders.state().state;
    const stopWatching = liveOrders.watch(() => {
      const now = liveOrders.state().state;
      if (now === "live" && before !== "live") void client.invalidateQueries({ queryKey: workOrderKeys.needsYou() });
      before = now;
    });
    return () => {
      stop();
      stopWatching();
    };
  }, [client]);
}

function patch(client: QueryClient, order: WorkOrder) {
  const id = order.agent_work_order_id;
  const row = listed(order);
  client.setQueriesData<Listed>({ queryKey: workOrderKeys.lists() }, (data) => data && replaceIn(data, row));
  client.setQueryData<ListedOrder[]>(workOrderKeys.needsYou(), (orders) => {
    if (!orders) return orders;
    const others = orders.filter((one) => one.agent_work_order_id !== id);
    if (needsPerson(row)) return [row, ...others];
    return others.length === orders.length ? orders : others;
  });
  client.setQueryData<WorkOrderDetail>(workOrderKeys.detail(id), (detail) => detail && { ...detail, ...order });
}

function replaceIn(data: Listed, row: ListedOrder): Listed {
  const at = data.pages.findIndex((page) =>
    page.orders.some((order) => order.agent_work_order_id === row.agent_work_order_id),
  );
  const page = data.pages[at];
  if (!page) return data;
  const orders = page.orders.map((order) => (order.agent_work_order_id === row.agent_work_order_id ? row : order));
  return { ...data, pages: data.pages.with(at, { ...page, orders }) };
}

/** Takes an order out of every list: it was deleted here. */
export function forgetOrder(client: QueryClient, id: string) {
  client.setQueriesData<Listed>(
    { queryKey: workOrderKeys.lists() },
    (data) =>
      data && {
        ...data,
        pages: data.pages.map((page) => ({
          ...page,
          orders: page.orders.filter((order) => order.agent_work_order_id !== id),
        })),
      },
  );
  client.removeQueries({ queryKey: workOrderKeys.detail(id) });
}

/** An act on one order; what the server answers is at once what every page shows. */
export function useOrderAct<V>(act: (value: V) => Promise<WorkOrder>) {
  const client = useQueryClient();
  return useMutation({ mutationFn: act, onSuccess: (order) => patch(client, order) });
}
