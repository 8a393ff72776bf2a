import * as Radix from "@radix-ui/react-select";
import { Check, ChevronDown } from "lucide-react";
import { cn } from "@/features/shared/utils/cn";
import { styleNonce } from "@/features/shared/utils/nonce";
import { portalHome } from "./portal";

export interface Option<T extends string = string> {
  value: T;
  label: string;
  hint?: string;
}

interface SelectProps<T extends string> {
  value: T;
  onChange: (value: T) => void;
  options: Option<T>[];
  id?: string;
  className?: string;
  disabled?: boolean;
  placeholder?: string;
  "aria-label"?: string;
  "aria-describedby"?: string | undefined;
  "aria-invalid"?: boolean | undefined;
}

export function Select<T extends string>({
  value,
  onChange,
  options,
  className,
  disabled,
  placeholder,
  ...trigger
}: SelectProps<T>) {
  return (
    <Radix.Root value={value} onValueChange={(next) => onChange(next as T)} {...(disabled ? { disabled } : {})}>
      <Radix.Trigger
        {...trigger}
        className={cn(
          "inline-flex min-h-9 min-w-0 items-center justify-between gap-2 rounded-lg border border-control bg-card px-3 text-left text-sm pointer-coarse:min-h-11 disabled:cursor-not-allowed disabled:opacity-60 data-placeholder:text-muted",
          className,
        )}
      >
        <span className="truncate">
          <Radix.Value placeholder={placeholder} />
        </span>
        <ChevronDown size={16} aria-hidden className="shrink-0 text-muted" />
      </Radix.Trigger>
      <Radix.Portal container={portalHome()}>
        <Radix.Content
          position="popper"
          sideOffset={4}
          className="z-50 max-h-(--radix-select-content-available-height) min-w-(--radix-select-trigger-width) max-w-[92vw] animate-fade-in overflow-hidden rounded-lg border border-line bg-card text-ink"
        >
          <Radix.Viewport className="p-1" nonce={styleNonce}>
            {options.map((option) => (
              <Radix.Item
                key={option.value}
                value={option.value}
                className="flex min-h-8 cursor-pointer items-start gap-2 rounded-md px-2 py-1.5 text-sm outline-none data-highlighted:bg-accent-soft pointer-coarse:min-h-11"
              >
                <span className="mt-0.5 size-4 shrink-0">
                  <Radix.ItemIndicator>
                    <Check size={16} aria-hidden />
                  </Radix.ItemIndicator>
                </span>
                <span className="min-w-0">
                  <Radix.ItemText>{option.label}</Radix.ItemText>
                  {option.hint && <span className="block text-xs text-muted">{option.hint}</span>}
                </span>
              </Radix.Item>
            ))}
          </Radix.Viewport>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}
