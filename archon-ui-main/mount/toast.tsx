import { useMemo } from "react";
import { useToast as useArchonToast } from "@/features/shared/hooks/useToast";
import { useToast as useOwnToast } from "./ui/primitives/toast";

export { ToastProvider } from "./ui/primitives/toast";

/** Archon's own toasts, so that two do not stack; ours where there is something to press, which Archon's cannot show. */
export function useToast(): ReturnType<typeof useOwnToast> {
  const { showToast: show } = useArchonToast();
  const { showToast: showOwn } = useOwnToast();
  return useMemo(
    () => ({
      showToast: (message, kind = "info", duration = 4000, action) =>
        action ? showOwn(message, kind, duration, action) : show(message, kind, duration),
    }),
    [show, showOwn],
  );
}
