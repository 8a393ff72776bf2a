import * as Radix from "@radix-ui/react-switch";
import { cn } from "@/features/shared/utils/cn";

interface SwitchProps extends Radix.SwitchProps {
  className?: string;
}

export function Switch({ className, ...rest }: SwitchProps) {
  return (
    <Radix.Root
      className={cn(
        "inline-flex h-6 w-11 shrink-0 items-center rounded-full border border-control bg-sunk transition-colors data-[state=checked]:border-accent data-[state=checked]:bg-accent disabled:cursor-not-allowed disabled:opacity-60",
        className,
      )}
      {...rest}
    >
      <Radix.Thumb className="block size-4 translate-x-1 rounded-full bg-control transition-transform data-[state=checked]:translate-x-5.5 data-[state=checked]:bg-on-accent" />
    </Radix.Root>
  );
}
