/** What a work order's fields mean to a person. Pure. */
import type { Status, WaitingReason, WorkOrder } from "../types";

export const STATUS_WORDS: Record<Status, string> = {
  scheduled: "scheduled",
  pending: "pending",
  running: "running",
  waiting: "waiting",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};

const WAITING_WORDS: Record<WaitingReason, string> = {
  approval: "needs approval",
  reply: "needs a reply",
  usage_limit: "usage limit",
  budget: "budget reached",
  disk: "disk full",
  checks: "waits for checks",
};

export const waitingWords = (reason: WaitingReason): string => WAITING_WORDS[reason] ?? reason.replaceAll("_", " ");

type Described = Pick<WorkOrder, "status" | "waiting_reason" | "cancel_requested_at">;

/** The word for where an order stands: what is asked of it comes before what it still does. */
export function statusWord(order: Described): string {
  if (order.cancel_requested_at && (order.status === "running" || order.status === "pending")) return "cancelling";
  if (order.status === "waiting" && order.waiting_reason) return waitingWords(order.waiting_reason);
  return STATUS_WORDS[order.status] ?? order.status;
}

/** Whether it will not go on before a person does something. */
export const needsPerson = (order: Pick<WorkOrder, "status" | "waiting_until">): boolean =>
  order.status === "waiting" && !order.waiting_until;

/** "owner/name" of a repository's address. */
export function repositoryName(url: string): string {
  const path = url.replace(/^[a-z]+:\/\/[^/]+\//i, "");
  return path.replace(/\.git$/, "") || url;
}

/** The request's first line that says something, without Markdown's heading marks. */
export function headline(request: string): string {
  const line = request.split("\n").find((one) => one.trim() !== "") ?? "";
  return line.replace(/^[#>\s*-]+/, "").trim() || request.trim();
}

/** Place of the current step among all, from 1; null before the first. */
export function stepPlace(
  order: Pick<WorkOrder, "current_phase" | "selected_commands">,
): [at: number, of: number] | null {
  const at = order.current_phase ? order.selected_commands.indexOf(order.current_phase) : -1;
  return at < 0 ? null : [at + 1, order.selected_commands.length];
}

/** When it counts from and to: work begins with the first claim; before that it is the queue that counts. */
export const elapsedSpan = (
  order: Pick<WorkOrder, "created_at" | "started_at" | "finished_at">,
): [from: string, to: string | null] => [order.started_at ?? order.created_at, order.finished_at ?? null];

/** The pull request's number, where its address tells it. */
export const pullRequestNumber = (url: string): string => /\/(\d+)\/?$/.exec(url)?.[1] ?? "";
