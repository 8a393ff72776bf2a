import * as Radix from "@radix-ui/react-dialog";
import { X } from "lucide-react";
import type { ReactNode } from "react";
import { cn } from "@/features/shared/utils/cn";
import { Button } from "./button";
import { useOpener } from "./opener";
import { portalHome } from "./portal";

const OVERLAY = "fixed inset-0 z-40 bg-black/60 animate-fade-in";
const PANEL =
  "fixed z-50 bg-card text-ink border border-line animate-fade-in flex flex-col gap-4 p-4 overflow-y-auto max-h-[92dvh]";

interface DialogProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  title: string;
  description?: ReactNode;
  children?: ReactNode;
  footer?: ReactNode;
  wide?: boolean;
}

/** A dialog; on a phone a sheet from below. Focus goes in when it opens and back to the opener when it closes. */
export function Dialog({ open, onOpenChange, title, description, children, footer, wide }: DialogProps) {
  const opener = useOpener(open);
  return (
    <Radix.Root open={open} onOpenChange={onOpenChange}>
      <Radix.Portal container={portalHome()}>
        <Radix.Overlay className={OVERLAY} />
        <Radix.Content
          {...opener}
          {...(description ? {} : { "aria-describedby": undefined })}
          className={cn(
            PANEL,
            "inset-x-0 bottom-0 rounded-t-lg sm:inset-x-auto sm:bottom-auto sm:left-1/2 sm:top-1/2 sm:w-[min(92vw,32rem)] sm:-translate-x-1/2 sm:-translate-y-1/2 sm:rounded-lg",
            wide && "sm:w-[min(94vw,64rem)]",
          )}
        >
          <div className="flex items-start justify-between gap-4">
            <Radix.Title className="text-base font-semibold">{title}</Radix.Title>
            <Radix.Close asChild>
              <Button variant="ghost" size="icon" aria-label="Close" className="-mt-1 -mr-1 size-7">
                <X size={16} aria-hidden />
              </Button>
            </Radix.Close>
          </div>
          {description && (
            <Radix.Description asChild>
              <div className="text-sm text-muted">{description}</div>
            </Radix.Description>
          )}
          {children}
          {footer && <div className="flex flex-wrap justify-end gap-2">{footer}</div>}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
