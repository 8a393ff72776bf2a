/** From a journal's events to what each step did and when. Pure. */
import type { EventKind, JournalEvent, StepStatus } from "../types";

/** Kinds that the timeline is made from; few, however long the journal is. */
export const MILESTONES: readonly EventKind[] = [
  "order_enqueued",
  "order_claimed",
  "step_started",
  "step_finished",
  "order_waiting",
  "order_resumed",
  "lease_lost",
  "check_run",
  "policy_checked",
  "branch_pushed",
  "pull_request_opened",
  "message_received",
  "message_delivered",
  "approval_answered",
  "cancel_requested",
  "order_finished",
];

export interface Span {
  /** `queue` and `wait` hold no slot; `work` does. */
  kind: "queue" | "wait" | "work";
  from: string;
  /** Null while it lasts. */
  to: string | null;
  attempt: number;
  status: StepStatus | null;
}

export interface TimelineStep {
  order: number;
  name: string;
  agent: string;
  /** Null: not reached yet. */
  status: StepStatus | null;
  spans: Span[];
  seconds: number | null;
  cost: number;
  error: string | null;
  /** Of its latest beginning, to jump to; null if it never began. */
  seq: number | null;
}

export interface Timeline {
  steps: TimelineStep[];
  /** Time that no step had: in the queue, or waiting for something. */
  pauses: Span[];
  from: string | null;
  to: string | null;
}

/** What each step of the plan did and when, over all attempts. `plan` is the order's list of step names. */
export function timelineOf(plan: readonly string[], events: readonly JournalEvent[]): Timeline {
  const steps = plan.map(
    (name, at): TimelineStep => ({
      order: at + 1,
      name,
      agent: "",
      status: null,
      spans: [],
      seconds: null,
      cost: 0,
      error: null,
      seq: null,
    }),
  );
  const pauses: Span[] = [];
  let running: TimelineStep | undefined;
  let pause: Span | undefined;

  const stepAt = (event: JournalEvent, name: string): TimelineStep => {
    const order = event.step_order ?? 0;
    const found = steps[order - 1] ?? steps.find((step) => step.name === name);
    if (found) return found;
    const extra: TimelineStep = { ...blank, order: order || steps.length + 1, name, spans: [] };
    steps.push(extra);
    return extra;
  };
  const endPause = (at: string) => {
    if (pause) pause.to = at;
    pause = undefined;
  };
  const beginPause = (kind: Span["kind"], event: JournalEvent) => {
    endPause(event.at);
    pause = { kind, from: event.at, to: null, attempt: event.attempt, status: null };
    pauses.push(pause);
  };
  const endStep = (at: string, status: StepStatus | null) => {
    const span = running?.spans.at(-1);
    if (running && span && span.to === null) {
      span.to = at;
      span.status = status;
      running.status = status;
    }
    running = undefined;
  };

  for (const event of events) {
    switch (event.kind) {
      case "order_enqueued":
        beginPause("queue", event);
        break;
      case "order_claimed":
        endPause(event.at);
        break;
      case "step_started": {
        endPause(event.at);
        running = stepAt(event, event.payload.step_name);
        running.agent = event.payload.agent_name;
        running.status = "running";
        running.error = null;
        running.seq = event.seq;
        running.spans.push({ kind: "work", from: event.at, to: null, attempt: event.attempt, status: "running" });
        break;
      }
      case "step_finished": {
        const step = stepAt(event, event.payload.step_name);
        const span = step.spans.at(-1);
        if (span && span.to === null) Object.assign(span, { to: event.at, status: event.payload.status });
        step.status = event.payload.status;
        step.seconds = (step.seconds ?? 0) + event.payload.duration_seconds;
        step.cost += event.payload.cost_usd ?? 0;
        step.error = event.payload.error_message ?? null;
        step.seq ??= event.seq;
        running = undefined;
        break;
      }
      case "order_waiting":
        endStep(event.at, null);
        beginPause("wait", event);
        break;
      case "order_resumed":
      case "lease_lost":
        endStep(event.at, null);
        beginPause("queue", event);
        break;
      case "order_finished":
        endStep(event.at, event.payload.status === "cancelled" ? "cancelled" : "failed");
        endPause(event.at);
        break;
    }
  }
  const ended = events.findLast((event) => event.kind === "order_finished");
  const finished = ended && ended === events.at(-1) ? ended.at : null;
  return { steps, pauses, from: events[0]?.at ?? null, to: finished };
}

const blank: TimelineStep = {
  order: 0,
  name: "",
  agent: "",
  status: null,
  spans: [],
  seconds: null,
  cost: 0,
  error: null,
  seq: null,
};
