import { expect, test } from "vitest";
import { approvedJournal, failedJournal } from "@/test/journals";
import type { JournalEvent } from "../types";
import { MILESTONES, timelineOf } from "./timeline";

const { order, events } = approvedJournal;

test("each step of the plan has its end, its time and its cost", () => {
  const { steps, from, to } = timelineOf(order.selected_commands, events);
  expect(steps.map(({ name, status }) => [name, status])).toEqual(
    order.selected_commands.map((name) => [name, "completed"]),
  );
  const cost = steps.reduce((sum, step) => sum + step.cost, 0);
  expect(cost).toBeCloseTo(order.cost_usd ?? 0, 2);
  expect([from, to]).toEqual([events[0]?.at, events.at(-1)?.at]);
});

test("a step that was taken twice has two bars", () => {
  const { steps } = timelineOf(order.selected_commands, events);
  const execute = steps.find(({ name }) => name === "execute");
  expect(execute?.spans).toHaveLength(2);
  expect(execute?.spans.every((span) => span.to !== null)).toBe(true);
});

test("waiting and the queue are told apart from work", () => {
  const { pauses } = timelineOf(order.selected_commands, events);
  expect(pauses.filter(({ kind }) => kind === "wait")).toHaveLength(3);
  expect(pauses.every(({ to }) => to !== null)).toBe(true);
});

test("the milestones alone say the same as the whole journal", () => {
  const few = events.filter(({ kind }) => MILESTONES.includes(kind));
  expect(timelineOf(order.selected_commands, few)).toEqual(timelineOf(order.selected_commands, events));
});

test("what was not reached has no beginning", () => {
  const { steps } = timelineOf(failedJournal.order.selected_commands, failedJournal.events);
  expect(steps[0]).toMatchObject({ status: "failed", error: expect.stringContaining("not found") });
  expect(steps[1]).toMatchObject({ status: null, seq: null, spans: [] });
});

test("a running step has no end yet, and a lost server ends its bar", () => {
  const upTo = events.slice(0, events.findIndex(({ kind }) => kind === "agent_started") + 1);
  const running = timelineOf(order.selected_commands, upTo).steps.find(({ status }) => status === "running");
  expect(running?.spans.at(-1)?.to).toBeNull();
  const lost = { ...upTo.at(-1), seq: 999, kind: "lease_lost", payload: {} } as unknown as JournalEvent;
  const after = timelineOf(order.selected_commands, [...upTo, lost]);
  expect(after.steps.find(({ name }) => name === running?.name)?.spans.at(-1)?.to).not.toBeNull();
  expect(after.pauses.at(-1)).toMatchObject({ kind: "queue", to: null });
});
