import { forwardRef, type InputHTMLAttributes, type ReactNode, type TextareaHTMLAttributes, useId } from "react";
import { cn } from "@/features/shared/utils/cn";

const CONTROL =
  "w-full rounded-lg border border-control bg-card px-3 py-1.5 text-sm text-ink min-h-9 pointer-coarse:min-h-11 " +
  "aria-invalid:border-failed disabled:opacity-60 disabled:cursor-not-allowed";

export const Input = forwardRef<HTMLInputElement, InputHTMLAttributes<HTMLInputElement>>(function Input(
  { className, ...rest },
  ref,
) {
  return <input ref={ref} className={cn(CONTROL, className)} {...rest} />;
});

export const Textarea = forwardRef<HTMLTextAreaElement, TextareaHTMLAttributes<HTMLTextAreaElement>>(function Textarea(
  { className, ...rest },
  ref,
) {
  return <textarea ref={ref} className={cn(CONTROL, "min-h-24 resize-y py-2", className)} {...rest} />;
});

export interface ControlProps {
  id: string;
  "aria-describedby": string | undefined;
  "aria-invalid": boolean | undefined;
}

interface FieldProps {
  label: ReactNode;
  /** What it does, in a sentence. */
  hint?: ReactNode;
  /** What is wrong with the value; reads as a sentence after the field's name. */
  problem?: string | undefined;
  /** What is true of the value: a fetched title, a reachable repository. */
  fact?: ReactNode;
  optional?: boolean;
  className?: string;
  children: (control: ControlProps) => ReactNode;
}

/** A label, its control, what it does and what is wrong with it, tied together for screen readers. */
export function Field({ label, hint, problem, fact, optional, className, children }: FieldProps) {
  const id = useId();
  const described = [hint && `${id}-hint`, fact && `${id}-fact`, problem && `${id}-problem`].filter(Boolean).join(" ");
  return (
    <div className={cn("flex min-w-0 flex-col gap-1", className)}>
      <label htmlFor={id} className="text-sm font-medium">
        {label}
        {optional && <span className="ml-1 font-normal text-muted">(optional)</span>}
      </label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": problem ? true : undefined })}
      {hint && (
        <p id={`${id}-hint`} className="text-xs text-muted">
          {hint}
        </p>
      )}
      {fact && (
        <p id={`${id}-fact`} className="text-xs" role="status">
          {fact}
        </p>
      )}
      {problem && (
        <p id={`${id}-problem`} className="text-xs text-failed" role="alert">
          {problem.charAt(0).toUpperCase() + problem.slice(1)}
        </p>
      )}
    </div>
  );
}
