import type { HTMLAttributes } from "react";
import { cn } from "@/features/shared/utils/cn";

interface CardProps extends HTMLAttributes<HTMLElement> {
  as?: "div" | "section" | "article" | "aside";
  /** Edge light; only for what is alive: the running step, or what needs a person. */
  edge?: "accent" | "failed" | "waiting" | "completed" | "running" | undefined;
}

const EDGES = {
  accent: "border-l-accent",
  failed: "border-l-failed",
  waiting: "border-l-waiting",
  completed: "border-l-completed",
  running: "border-l-running",
};

export function Card({ as: Element = "div", edge, className, ...rest }: CardProps) {
  return (
    <Element
      className={cn("rounded-lg border border-line bg-card p-3 sm:p-4", edge && ["border-l-2", EDGES[edge]], className)}
      {...rest}
    />
  );
}
