import { useLive } from "../hooks/useWorkOrders";
import { Button, cn, duration, useNow } from "../host";
import { liveOrders } from "../services/liveOrders";

/** Says when what is shown may be old. A blip of a second is not worth a word. */
export function LiveBar({ className }: { className?: string }) {
  const live = useLive();
  const now = useNow();
  const lost = live.since === null ? 0 : (now - live.since) / 1000;
  if (live.state === "live" || live.state === "ended" || (live.state === "connecting" && lost < 1)) return null;
  return (
    <div
      role="status"
      className={cn(
        "fixed inset-x-3 bottom-20 z-30 flex items-center justify-between gap-3 rounded-lg border border-waiting bg-waiting-soft px-3 py-1.5 text-waiting sm:inset-x-auto sm:bottom-4 sm:left-1/2 sm:-translate-x-1/2",
        className,
      )}
    >
      <span>
        {live.state === "refused"
          ? `Not live: ${live.error?.message ?? "the server refused the connection."} ${live.error?.nextAction ?? ""}`
          : `Not live: reconnecting${lost > 0 ? `, last update ${duration(lost)} ago` : ""}`}
      </span>
      <Button size="small" onClick={liveOrders.retry}>
        Reconnect now
      </Button>
    </div>
  );
}
