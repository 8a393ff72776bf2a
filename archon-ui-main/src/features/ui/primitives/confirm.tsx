import * as Radix from "@radix-ui/react-alert-dialog";
import type { ReactNode } from "react";
import { Button } from "./button";
import { useOpener } from "./opener";
import { portalHome } from "./portal";

interface ConfirmProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  /** What will happen, and what stays. */
  children: ReactNode;
  confirm: string;
  onConfirm: () => void;
  danger?: boolean;
  disabled?: boolean;
  busy?: string | undefined;
  cancel?: string;
}

/** Asks before what cannot be taken back. Focus starts on the harmless button. */
export function Confirm(props: ConfirmProps) {
  const opener = useOpener(props.open);
  return (
    <Radix.Root open={props.open} onOpenChange={props.onOpenChange}>
      <Radix.Portal container={portalHome()}>
        <Radix.Overlay className="fixed inset-0 z-40 animate-fade-in bg-black/60" />
        <Radix.Content
          {...opener}
          className="fixed inset-x-0 bottom-0 z-50 flex max-h-[92dvh] animate-fade-in flex-col gap-4 overflow-y-auto rounded-t-lg border border-line bg-card p-4 text-ink sm:inset-x-auto sm:top-1/2 sm:bottom-auto sm:left-1/2 sm:w-[min(92vw,30rem)] sm:-translate-x-1/2 sm:-translate-y-1/2 sm:rounded-lg"
        >
          <Radix.Title className="text-base font-semibold">{props.title}</Radix.Title>
          <Radix.Description asChild>
            <div className="flex flex-col gap-3 text-sm text-muted">{props.children}</div>
          </Radix.Description>
          <div className="flex flex-wrap justify-end gap-2">
            <Radix.Cancel asChild>
              <Button>{props.cancel ?? "Keep it"}</Button>
            </Radix.Cancel>
            <Button
              variant={props.danger ? "danger" : "primary"}
              disabled={props.disabled}
              busy={props.busy}
              onClick={props.onConfirm}
            >
              {props.confirm}
            </Button>
          </div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
