import { CircleCheck, CircleX, Undo2 } from "lucide-react";
import { useState } from "react";
import { Button, Card, Problem, plural, RelativeTime, Textarea } from "../host";
import { type ApiError, asApiError } from "../services/client";
import { type AnswerBody, workOrderService } from "../services/workOrderService";
import type { Approval, EventOf, JournalEvent, WorkOrder, WorkOrderDetail } from "../types";
import { LazyMarkdown } from "./LazyMarkdown";

const TITLES = { plan: "Approve the plan?", push: "Approve the push?" };

/** The question that is open now: the last one asked, while the order waits for its answer. */
export function openQuestion(
  order: Pick<WorkOrderDetail, "status" | "waiting_reason">,
  milestones: readonly JournalEvent[],
): EventOf<"order_waiting"> | null {
  if (order.status !== "waiting" || order.waiting_reason !== "approval") return null;
  const asked = milestones.findLast((event) => event.kind === "order_waiting");
  return asked?.kind === "order_waiting" && asked.payload.reason === "approval" ? asked : null;
}

interface ApprovalCardProps {
  order: WorkOrderDetail;
  asked: EventOf<"order_waiting">;
  onReadDiff: () => void;
  /** Called with the order as it is after the answer. */
  onAnswered: (order: WorkOrder) => void;
  /** Called when somebody else was faster, with what was written: the card goes as soon as the page knows of it. */
  onTooLate: (told: ApiError, words: string) => void;
}

/** A question of the order's, and the two answers. An answer names the event that asked: nobody approves by mistake. */
export function ApprovalCard({ order, asked, onReadDiff, onAnswered, onTooLate }: ApprovalCardProps) {
  const [words, setWords] = useState("");
  const [busy, setBusy] = useState<AnswerBody["verdict"] | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [small, setSmall] = useState(false);
  const { question } = asked.payload;

  const answer = async (verdict: AnswerBody["verdict"]) => {
    setBusy(verdict);
    setError(null);
    try {
      onAnswered(
        await workOrderService.answer(order.agent_work_order_id, { verdict, seq: asked.seq, comment: words.trim() }),
      );
    } catch (failure) {
      const told = asApiError(failure);
      if (answerBefore(told)) onTooLate(told, words.trim());
      else setError(told);
    } finally {
      setBusy(null);
    }
  };

  return (
    <Card as="section" edge="waiting" aria-label="A question for you" className="flex flex-col gap-3">
      <div className="flex flex-wrap items-baseline gap-x-3">
        <h2 className="font-semibold text-base text-waiting">
          {(question && TITLES[question.gate]) || "It asks for your approval"}
        </h2>
        {question?.files_changed !== null && question?.files_changed !== undefined && (
          <span className="tabular">
            {plural(question.files_changed, "file")} <span className="text-completed">+{question.additions ?? 0}</span>{" "}
            <span className="text-failed">−{question.deletions ?? 0}</span>
          </span>
        )}
        <span className="text-muted text-xs">
          asked <RelativeTime at={asked.at} />
        </span>
        {small && (
          <Button variant="primary" size="small" className="ml-auto" onClick={() => setSmall(false)}>
            Answer…
          </Button>
        )}
      </div>
      {!small && (
        <>
          {question?.summary ? (
            <div
              className="max-h-60 overflow-y-auto rounded-md bg-sunk p-3"
              tabIndex={0}
              role="region"
              aria-label="What is to be approved"
            >
              <LazyMarkdown>{question.summary}</LazyMarkdown>
            </div>
          ) : (
            <p className="text-muted">{asked.payload.message}</p>
          )}
          {error && <Problem message={error.message} nextAction={error.nextAction} />}
          <Textarea
            aria-label="A word with your answer"
            placeholder="A word with your answer (optional); the agent is given it."
            className="min-h-16"
            value={words}
            onChange={(event) => setWords(event.target.value)}
          />
          <div className="flex flex-wrap justify-end gap-2">
            {question?.gate !== "plan" && (
              <Button
                onClick={() => {
                  setSmall(true);
                  onReadDiff();
                }}
              >
                Read the diff
              </Button>
            )}
            <Button
              disabled={busy !== null}
              busy={busy === "reject" ? "Rejecting…" : undefined}
              onClick={() => void answer("reject")}
            >
              <CircleX size={16} aria-hidden />
              Reject and end it
            </Button>
            <Button
              disabled={busy !== null || !words.trim()}
              title={words.trim() ? undefined : "Say above what should be different"}
              busy={busy === "again" ? "Sending back…" : undefined}
              onClick={() => void answer("again")}
            >
              <Undo2 size={16} aria-hidden />
              Send back
            </Button>
            <Button
              variant="primary"
              disabled={busy !== null}
              busy={busy === "approve" ? "Approving…" : undefined}
              onClick={() => void answer("approve")}
            >
              <CircleCheck size={16} aria-hidden />
              Approve
            </Button>
          </div>
        </>
      )}
    </Card>
  );
}

const ANSWERS: Record<string, string> = { approved: "approved it", rejected: "rejected it", sent_back: "sent it back" };

/** The answer that was there before, where that is why one's own was refused. */
const answerBefore = (error: ApiError): Approval | null =>
  error.status === 409 ? ((error.body as { answer?: Approval | null } | undefined)?.answer ?? null) : null;

/** Somebody else was faster: who, what and when. It stays until it is read, whatever becomes of the question. */
export function TooLate({ error, kept, onClose }: { error: ApiError; kept: boolean; onClose: () => void }) {
  const before = answerBefore(error);
  if (!before?.answer) return null;
  return (
    <Problem
      message={`${before.answered_by ?? "Somebody"} ${ANSWERS[before.answer] ?? before.answer} before you.`}
      nextAction={
        kept
          ? "Your words are kept: you find them in the conversation, and can send them as a message."
          : "If you see it differently, write to the agent in the conversation."
      }
    >
      {before.answered_at && (
        <p className="text-muted">
          That was <RelativeTime at={before.answered_at} />
          {before.comment ? `, with the words: ${before.comment}` : "."}
        </p>
      )}
      <div>
        <Button size="small" onClick={onClose}>
          Understood
        </Button>
      </div>
    </Problem>
  );
}
