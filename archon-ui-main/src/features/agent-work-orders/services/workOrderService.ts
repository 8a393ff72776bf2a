/** The routes of work orders, one function each. */
import type {
  Artifact,
  BranchDiff,
  EventsPage,
  Health,
  Message,
  ServiceStatus,
  Status,
  Workflow,
  WorkOrder,
  WorkOrderDetail,
  WorkOrderPage,
  WorkOrderRequest,
} from "../types";
import { API, call, send } from "./client";

export interface ListFilter {
  status: readonly Status[];
  repositoryUrl: string;
  q: string;
  /** Those in the archive, instead of those that are not. */
  archived: boolean;
}

export const NO_FILTER: ListFilter = { status: [], repositoryUrl: "", q: "", archived: false };

/** `again`: not like this; the agent is to make it anew as the comment says. */
export interface AnswerBody {
  verdict: "approve" | "reject" | "again";
  /** Of the event that asked. */
  seq: number;
  comment: string;
}

const at = (id: string) => `/work-orders/${encodeURIComponent(id)}`;

export const workOrderService = {
  list: (filter: ListFilter, cursor: string | null, limit: number, signal?: AbortSignal) =>
    call<WorkOrderPage>("/work-orders", {
      query: {
        status: filter.status,
        repository_url: filter.repositoryUrl,
        q: filter.q,
        archived: filter.archived || null,
        cursor,
        limit,
      },
      signal,
    }),
  read: (id: string, signal?: AbortSignal) => call<WorkOrderDetail>(at(id), { signal }),
  /** The key makes a second click or a retry find the same order instead of filing another. */
  file: (body: WorkOrderRequest, idempotencyKey: string) =>
    call<WorkOrder>("/work-orders", { method: "POST", body, headers: { "Idempotency-Key": idempotencyKey } }),
  cancel: (id: string) => call<WorkOrder>(`${at(id)}/cancel`, { method: "POST" }),
  retry: (id: string, fromStep: number | null) =>
    call<WorkOrder>(`${at(id)}/retry`, { method: "POST", ...(fromStep ? { body: { from_step: fromStep } } : {}) }),
  remove: (id: string) => call<void>(at(id), { method: "DELETE" }),
  archive: (id: string) => call<WorkOrder>(`${at(id)}/archive`, { method: "POST" }),
  unarchive: (id: string) => call<WorkOrder>(`${at(id)}/unarchive`, { method: "POST" }),
  /** Answers the event `seq` that asked; 409 when somebody else already did. */
  answer: (id: string, answer: AnswerBody) => {
    const { verdict, seq, comment } = answer;
    const body = { seq, ...(comment ? { comment } : {}), ...(verdict === "again" ? { again: true } : {}) };
    return call<WorkOrder>(`${at(id)}/${verdict === "approve" ? "approve" : "reject"}`, { method: "POST", body });
  },
  message: (id: string, text: string, idempotencyKey: string) =>
    call<{ message: Message; work_order: WorkOrder }>(`${at(id)}/messages`, {
      method: "POST",
      body: { text },
      headers: { "Idempotency-Key": idempotencyKey },
    }),
  messages: (id: string, signal?: AbortSignal) =>
    call<{ messages: Message[] }>(`${at(id)}/messages`, { signal }).then((page) => page.messages),
  events: (
    id: string,
    range: { after_seq?: number; before_seq?: number; limit: number; kind?: readonly string[] },
    signal?: AbortSignal,
  ) => call<EventsPage>(`${at(id)}/events`, { query: range, signal }),
  artifacts: (id: string, signal?: AbortSignal) =>
    call<{ artifacts: Artifact[] }>(`${at(id)}/artifacts`, { signal }).then((page) => page.artifacts),
  artifactUrl: (id: string, artifactId: string) => `${API}${at(id)}/artifacts/${encodeURIComponent(artifactId)}`,
  artifactText: (id: string, artifactId: string, signal?: AbortSignal) =>
    send(`${at(id)}/artifacts/${encodeURIComponent(artifactId)}`, { headers: { Accept: "*/*" }, signal }).then((r) =>
      r.text(),
    ),
  diff: (id: string, signal?: AbortSignal) => call<BranchDiff>(`${at(id)}/diff`, { signal }),
  workflows: (signal?: AbortSignal) =>
    call<{ workflows: Workflow[] }>("/workflows", { signal }).then((page) => page.workflows),
  status: (signal?: AbortSignal) => call<ServiceStatus>("/status", { signal }),
  health: (signal?: AbortSignal) => call<Health>("/health", { signal }),
};
