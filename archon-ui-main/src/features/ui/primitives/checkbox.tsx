import * as Radix from "@radix-ui/react-checkbox";
import { Check, Minus } from "lucide-react";
import { cn } from "@/features/shared/utils/cn";

export function Checkbox({ className, ...rest }: Radix.CheckboxProps) {
  return (
    <Radix.Root
      className={cn(
        "relative inline-flex size-5 shrink-0 items-center justify-center rounded border border-control bg-card text-on-accent after:absolute after:-inset-2 data-[state=checked]:border-accent data-[state=checked]:bg-accent data-[state=indeterminate]:bg-accent disabled:cursor-not-allowed disabled:opacity-60",
        className,
      )}
      {...rest}
    >
      <Radix.Indicator>
        {rest.checked === "indeterminate" ? <Minus size={14} aria-hidden /> : <Check size={14} aria-hidden />}
      </Radix.Indicator>
    </Radix.Root>
  );
}
