import * as Radix from "@radix-ui/react-tabs";
import { type ReactNode, useEffect, useRef } from "react";
import { cn } from "@/features/shared/utils/cn";

export const Tabs = Radix.Root;

/** A row of tabs that scrolls sideways where it does not fit; the one that is chosen is in sight. */
export function TabsList({ className, ...rest }: Radix.TabsListProps) {
  const list = useRef<HTMLDivElement>(null);
  const shown = useRef<Element | null>(null);
  useEffect(() => {
    const row = list.current;
    const chosen = row?.querySelector<HTMLElement>("[data-state=active]");
    if (!row || !chosen || chosen === shown.current) return;
    shown.current = chosen;
    const [left, right] = [chosen.offsetLeft - row.offsetLeft, chosen.offsetLeft - row.offsetLeft + chosen.offsetWidth];
    if (left < row.scrollLeft || right > row.scrollLeft + row.clientWidth)
      row.scrollLeft = left - (row.clientWidth - chosen.offsetWidth) / 2;
  });
  return (
    <Radix.List
      ref={list}
      className={cn("flex shrink-0 gap-1 overflow-x-auto border-line border-b", className)}
      {...rest}
    />
  );
}

export function Tab({ value, children, className }: { value: string; children: ReactNode; className?: string }) {
  return (
    <Radix.Trigger
      value={value}
      className={cn(
        "min-h-9 shrink-0 border-transparent border-b-2 px-3 font-medium text-muted text-sm whitespace-nowrap focus-visible:-outline-offset-2 hover:text-ink pointer-coarse:min-h-11 data-[state=active]:border-accent data-[state=active]:text-ink",
        className,
      )}
    >
      {children}
    </Radix.Trigger>
  );
}

export const TabPanel = Radix.Content;
