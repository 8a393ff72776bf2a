import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { useNavigate } from "react-router-dom";
import { type ListedOrder, matches } from "../hooks/useWorkOrders";
import { cn, useMediaQuery } from "../host";
import type { ListFilter } from "../services/workOrderService";
import { isTerminal } from "../types";
import { WorkOrderRow } from "./WorkOrderRow";

interface WorkOrderListProps {
  orders: ListedOrder[];
  filter: ListFilter;
  selected: ReadonlySet<string>;
  onSelected: (ids: ReadonlySet<string>) => void;
  /** Called when the end is near. */
  onNearEnd: () => void;
  onOpenSoon: () => void;
}

const NEAR_END = 20;

/** Only what is in sight is on the page, however many orders there are. */
export function WorkOrderList({ orders, filter, selected, onSelected, onNearEnd, onOpenSoon }: WorkOrderListProps) {
  const wide = useMediaQuery("(min-width: 1024px)");
  const holder = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [cursor, setCursor] = useState(-1);
  const navigate = useNavigate();
  useLayoutEffect(() => {
    if (holder.current) setTop(holder.current.getBoundingClientRect().top + window.scrollY);
  }, []);

  const getItemKey = useCallback((index: number) => orders[index]?.agent_work_order_id ?? index, [orders]);
  const virtual = useWindowVirtualizer({
    count: orders.length,
    estimateSize: () => (wide ? 56 : 72),
    overscan: 8,
    scrollMargin: top,
    getItemKey,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: another row height needs another measure
  useEffect(() => virtual.measure(), [wide]);

  const items = virtual.getVirtualItems();
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= orders.length - NEAR_END) onNearEnd();
  }, [last, orders.length, onNearEnd]);

  const anchor = useRef<string | null>(null);
  const now = useRef({ orders, selected, onSelected });
  now.current = { orders, selected, onSelected };
  const select = useCallback((id: string, wanted: boolean, range: boolean) => {
    const { orders: all, selected: before, onSelected: tell } = now.current;
    const next = new Set(before);
    const from = range && anchor.current ? all.findIndex((one) => one.agent_work_order_id === anchor.current) : -1;
    const to = all.findIndex((one) => one.agent_work_order_id === id);
    const span = from < 0 ? [all[to]] : all.slice(Math.min(from, to), Math.max(from, to) + 1);
    for (const one of span) {
      if (!one || isTerminal(one.status)) continue;
      if (wanted) next.add(one.agent_work_order_id);
      else next.delete(one.agent_work_order_id);
    }
    anchor.current = id;
    tell(next);
  }, []);

  const turning = useMemo(() => orders.find((order) => order.status === "running")?.agent_work_order_id, [orders]);

  const go = (to: number) => {
    const index = Math.max(0, Math.min(orders.length - 1, to));
    setCursor(index);
    virtual.scrollToIndex(index);
    requestAnimationFrame(() =>
      holder.current?.querySelector<HTMLElement>(`[data-index="${index}"] [data-row-link]`)?.focus(),
    );
  };
  const press = (event: KeyboardEvent | globalThis.KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const at = orders[cursor];
    if (event.key === "j" || event.key === "ArrowDown") go(cursor + 1);
    else if (event.key === "k" || event.key === "ArrowUp") go(cursor - 1);
    else if (event.key === "x" && at)
      select(at.agent_work_order_id, !selected.has(at.agent_work_order_id), event.shiftKey);
    else if (event.key === "Enter" && at && event.target === document.body)
      navigate(`/agent-work-orders/${at.agent_work_order_id}`);
    else return false;
    event.preventDefault();
    return true;
  };
  const pressed = useRef(press);
  pressed.current = press;
  useEffect(() => {
    const onWindow = (event: globalThis.KeyboardEvent) => {
      if (event.target === document.body && /^[jkx]$|^Enter$/.test(event.key)) pressed.current(event);
    };
    window.addEventListener("keydown", onWindow);
    return () => window.removeEventListener("keydown", onWindow);
  }, []);

  return (
    <div
      ref={holder}
      role="list"
      aria-label="Work orders"
      // What passes under a resting pointer is not pointed at.
      className={cn(
        "relative overflow-hidden rounded-lg border border-line bg-card",
        virtual.isScrolling && "pointer-events-none",
      )}
      style={{ height: virtual.getTotalSize() }}
      onKeyDown={(event) => {
        const target = event.target as HTMLElement;
        if (target.matches("[data-row-link]")) press(event);
      }}
      onFocus={(event) => {
        const index = event.target.closest("[data-index]")?.getAttribute("data-index");
        if (index) setCursor(Number(index));
      }}
    >
      {items.map((item) => {
        const order = orders[item.index];
        if (!order) return null;
        return (
          <div
            key={item.key}
            role="listitem"
            aria-posinset={item.index + 1}
            aria-setsize={-1}
            data-index={item.index}
            className="absolute inset-x-0 top-0"
            style={{ height: item.size, transform: `translateY(${item.start - top}px)` }}
          >
            <WorkOrderRow
              order={order}
              selected={selected.has(order.agent_work_order_id)}
              dimmed={!matches(filter, order)}
              turning={order.agent_work_order_id === turning}
              onSelect={select}
              onOpenSoon={onOpenSoon}
            />
          </div>
        );
      })}
    </div>
  );
}
