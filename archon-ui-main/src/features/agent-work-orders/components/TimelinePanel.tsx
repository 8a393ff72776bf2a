import { Circle, CircleCheck, CircleSlash, CircleX, LoaderCircle, type LucideIcon } from "lucide-react";
import { memo } from "react";
import { cn, duration, money, secondsBetween, useNow } from "../host";
import type { StepStatus } from "../types";
import type { Span, Timeline, TimelineStep } from "../utils/timeline";

const LOOKS: Record<StepStatus | "ahead", { icon: LucideIcon; colour: string; word: string }> = {
  ahead: { icon: Circle, colour: "text-muted", word: "not begun" },
  running: { icon: LoaderCircle, colour: "text-running", word: "running" },
  completed: { icon: CircleCheck, colour: "text-completed", word: "completed" },
  skipped: { icon: CircleSlash, colour: "text-muted", word: "skipped" },
  failed: { icon: CircleX, colour: "text-failed", word: "failed" },
  cancelled: { icon: CircleSlash, colour: "text-muted", word: "cancelled" },
};

const BARS: Record<Span["kind"], string> = {
  queue: "bg-pending hatched",
  wait: "bg-waiting hatched",
  work: "bg-running",
};

interface TimelinePanelProps {
  timeline: Timeline;
  /** The step whose lines alone are shown; null for all. */
  chosen: number | null;
  onChoose: (step: number | null) => void;
}

/** The plan's steps with their times on one scale, what they cost, and how they ended. */
export const TimelinePanel = memo(function TimelinePanel({ timeline, chosen, onChoose }: TimelinePanelProps) {
  const now = useNow(timeline.to === null ? 1 : 0);
  const from = timeline.from ? Date.parse(timeline.from) : now;
  const whole = Math.max(1, (timeline.to ? Date.parse(timeline.to) : now) - from);
  const queued = timeline.pauses.filter((span) => span.kind === "queue");
  const waited = timeline.pauses.filter((span) => span.kind === "wait");
  return (
    <ol className="flex flex-col">
      {timeline.steps.map((step) => (
        <li key={step.order}>
          <StepLine
            step={step}
            from={from}
            whole={whole}
            now={now}
            chosen={chosen === step.order}
            onChoose={() => onChoose(chosen === step.order ? null : step.order)}
          />
        </li>
      ))}
      {(["queue", "wait"] as const).map((kind) => {
        const spans = kind === "queue" ? queued : waited;
        const seconds = spans.reduce((sum, span) => sum + secondsBetween(span.from, span.to, now), 0);
        if (seconds < 1) return null;
        return (
          <li key={kind} className="px-2 py-1.5 text-muted text-xs">
            <span className="flex justify-between gap-2">
              <span>{kind === "queue" ? "in the queue" : "waiting"}</span>
              <span className="tabular">{duration(seconds)}</span>
            </span>
            <Bars spans={spans} from={from} whole={whole} now={now} />
          </li>
        );
      })}
    </ol>
  );
});

interface StepLineProps {
  step: TimelineStep;
  from: number;
  whole: number;
  now: number;
  chosen: boolean;
  onChoose: () => void;
}

function StepLine({ step, from, whole, now, chosen, onChoose }: StepLineProps) {
  const { icon: Icon, colour, word } = LOOKS[step.status ?? "ahead"];
  const running = step.status === "running";
  const open = step.spans.at(-1);
  const seconds = (step.seconds ?? 0) + (running && open ? secondsBetween(open.from, null, now) : 0);
  const attempts = new Set(step.spans.map((span) => span.attempt)).size;
  return (
    <button
      type="button"
      aria-pressed={chosen}
      disabled={step.seq === null}
      title={step.error ?? (step.seq === null ? undefined : "Show this step's lines alone")}
      onClick={onChoose}
      className={cn(
        "w-full rounded-md px-2 py-1.5 text-left focus-visible:-outline-offset-2 enabled:hover:bg-sunk disabled:cursor-default",
        chosen && "bg-accent-soft",
      )}
    >
      <span className="flex min-w-0 items-center gap-2">
        <Icon size={16} aria-hidden className={cn("shrink-0", colour, running && "animate-spin")} />
        <span className="min-w-0 flex-1 truncate">
          {step.name}
          <span className="sr-only">, {word}</span>
          {attempts > 1 && <span className="text-muted text-xs"> ×{attempts}</span>}
        </span>
        {step.cost > 0 && <span className="tabular text-muted text-xs">{money(step.cost)}</span>}
        <span className="tabular w-18 text-right text-muted text-xs">{step.seq === null ? "" : duration(seconds)}</span>
      </span>
      <Bars spans={step.spans} from={from} whole={whole} now={now} />
    </button>
  );
}

function Bars({ spans, from, whole, now }: { spans: Span[]; from: number; whole: number; now: number }) {
  if (spans.length === 0) return null;
  return (
    <span aria-hidden className="relative mt-1 block h-1 overflow-hidden rounded-full bg-sunk">
      {spans.map((span) => {
        const start = (Date.parse(span.from) - from) / whole;
        const end = ((span.to ? Date.parse(span.to) : now) - from) / whole;
        return (
          <span
            key={span.from}
            className={cn("absolute inset-y-0 min-w-0.5 rounded-full", BARS[span.kind], colourOf(span))}
            style={{ left: `${start * 100}%`, width: `${Math.max(0, end - start) * 100}%` }}
          />
        );
      })}
    </span>
  );
}

const colourOf = (span: Span): string =>
  span.kind !== "work"
    ? ""
    : span.status === "failed"
      ? "bg-failed"
      : span.status === "completed"
        ? "bg-completed"
        : "";
