import { CircleCheck, CircleX, TriangleAlert } from "lucide-react";
import { Card } from "../host";
import type { Health, ServiceStatus } from "../types";
import { CheckList } from "./CheckList";

/** The first question of the page: can it take work? And for what it leans on, one by one, what to do. */
export function ServiceHealth({ health, status }: { health: Health; status: ServiceStatus | undefined }) {
  const { Icon, colour, edge, words } = LOOKS[standing(health, status)];
  return (
    <Card as="section" edge={edge} aria-label="Health" className="flex flex-col gap-3">
      <p role="status" className={`flex items-center gap-2 font-semibold text-base ${colour}`}>
        <Icon size={20} aria-hidden className="shrink-0" />
        {words}
      </p>
      {health.checks.length > 0 && <CheckList checks={[...health.checks].sort(wrongFirst)} label="Health checks" />}
    </Card>
  );
}

type Standing = "good" | "full" | "degraded" | "down";

const LOOKS = {
  good: { Icon: CircleCheck, colour: "text-completed", edge: undefined, words: "Takes work" },
  full: { Icon: TriangleAlert, colour: "text-waiting", edge: "waiting", words: "Orders wait: the disk is full" },
  degraded: { Icon: TriangleAlert, colour: "text-waiting", edge: "waiting", words: "Works, but not all is well" },
  down: { Icon: CircleX, colour: "text-failed", edge: "failed", words: "Cannot run work orders" },
} as const;

function standing(health: Health, status: ServiceStatus | undefined): Standing {
  if (health.status === "disabled" || health.checks.some((check) => check.required && !check.ok)) return "down";
  if (status?.disk?.pressure === "full") return "full";
  return health.status === "healthy" ? "good" : "degraded";
}

interface Weighed {
  ok: boolean;
  required: boolean;
}

const weight = ({ ok, required }: Weighed) => (ok ? 2 : required ? 0 : 1);
const wrongFirst = (a: Weighed, b: Weighed) => weight(a) - weight(b);
