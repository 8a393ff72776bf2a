import * as Radix from "@radix-ui/react-toast";
import { X } from "lucide-react";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { cn } from "@/features/shared/utils/cn";
import { Button } from "./button";

type Kind = "success" | "error" | "info" | "warning";

interface Shown {
  id: number;
  message: string;
  kind: Kind;
  duration: number;
  action?: { label: string; run: () => void } | undefined;
}

interface Toasts {
  /** Says what happened. Never the only copy of an error. `action` undoes it. */
  showToast: (message: string, kind?: Kind, duration?: number, action?: Shown["action"]) => void;
}

const Context = createContext<Toasts | null>(null);

export function useToast(): Toasts {
  const found = useContext(Context);
  if (!found) throw new Error("useToast needs a ToastProvider above it.");
  return found;
}

const EDGES: Record<Kind, string> = {
  success: "border-l-completed",
  error: "border-l-failed",
  info: "border-l-accent",
  warning: "border-l-waiting",
};

let nextId = 1;

export function ToastProvider({ children }: { children: ReactNode }) {
  const [shown, setShown] = useState<Shown[]>([]);
  const showToast = useCallback<Toasts["showToast"]>((message, kind = "info", duration = 4000, action) => {
    const toast = { id: nextId++, message, kind, duration, action };
    setShown((before) => [...before.slice(-3), toast]);
  }, []);
  const close = (id: number) => setShown((before) => before.filter((toast) => toast.id !== id));
  return (
    <Context.Provider value={useMemo(() => ({ showToast }), [showToast])}>
      <Radix.Provider swipeDirection="right">
        {children}
        {shown.map((toast) => (
          <Radix.Root
            key={toast.id}
            duration={toast.duration}
            type={toast.kind === "error" ? "foreground" : "background"}
            onOpenChange={(open) => open || close(toast.id)}
            className={cn(
              "flex animate-fade-in items-center gap-3 rounded-lg border border-line border-l-4 bg-card p-3 text-sm",
              EDGES[toast.kind],
            )}
          >
            <Radix.Description className="min-w-0 flex-1 break-words">{toast.message}</Radix.Description>
            {toast.action && (
              <Radix.Action altText={toast.action.label} asChild onClick={toast.action.run}>
                <Button size="small">{toast.action.label}</Button>
              </Radix.Action>
            )}
            <Radix.Close asChild>
              <Button variant="ghost" size="icon" aria-label="Dismiss" className="size-7">
                <X size={14} aria-hidden />
              </Button>
            </Radix.Close>
          </Radix.Root>
        ))}
        <Radix.Viewport className="fixed right-4 bottom-20 left-4 z-60 flex flex-col gap-2 outline-none sm:bottom-4 sm:left-auto sm:w-96" />
      </Radix.Provider>
    </Context.Provider>
  );
}
