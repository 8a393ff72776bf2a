import { type ReactNode, useEffect } from "react";
import { cn } from "@/features/shared/utils/cn";

interface PageProps {
  title: string;
  /** Beside the title: what one can do here. */
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
  /** What the browser's tab says; the title where it is left out. */
  tab?: string;
}

/** A page's frame: one heading, its actions, and the name of the browser's tab. */
export function Page({ title, actions, children, className, tab }: PageProps) {
  useEffect(() => {
    document.title = `${tab ?? title} · Archon`;
  }, [tab, title]);
  return (
    <div className={cn("mx-auto flex w-full max-w-360 min-w-0 flex-col gap-4 p-3 sm:p-6", className)}>
      <div className="flex min-h-11 flex-wrap items-center justify-between gap-3 pr-26 sm:min-h-9 sm:pr-0">
        <h1 className="min-w-0 font-semibold text-xl">{title}</h1>
        {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
      </div>
      {children}
    </div>
  );
}
