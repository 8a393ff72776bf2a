import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { workOrderKeys } from "../hooks/keys";
import { newKey } from "../hooks/useDraft";
import { useOrderAct } from "../hooks/useWorkOrders";
import { Button, Card, cn, exactTime, Problem, RelativeTime, Textarea, useStored } from "../host";
import { type ApiError, asApiError } from "../services/client";
import { workOrderService } from "../services/workOrderService";
import { type EventOf, isTerminal, type JournalEvent, type Message, type WorkOrderDetail } from "../types";
import { LazyMarkdown } from "./LazyMarkdown";

interface ConversationPanelProps {
  order: WorkOrderDetail;
  milestones: readonly JournalEvent[];
}

type Said = EventOf<"order_waiting" | "approval_answered" | "order_finished">;
const KINDS = new Set(["order_waiting", "approval_answered", "order_finished"]);

/** What people and the order have said to each other, and the way to say more. */
export function ConversationPanel({ order, milestones }: ConversationPanelProps) {
  const id = order.agent_work_order_id;
  const { data: messages } = useQuery({
    // Every milestone may be the one at which a message was heard.
    queryKey: [...workOrderKeys.messages(id), milestones.length],
    queryFn: ({ signal }) => workOrderService.messages(id, signal),
    placeholderData: (before) => before,
  });
  const lines = [
    ...milestones.filter((event): event is Said => KINDS.has(event.kind)).map((event) => ({ at: event.at, event })),
    // The comment of an answer stands with the answer.
    ...(messages ?? []).filter((one) => one.kind === "message").map((message) => ({ at: message.sent_at, message })),
  ].sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  // The newest words are the ones that one comes for.
  const list = useRef<HTMLOListElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new line moves the end
  useEffect(() => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [lines.length]);
  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <ol
        ref={list}
        className="flex min-h-0 flex-1 flex-col gap-3 overflow-y-auto p-3"
        aria-label="Conversation"
        tabIndex={0}
      >
        <li>
          <Bubble who="The request" at={order.created_at} person>
            <LazyMarkdown>{order.user_request}</LazyMarkdown>
          </Bubble>
        </li>
        {lines.map((line) =>
          "message" in line ? (
            <li key={line.message.message_id}>
              <Bubble who={line.message.author} at={line.at} person state={stateOf(line.message)}>
                <LazyMarkdown>{line.message.text}</LazyMarkdown>
              </Bubble>
            </li>
          ) : (
            <li key={line.event.seq}>{bubbleOf(line.event)}</li>
          ),
        )}
      </ol>
      <Composer order={order} />
    </div>
  );
}

/** How far a message has come, as the server says it. */
export function stateOf(message: Pick<Message, "seq" | "delivered_at">): string {
  if (message.delivered_at) return "the agent had it";
  return message.seq ? "the agent gets it at its next turn" : "queued";
}

function bubbleOf(event: Said) {
  switch (event.kind) {
    case "approval_answered":
      return (
        <Bubble who={event.payload.by} at={event.at} person>
          <p className="font-medium">{event.payload.answer.replaceAll("_", " ")}</p>
          {event.payload.comment && <LazyMarkdown>{event.payload.comment}</LazyMarkdown>}
        </Bubble>
      );
    case "order_waiting":
      return (
        <Bubble who="The order waits" at={event.at}>
          <p>{event.payload.message}</p>
        </Bubble>
      );
    case "order_finished":
      return (
        <Bubble who={`The order is ${event.payload.status}`} at={event.at}>
          <p>{event.payload.summary}</p>
        </Bubble>
      );
  }
}

interface BubbleProps {
  who: string;
  at: string;
  person?: boolean;
  state?: string;
  children: React.ReactNode;
}

function Bubble({ who, at, person, state, children }: BubbleProps) {
  return (
    <Card
      as="article"
      className={cn("max-w-180 break-words", person ? "ml-auto border-l-2 border-l-accent" : "mr-auto")}
    >
      <p className="mb-1 flex flex-wrap gap-x-2 text-muted text-xs">
        <span className="font-medium text-ink">{who}</span>
        <span title={exactTime(at)}>
          <RelativeTime at={at} />
        </span>
        {state && <span>· {state}</span>}
      </p>
      {children}
    </Card>
  );
}

/** What the button will bring about, said before it is pressed. */
export function sendWords(order: Pick<WorkOrderDetail, "status">): string {
  if (isTerminal(order.status)) return "Start a follow-up on this branch";
  return order.status === "running" ? "Send at the next turn" : "Send before it goes on";
}

function Composer({ order }: { order: WorkOrderDetail }) {
  const id = order.agent_work_order_id;
  const [text, setText, forget] = useStored("session", `awo-message:${id}`, "");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  // The same words are one message however often they have to be sent.
  const key = useRef(newKey());
  const client = useQueryClient();
  const act = useOrderAct((words: string) =>
    workOrderService.message(id, words, key.current).then((sent) => sent.work_order),
  );
  const send = async () => {
    if (!text.trim() || busy) return;
    setBusy(true);
    setError(null);
    try {
      await act.mutateAsync(text);
      key.current = newKey();
      void client.invalidateQueries({ queryKey: workOrderKeys.messages(id) });
      forget();
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className="flex flex-col gap-2 border-line border-t bg-card p-3"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        void send();
      }}
    >
      {error && <Problem message={error.message} nextAction={`${error.nextAction} Your words are kept.`} />}
      <div className="flex flex-wrap items-end gap-2">
        <Textarea
          id="composer"
          aria-label="Message to the agent"
          placeholder="Write to the agent…"
          className="min-h-16 min-w-0 flex-1 basis-60"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            key.current = newKey();
          }}
        />
        <Button type="submit" variant="primary" disabled={!text.trim()} busy={busy ? "Sending…" : undefined}>
          {sendWords(order)}
        </Button>
      </div>
    </form>
  );
}
