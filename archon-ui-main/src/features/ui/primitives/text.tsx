import { Check, Copy } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { useNow } from "@/features/shared/hooks/useNow";
import { cn } from "@/features/shared/utils/cn";
import { exactTime, relativeTime } from "@/features/shared/utils/time";
import { Button } from "./button";

/** "4 min. ago", with the exact time on hover and for screen readers. */
export function RelativeTime({ at, className }: { at: string; className?: string }) {
  const now = useNow(Date.now() - Date.parse(at) > 60_000 ? 30 : 1);
  return (
    <time dateTime={at} title={exactTime(at)} className={cn("tabular whitespace-nowrap", className)}>
      {relativeTime(at, now)}
    </time>
  );
}

interface CopyButtonProps {
  text: string | (() => string);
  label: string;
  className?: string;
}

/** A button that copies text and says that it did; a text that is dear to make is made when it is pressed. */
export function CopyButton({ text, label, className }: CopyButtonProps) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <Button
      variant="ghost"
      size="icon"
      className={cn("size-6 pointer-coarse:size-9", className)}
      aria-label={copied ? `${label}: copied` : label}
      title={label}
      onClick={async () => {
        try {
          await navigator.clipboard.writeText(typeof text === "string" ? text : text());
          setCopied(true);
        } catch {
          // Without a secure origin there is no clipboard; the text itself can be selected.
        }
      }}
    >
      {copied ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />}
    </Button>
  );
}

/** An identifier, branch or address: cut by width, whole in its title, and there to be copied. */
export function Code({ children, copy, className }: { children: string; copy?: string; className?: string }) {
  return (
    <span className={cn("inline-flex min-w-0 max-w-full items-center gap-1 align-bottom", className)}>
      <code className="min-w-0 truncate font-mono text-code" title={children}>
        {children}
      </code>
      {copy && <CopyButton text={children} label={copy} />}
    </span>
  );
}

/** The name of a key, as it is printed on it. */
export const Key = ({ children }: { children: ReactNode }) => (
  <kbd className="rounded border border-line bg-sunk px-1 font-mono text-ink text-xs">{children}</kbd>
);
