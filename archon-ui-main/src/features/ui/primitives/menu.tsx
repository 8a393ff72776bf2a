import * as Radix from "@radix-ui/react-dropdown-menu";
import type { ReactNode } from "react";
import { cn } from "@/features/shared/utils/cn";
import { portalHome } from "./portal";

interface MenuProps {
  trigger: ReactNode;
  children: ReactNode;
  align?: "start" | "end";
}

export function Menu({ trigger, children, align = "end" }: MenuProps) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal container={portalHome()}>
        <Radix.Content
          align={align}
          sideOffset={4}
          collisionPadding={8}
          className="z-50 min-w-44 max-w-[92vw] animate-fade-in rounded-lg border border-line bg-card p-1 text-ink"
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

const ITEM =
  "flex min-h-8 cursor-pointer items-center gap-2 rounded-md px-2 py-1.5 text-sm outline-none data-highlighted:bg-accent-soft data-disabled:cursor-not-allowed data-disabled:text-muted pointer-coarse:min-h-11";

export function MenuItem({ className, ...rest }: Radix.DropdownMenuItemProps) {
  return <Radix.Item className={cn(ITEM, className)} {...rest} />;
}

export function MenuCheckItem({ className, children, ...rest }: Radix.DropdownMenuCheckboxItemProps) {
  return (
    <Radix.CheckboxItem className={cn(ITEM, className)} onSelect={(event) => event.preventDefault()} {...rest}>
      <span aria-hidden className="flex size-4 items-center justify-center rounded border border-control">
        <Radix.ItemIndicator>✓</Radix.ItemIndicator>
      </span>
      {children}
    </Radix.CheckboxItem>
  );
}

export const MenuSeparator = () => <Radix.Separator className="my-1 h-px bg-line" />;
