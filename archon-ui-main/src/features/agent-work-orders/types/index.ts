/** The server's words, from its own description. `npm run types` writes `api.generated.ts` anew. */
import type { components } from "./api.generated";

type Schemas = components["schemas"];

export type WorkOrder = Schemas["WorkOrder"];
export type WorkOrderDetail = Schemas["WorkOrderDetail"];
export type WorkOrderPage = Schemas["WorkOrderPage"];
export type WorkOrderRequest = Schemas["WorkOrderRequest"];
export type Step = Schemas["Step"];
export type Status = WorkOrder["status"];
export type StepStatus = Step["status"];
export type WaitingReason = NonNullable<WorkOrder["waiting_reason"]>;
export type Artifact = Schemas["Artifact"];
export type BranchDiff = Schemas["BranchDiff"];
export type FileChange = Schemas["FileChange"];
export type Workflow = Schemas["WorkflowView"];
export type WorkflowStep = Schemas["WorkflowStep"];
export type ServiceStatus = Schemas["ServiceStatus"];
export type Health = Schemas["Health"];
export type Disk = Schemas["Disk"];
export type Repository = Schemas["RepositoryView"];
export type RepositoryOptions = Schemas["RepositoryOptions"];
export type RepositoryPage = Schemas["RepositoryPage"];
export type Message = Schemas["Message"];
export type Approval = Schemas["Approval"];
export type EventsPage = Schemas["EventsPage"];
/** One event of a journal; `kind` tells them apart. */
export type JournalEvent = EventsPage["events"][number];
export type EventKind = JournalEvent["kind"];
export type EventOf<K extends EventKind> = Extract<JournalEvent, { kind: K }>;

export const STATUSES: readonly Status[] = [
  "running",
  "waiting",
  "pending",
  "scheduled",
  "completed",
  "failed",
  "cancelled",
];

export const isTerminal = (status: Status): boolean =>
  status === "completed" || status === "failed" || status === "cancelled";
