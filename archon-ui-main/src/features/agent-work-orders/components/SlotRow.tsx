import { Link } from "react-router-dom";
import { Card } from "../host";
import type { ServiceStatus } from "../types";

/** This server's slots as boxes: what runs in each leads to its order. */
export function SlotRow({ status: { worker, leases } }: { status: ServiceStatus }) {
  const mine = leases.filter((lease) => lease.worker_id === worker.worker_id);
  const free = Math.max(0, worker.slots - Math.max(worker.busy, mine.length));
  return (
    <Card as="section" aria-label="Slots" className="flex flex-col gap-3">
      <h2 className="font-semibold">
        Slots{" "}
        <span className="tabular font-normal text-muted">
          {worker.busy} of {worker.slots} busy
        </span>
      </h2>
      <ul className="flex flex-wrap gap-2">
        {mine.map(({ agent_work_order_id: id }) => (
          <li key={id} className="min-w-0">
            <Link
              to={`/agent-work-orders/${id}`}
              title={id}
              className="inline-flex min-h-9 max-w-full items-center truncate rounded-lg border border-running bg-running-soft px-3 font-mono text-code pointer-coarse:min-h-11"
            >
              {id}
            </Link>
          </li>
        ))}
        {Array.from({ length: free }, (_, place) => (
          <li
            // biome-ignore lint/suspicious/noArrayIndexKey: free slots are all alike
            key={`free-${place}`}
            className="inline-flex min-h-9 items-center rounded-lg border border-line border-dashed px-3 text-muted"
          >
            free
          </li>
        ))}
      </ul>
      <p className="text-muted text-sm">{confinementWords(worker.confinement)}</p>
    </Card>
  );
}

/** Who an agent runs as; names of a newer server are told as they are. */
function confinementWords(name: string): string {
  if (name === "same-user") return "Agents run as the server's own user, and can read what it can.";
  const [kind, user] = name.split(":");
  if (kind === "separate-user") return `Agents run as a user of their own (${user}), apart from the server.`;
  return `Agents are confined by ${name}.`;
}
