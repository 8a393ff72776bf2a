/** Journals as a real server wrote them, with the orders they belong to. */
import type { JournalEvent, WorkOrderDetail } from "@/features/agent-work-orders/types";
import approved from "./approved.json";
import failed from "./failed.json";

interface Recorded {
  order: WorkOrderDetail;
  events: JournalEvent[];
}

/** Two approvals, a comment that became another turn, and a pull request. */
export const approvedJournal = approved as unknown as Recorded;
/** A repository that is not there. */
export const failedJournal = failed as unknown as Recorded;
