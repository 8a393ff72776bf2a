import { Slot } from "@radix-ui/react-slot";
import { type ButtonHTMLAttributes, forwardRef } from "react";
import { cn } from "@/features/shared/utils/cn";

const VARIANTS = {
  primary: "bg-accent text-on-accent border-transparent hover:opacity-90",
  plain: "bg-card text-ink border-control hover:bg-sunk",
  ghost: "bg-transparent text-ink border-transparent hover:bg-sunk",
  danger: "bg-failed text-on-failed border-transparent hover:opacity-90",
} as const;

const SIZES = {
  default: "min-h-9 px-3 text-sm pointer-coarse:min-h-11",
  small: "min-h-7 px-2 text-xs pointer-coarse:min-h-11",
  icon: "size-9 justify-center pointer-coarse:size-11",
} as const;

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  variant?: keyof typeof VARIANTS;
  size?: keyof typeof SIZES;
  /** Renders the only child (a link) with the looks of a button. */
  asChild?: boolean;
  /** What it is doing now; the button is disabled meanwhile and says so. */
  busy?: string | undefined;
}

export const Button = forwardRef<HTMLButtonElement, ButtonProps>(function Button(
  { variant = "plain", size = "default", asChild = false, busy, className, children, disabled, ...rest },
  ref,
) {
  const Element = asChild ? Slot : "button";
  return (
    <Element
      ref={ref}
      type={asChild ? undefined : "button"}
      disabled={asChild ? undefined : disabled || busy !== undefined}
      aria-busy={busy !== undefined || undefined}
      className={cn(
        "inline-flex items-center justify-center gap-2 rounded-lg border font-medium whitespace-nowrap transition-colors duration-120",
        "disabled:opacity-60 disabled:cursor-not-allowed",
        VARIANTS[variant],
        SIZES[size],
        className,
      )}
      {...rest}
    >
      {busy !== undefined ? busy : children}
    </Element>
  );
});
