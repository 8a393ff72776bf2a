import {
  Ban,
  CalendarClock,
  CircleCheck,
  CircleX,
  Clock,
  LoaderCircle,
  type LucideIcon,
  PauseCircle,
} from "lucide-react";
import { cn } from "../host";
import type { Status, WorkOrder } from "../types";
import { statusWord } from "../utils/words";

const LOOKS: Record<Status, { icon: LucideIcon; colour: string }> = {
  scheduled: { icon: CalendarClock, colour: "text-muted" },
  pending: { icon: Clock, colour: "text-pending" },
  running: { icon: LoaderCircle, colour: "text-running" },
  waiting: { icon: PauseCircle, colour: "text-waiting" },
  completed: { icon: CircleCheck, colour: "text-completed" },
  failed: { icon: CircleX, colour: "text-failed" },
  cancelled: { icon: Ban, colour: "text-muted" },
};

interface StatusBadgeProps {
  order: Pick<WorkOrder, "status" | "waiting_reason" | "cancel_requested_at">;
  /** A page has one turning ring at most. */
  turning?: boolean;
  className?: string;
}

/** Icon, word and colour together: none of them is the only sign. */
export function StatusBadge({ order, turning, className }: StatusBadgeProps) {
  const { icon: Icon, colour } = LOOKS[order.status] ?? LOOKS.pending;
  return (
    <span className={cn("inline-flex items-center gap-1.5 font-medium whitespace-nowrap", colour, className)}>
      <Icon size={16} aria-hidden className={cn("shrink-0", turning && order.status === "running" && "animate-spin")} />
      {statusWord(order)}
    </span>
  );
}
