import { CircleAlert } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { cn } from "@/features/shared/utils/cn";
import { Button } from "./button";
import { Card } from "./card";

/** Grey shapes of what will come, shown only when it takes longer than a blink. */
export function Skeleton({ className, lines = 1 }: { className?: string; lines?: number }) {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), 150);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div role="status" aria-label="Loading" className={cn("flex flex-col gap-2", !late && "invisible")}>
      {Array.from({ length: lines }, (_, line) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the shapes are all alike and never move
        <div key={line} className={cn("h-14 rounded-lg bg-sunk", className)} />
      ))}
    </div>
  );
}

/** One sentence and one thing to do, where there is nothing yet. */
export function Empty({ title, children, action }: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-3 px-4 py-12 text-center">
      <h2 className="font-semibold text-base">{title}</h2>
      {children && <div className="max-w-prose text-muted text-sm">{children}</div>}
      {action}
    </div>
  );
}

interface ProblemProps {
  /** What is the case, in one sentence. */
  message: string;
  /** What a person can do next. */
  nextAction?: string | null | undefined;
  onRetry?: (() => void) | undefined;
  children?: ReactNode;
  className?: string;
}

/** An error with its next action; it replaces nothing that is already on the page. */
export function Problem({ message, nextAction, onRetry, children, className }: ProblemProps) {
  return (
    <Card edge="failed" role="alert" className={cn("flex flex-col gap-2", className)}>
      <p className="flex items-start gap-2 font-medium">
        <CircleAlert size={18} aria-hidden className="mt-px shrink-0 text-failed" />
        <span className="min-w-0 break-words">{message}</span>
      </p>
      {nextAction && <p className="break-words text-muted">{nextAction}</p>}
      {children}
      {onRetry && (
        <div>
          <Button size="small" onClick={onRetry}>
            Try again
          </Button>
        </div>
      )}
    </Card>
  );
}
