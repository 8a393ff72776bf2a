/** Addresses of the pages. The server answers these with the page, and everything else as before. */
export const PATHS = {
  workOrders: "/agent-work-orders",
  newWorkOrder: "/agent-work-orders/new",
  workOrder: "/agent-work-orders/:id",
  repositories: "/agent-work-orders/repositories",
  status: "/agent-work-orders/status",
  settings: "/settings",
} as const;
