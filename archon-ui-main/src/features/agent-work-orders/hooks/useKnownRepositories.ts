import { useQuery } from "@tanstack/react-query";
import { ApiError, call } from "../services/client";
import { NO_FILTER, workOrderService } from "../services/workOrderService";
import { workOrderKeys } from "./keys";

/** Addresses to offer: what is configured, what recent orders used, and the sample of a rehearsal. */
export function useKnownRepositories() {
  return useQuery({
    queryKey: ["awo-known-repositories"],
    staleTime: 60_000,
    queryFn: async ({ signal }) => {
      const [configured, recent, status] = await Promise.all([
        configuredUrls(signal),
        workOrderService.list(NO_FILTER, null, 100, signal),
        workOrderService.status(signal),
      ]);
      const urls = [...configured, ...recent.work_orders.map((order) => order.repository_url)];
      return { urls: [...new Set(urls)], rehearsal: status.rehearsal };
    },
  });
}

async function configuredUrls(signal: AbortSignal): Promise<string[]> {
  try {
    const page = await call<{ repositories: { repository_url: string }[] }>("/repositories", { signal });
    return page.repositories.map((one) => one.repository_url);
  } catch (error) {
    // A server can be without configured repositories; the field offers the others then.
    if (error instanceof ApiError && (error.status === 404 || error.code === "no_registry")) return [];
    throw error;
  }
}

/** The status of the server, as far as the pages of orders need it. */
export function useServerStatus() {
  return useQuery({ queryKey: workOrderKeys.status, queryFn: ({ signal }) => workOrderService.status(signal) });
}
