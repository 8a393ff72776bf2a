import { CircleCheck, CircleX, TriangleAlert } from "lucide-react";
import { Link } from "react-router-dom";
import { Button, bytes, Card, count } from "../host";
import type { Disk } from "../types";

const PRESSURE = {
  ok: { Icon: CircleCheck, colour: "text-completed", bar: "bg-accent", edge: undefined, words: "There is room." },
  low: {
    Icon: TriangleAlert,
    colour: "text-waiting",
    bar: "bg-waiting",
    edge: "waiting",
    words: "Space runs low: clean-up removes early what nobody needs.",
  },
  full: {
    Icon: CircleX,
    colour: "text-failed",
    bar: "bg-failed",
    edge: "failed",
    words: "The disk is full: orders wait until there is room.",
  },
} as const;

const KINDS: Record<string, string> = {
  checkout: "Checkouts",
  artifacts: "Artifacts",
  order: "Archived orders",
  mirror: "Mirrors",
  prepared: "Prepared checkouts",
  cache: "Caches",
  leftover: "Left-overs",
};

/** The volume: how full, what uses it, and making room. */
export function DiskCard({ disk }: { disk: Disk | null }) {
  if (!disk)
    return (
      <Card as="section" edge="failed" aria-label="Disk">
        <h2 className="font-semibold">Disk</h2>
        <p>It cannot be read. Look at the health checks above.</p>
      </Card>
    );
  const { Icon, colour, bar, edge, words } = PRESSURE[disk.pressure];
  const used = disk.total_bytes > 0 ? 1 - disk.free_bytes / disk.total_bytes : 0;
  const kinds = Object.entries(disk.used_bytes ?? {}).sort(([, a], [, b]) => b - a);
  return (
    <Card as="section" edge={edge} aria-label="Disk" className="flex flex-col gap-3">
      <h2 className="font-semibold">
        Disk{" "}
        <span className="tabular font-normal text-muted">
          {Math.round(used * 100)} % of {bytes(disk.total_bytes)}, {bytes(disk.free_bytes)} free
          {typeof disk.free_files === "number" && `, room for ${count(disk.free_files)} files`}
        </span>
      </h2>
      <span aria-hidden className="block h-2 overflow-hidden rounded-full bg-sunk">
        <span className={`block h-full ${bar}`} style={{ width: `${Math.min(100, used * 100)}%` }} />
      </span>
      <p className={`flex items-center gap-2 font-medium ${colour}`}>
        <Icon size={16} aria-hidden className="shrink-0" />
        {words}
      </p>
      {disk.low_bytes > 0 && (
        <p className="text-muted text-sm">
          Low below {bytes(disk.low_bytes)} free, full below {bytes(disk.min_free_bytes)}.
        </p>
      )}
      {kinds.length > 0 ? (
        <dl aria-label="What uses it" className="grid gap-x-6 gap-y-1 text-sm sm:grid-cols-2">
          {kinds.map(([kind, size]) => (
            <div key={kind} className="flex justify-between gap-2">
              <dt className="text-muted">{KINDS[kind] ?? kind}</dt>
              <dd className="tabular">{bytes(size)}</dd>
            </div>
          ))}
        </dl>
      ) : (
        <p className="text-muted text-sm">What uses it is known after the first clean-up.</p>
      )}
      <div>
        <Button size="small" asChild>
          <Link to="/settings?section=retention">Preview clean-up</Link>
        </Button>
      </div>
    </Card>
  );
}
