import { Activity, FolderGit2, ListChecks, Plus } from "lucide-react";
import { lazy, Suspense, useEffect } from "react";
import { NavLink, Route, Routes } from "react-router-dom";
import { LiveBar } from "../components/LiveBar";
import { NotificationBell } from "../components/NotificationBell";
import { cn, Skeleton } from "../host";
import { Frame } from "./Frame";

const WorkOrders = lazy(() => import("../views/WorkOrdersView"));
const NewWorkOrder = lazy(() => import("../views/NewWorkOrderView"));
const Repositories = lazy(() => import("../views/RepositoriesView"));
const Status = lazy(() => import("../views/StatusView"));
const WorkOrder = lazy(() => import("../views/WorkOrderView"));

const PLACES = [
  { to: "/agent-work-orders", label: "Work orders", icon: ListChecks },
  { to: "/agent-work-orders/new", label: "New work order", icon: Plus },
  { to: "/agent-work-orders/repositories", label: "Repositories", icon: FolderGit2 },
  { to: "/agent-work-orders/status", label: "Status", icon: Activity },
];

/** The pages of Agent Work Orders under one route of Archon's. */
export default function Pages() {
  useEffect(() => {
    // Archon names its tab once; what our pages write there must not outlive them.
    const before = document.title;
    return () => {
      document.title = before;
    };
  }, []);
  return (
    <Frame>
      <nav aria-label="Agent Work Orders" className="flex flex-wrap items-center gap-1 px-3 sm:px-6">
        {PLACES.map(({ to, label, icon: Icon }) => (
          <NavLink
            key={to}
            to={to}
            end
            className={({ isActive }) =>
              cn(
                "inline-flex min-h-9 items-center gap-2 rounded-lg px-3",
                isActive ? "bg-accent-soft font-medium text-accent" : "text-muted hover:bg-sunk hover:text-ink",
              )
            }
          >
            <Icon size={16} aria-hidden />
            {label}
          </NavLink>
        ))}
        <span className="ml-auto">
          <NotificationBell />
        </span>
      </nav>
      <Suspense fallback={<Skeleton lines={4} className="m-6" />}>
        <Routes>
          <Route index element={<WorkOrders />} />
          <Route path="new" element={<NewWorkOrder />} />
          <Route path="repositories" element={<Repositories />} />
          <Route path="status" element={<Status />} />
          <Route path=":id" element={<WorkOrder />} />
        </Routes>
      </Suspense>
      <LiveBar />
    </Frame>
  );
}
