import { type ReactNode, useEffect, useRef } from "react";
import { useLocation } from "react-router-dom";
import { LiveBar } from "@/features/agent-work-orders/components/LiveBar";
import { NotificationBell } from "@/features/agent-work-orders/components/NotificationBell";
import { SignIn } from "@/features/agent-work-orders/components/SignIn";
import { Navigation } from "./Navigation";
import { Palette } from "./Palette";
import { Shortcuts } from "./Shortcuts";
import { YouMenu } from "./YouMenu";

/** What stands around every page. */
export function AppShell({ children }: { children: ReactNode }) {
  const main = useRef<HTMLElement>(null);
  const { pathname } = useLocation();
  const first = useRef(true);
  // A screen reader has to learn that there is another page now.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the address is what it reacts to
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current?.focus({ preventScroll: true });
  }, [pathname]);
  return (
    <>
      <a
        href="#main"
        className="sr-only z-60 rounded-lg bg-accent px-3 py-2 text-on-accent focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        Skip to the page
      </a>
      <Navigation />
      <div className="absolute top-3 right-3 z-20 flex items-center gap-1 sm:fixed sm:top-auto sm:right-auto sm:bottom-3 sm:left-0 sm:z-30 sm:w-18 sm:flex-col">
        <Palette />
        <NotificationBell />
        <YouMenu />
      </div>
      <main id="main" ref={main} tabIndex={-1} className="min-w-0 pb-(--bar) outline-none sm:pl-18">
        {children}
      </main>
      <LiveBar />
      <Shortcuts />
      <SignIn />
    </>
  );
}
