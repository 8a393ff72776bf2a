import * as Radix from "@radix-ui/react-tooltip";
import type { ReactNode } from "react";
import { portalHome } from "./portal";

export const TooltipProvider = Radix.Provider;

/** Says more about its child on hover and on focus. */
export function Tooltip({ text, children }: { text: ReactNode; children: ReactNode }) {
  return (
    <Radix.Root>
      <Radix.Trigger asChild>{children}</Radix.Trigger>
      <Radix.Portal container={portalHome()}>
        <Radix.Content
          sideOffset={6}
          collisionPadding={8}
          className="z-50 max-w-80 animate-fade-in rounded-md border border-line bg-card px-2 py-1 text-ink text-xs"
        >
          {text}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
