import { useEffect, useState } from "react";
import { useNavigate } from "react-router-dom";

/**
 * Holds back links inside the application and warns before the tab closes while something is unsaved. Works without a
 * data router, which the host does not have; for its back button and keys the draft stays in the session's storage.
 */
export function useLeaveGuard(unsaved: boolean) {
  const [target, setTarget] = useState<string | null>(null);
  const navigate = useNavigate();

  useEffect(() => {
    if (!unsaved) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    const hold = (event: MouseEvent) => {
      if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
      if (!(link instanceof HTMLAnchorElement) || (link.target && link.target !== "_self")) return;
      const url = new URL(link.href, location.href);
      if (url.origin !== location.origin || url.pathname === location.pathname) return;
      event.preventDefault();
      event.stopPropagation();
      setTarget(url.pathname + url.search + url.hash);
    };
    window.addEventListener("beforeunload", warn);
    document.addEventListener("click", hold, true);
    return () => {
      window.removeEventListener("beforeunload", warn);
      document.removeEventListener("click", hold, true);
    };
  }, [unsaved]);

  return {
    asking: target !== null,
    stay: () => setTarget(null),
    leave: () => {
      if (target) navigate(target);
      setTarget(null);
    },
  };
}
