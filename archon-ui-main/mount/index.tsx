/// <reference lib="es2023" />
import { Bot } from "lucide-react";
import { lazy, Suspense } from "react";

/** What Archon's own three files name of Agent Work Orders. Everything behind it loads when somebody looks at it. */

const Pages = lazy(() => import("./Pages"));
const Settings = lazy(() => import("./Settings"));

export const agentWorkOrdersEntry = {
  path: "/agent-work-orders",
  icon: <Bot className="h-5 w-5" />,
  label: "Agent Work Orders",
  enabled: true,
};

export function AgentWorkOrdersPages() {
  return (
    <Suspense fallback={null}>
      <Pages />
    </Suspense>
  );
}

export function AgentWorkOrdersSection() {
  return (
    <Suspense fallback={null}>
      <Settings />
    </Suspense>
  );
}
