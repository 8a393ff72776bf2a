import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { liveOrders } from "../services/liveOrders";
import { statusService } from "../services/statusService";
import { workOrderService } from "../services/workOrderService";
import { workOrderKeys } from "./keys";
import { useLive } from "./useWorkOrders";

/** Without the stream. A page that nobody sees asks for nothing. */
const ASK_EVERY = 10_000;
/** With it: disk, leases and health change without an order's changing. */
const LOOK_EVERY = 30_000;
/** However many orders change at once. */
const AT_MOST_EVERY = 1_000;

/** Status and health, fresh by the stream of changes; where that is not live, by asking. */
export function useServiceStatus() {
  const client = useQueryClient();
  const live = useLive().state === "live";
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = liveOrders.onChange(() => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ queryKey: workOrderKeys.status });
      }, AT_MOST_EVERY);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [client]);
  const refetchInterval = live ? LOOK_EVERY : ASK_EVERY;
  const status = useQuery({
    queryKey: workOrderKeys.status,
    queryFn: ({ signal }) => workOrderService.status(signal),
    staleTime: 0,
    refetchInterval,
  });
  const health = useQuery({
    queryKey: workOrderKeys.health,
    queryFn: ({ signal }) => statusService.health(signal),
    staleTime: 0,
    refetchInterval,
  });
  return { status, health, live };
}
