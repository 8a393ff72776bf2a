import type { ListFilter } from "../services/workOrderService";

export const workOrderKeys = {
  all: ["work-orders"] as const,
  lists: () => [...workOrderKeys.all, "list"] as const,
  list: (filter: ListFilter) => [...workOrderKeys.lists(), filter] as const,
  needsYou: () => [...workOrderKeys.all, "needs-you"] as const,
  detail: (id: string) => [...workOrderKeys.all, "detail", id] as const,
  diff: (id: string, lastCheckpoint: string) => [...workOrderKeys.all, "diff", id, lastCheckpoint] as const,
  artifacts: (id: string) => [...workOrderKeys.all, "artifacts", id] as const,
  messages: (id: string) => [...workOrderKeys.all, "messages", id] as const,
  workflows: ["awo-workflows"] as const,
  status: ["awo-status"] as const,
  health: ["awo-health"] as const,
  repositories: ["awo-repositories"] as const,
};
