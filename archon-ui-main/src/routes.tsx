import { ListChecks, type LucideIcon, Plus } from "lucide-react";
import { type ComponentType, lazy } from "react";
import { PATHS } from "./paths";

interface PageRoute {
  path: string;
  element: ComponentType;
  /** Its place in the navigation, where it has one. */
  nav?: { label: string; short: string; icon: LucideIcon; key: string };
}

/** Every page of ours, in the order of the navigation. A page is added here and nowhere else. */
export const ROUTES: PageRoute[] = [
  {
    path: PATHS.workOrders,
    element: lazy(() => import("@/features/agent-work-orders/views/WorkOrdersView")),
    nav: { label: "Work orders", short: "Orders", icon: ListChecks, key: "l" },
  },
  {
    path: PATHS.newWorkOrder,
    element: lazy(() => import("@/features/agent-work-orders/views/NewWorkOrderView")),
    nav: { label: "New work order", short: "New", icon: Plus, key: "n" },
  },
  { path: PATHS.workOrder, element: lazy(() => import("@/features/agent-work-orders/views/WorkOrderView")) },
];

export const NAVIGATION = ROUTES.flatMap(({ path, nav }) => (nav ? [{ path, ...nav }] : []));
