import { Activity, FolderGit2, ListChecks, type LucideIcon, Plus, Settings } from "lucide-react";
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
  {
    path: PATHS.repositories,
    element: lazy(() => import("@/features/agent-work-orders/views/RepositoriesView")),
    nav: { label: "Repositories", short: "Repos", icon: FolderGit2, key: "r" },
  },
  {
    path: PATHS.status,
    element: lazy(() => import("@/features/agent-work-orders/views/StatusView")),
    nav: { label: "Status", short: "Status", icon: Activity, key: "s" },
  },
  { path: PATHS.workOrder, element: lazy(() => import("@/features/agent-work-orders/views/WorkOrderView")) },
  {
    path: PATHS.settings,
    element: lazy(() => import("@/features/settings/views/SettingsView")),
    nav: { label: "Settings", short: "Settings", icon: Settings, key: "," },
  },
];

export const NAVIGATION = ROUTES.flatMap(({ path, nav }) => (nav ? [{ path, ...nav }] : []));
