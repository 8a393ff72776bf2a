import { CircleCheck, CircleX } from "lucide-react";
import { Link } from "react-router-dom";
import { Card, Code, plural, RelativeTime, useNow } from "../host";
import type { ServiceStatus } from "../types";

/** Milliseconds by which this machine's clock may be ahead of the server's. */
const CLOCKS_DIFFER = 30_000;

type Lease = ServiceStatus["leases"][number];

/** Who runs what, on all servers; a worker that no longer renews its leases loses its orders. */
export function WorkerLeases({ status: { worker, leases } }: { status: ServiceStatus }) {
  const now = useNow(5) - CLOCKS_DIFFER;
  const workers = new Map<string, Lease[]>([[worker.worker_id, []]]);
  for (const lease of leases) workers.set(lease.worker_id, [...(workers.get(lease.worker_id) ?? []), lease]);
  return (
    <Card as="section" aria-label="Workers" className="flex flex-col gap-3">
      <h2 className="font-semibold">Workers</h2>
      <ul className="flex flex-col gap-3">
        {[...workers].map(([id, held]) => (
          <li key={id} className="flex min-w-0 flex-col gap-1">
            <WorkerLine
              id={id}
              here={id === worker.worker_id}
              held={held.length}
              silent={held.filter((lease) => Date.parse(lease.expires_at) < now).length}
            />
            <ul className="flex flex-col gap-1 pl-6 text-sm">
              {held.map((lease) => (
                <li key={lease.agent_work_order_id} className="flex flex-wrap items-center gap-x-2">
                  <Link
                    to={`/agent-work-orders/${lease.agent_work_order_id}`}
                    className="break-all font-mono text-accent text-code underline"
                  >
                    {lease.agent_work_order_id}
                  </Link>
                  <span className="text-muted">
                    {Date.parse(lease.expires_at) < now ? "lease ended" : "lease ends"}{" "}
                    <RelativeTime at={lease.expires_at} />
                  </span>
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </Card>
  );
}

function WorkerLine({ id, here, held, silent }: { id: string; here: boolean; held: number; silent: number }) {
  const Icon = silent > 0 ? CircleX : CircleCheck;
  return (
    <div className="flex min-w-0 flex-wrap items-center gap-x-2">
      <Icon size={16} aria-hidden className={`shrink-0 ${silent > 0 ? "text-failed" : "text-completed"}`} />
      <Code>{id}</Code>
      {here && <span className="text-muted">this server</span>}
      <span className={silent > 0 ? "text-failed" : "text-muted"}>
        {silent > 0
          ? `silent: ${plural(silent, "order")} will be taken over by the next free worker`
          : held > 0
            ? `runs ${plural(held, "order")}`
            : "runs nothing now"}
      </span>
    </div>
  );
}
