/** A request between being typed and being filed. Pure. */
import type { WorkOrderRequest } from "../types";
import { type DraftField, issueNumber, type RequestDraft } from "./requestRules";

export const emptyDraft: RequestDraft = {
  repository_url: "",
  user_request: "",
  workflow_type: "",
  selected_commands: null,
  github_issue_number: "",
  base_branch: "",
  working_subdir: "",
  priority: "",
  model: "",
  timeout_minutes: "",
  max_cost_usd: "",
  approve_plan: false,
  approve_push: false,
};

/** What is remembered for the next order of the same repository: choices, and never words. */
export const CHOICES = [
  "workflow_type",
  "selected_commands",
  "base_branch",
  "working_subdir",
  "priority",
  "model",
  "timeout_minutes",
  "max_cost_usd",
  "approve_plan",
  "approve_push",
] as const satisfies readonly DraftField[];

export type Choices = Pick<RequestDraft, (typeof CHOICES)[number]>;

export const choicesOf = (draft: RequestDraft): Choices =>
  Object.fromEntries(CHOICES.map((name) => [name, draft[name]])) as unknown as Choices;

/** The body to send; fields that were left empty are left to the server. The draft has no problems. */
export function bodyOf(draft: RequestDraft): WorkOrderRequest {
  const gates = [draft.approve_plan && "plan", draft.approve_push && "push"].filter((gate) => gate !== false);
  const issue = issueNumber(draft.github_issue_number);
  const body = {
    repository_url: draft.repository_url.trim(),
    user_request: draft.user_request,
    ...(draft.workflow_type && { workflow_type: draft.workflow_type }),
    ...(draft.selected_commands && { selected_commands: draft.selected_commands }),
    ...(issue !== null && { github_issue_number: issue }),
    ...(draft.base_branch && { base_branch: draft.base_branch }),
    ...(draft.working_subdir && { working_subdir: draft.working_subdir }),
    ...(draft.priority && { priority: Number(draft.priority) }),
    ...(draft.model && { model: draft.model }),
    ...(draft.timeout_minutes && { timeout_seconds: Number(draft.timeout_minutes) * 60 }),
    ...(draft.max_cost_usd && { max_cost_usd: Number(draft.max_cost_usd) }),
    ...(gates.length > 0 && { requires_approval: gates }),
  };
  return body as WorkOrderRequest;
}

/** The form's field behind a field of the server's answer. */
export function draftField(name: string): DraftField | null {
  const field = name.split(".")[0] ?? "";
  if (field === "timeout_seconds") return "timeout_minutes";
  if (field === "requires_approval") return "approve_push";
  return field in emptyDraft ? (field as DraftField) : null;
}
