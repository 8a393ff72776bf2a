import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation, useParams, useSearchParams } from "react-router-dom";
import { ApprovalCard, openQuestion, TooLate } from "../components/ApprovalCard";
import { ConversationPanel } from "../components/ConversationPanel";
import { EvidencePanel } from "../components/EvidencePanel";
import { OrderActions } from "../components/OrderActions";
import { OrderFacts } from "../components/OrderFacts";
import { OrderHeader } from "../components/OrderHeader";
import { Standing } from "../components/Standing";
import { TimelinePanel } from "../components/TimelinePanel";
import { TranscriptPanel } from "../components/TranscriptPanel";
import { workOrderKeys } from "../hooks/keys";
import { newKey } from "../hooks/useDraft";
import { useJournal, useOpenJournal } from "../hooks/useJournal";
import { useOrderAct, useWorkOrder } from "../hooks/useWorkOrders";
import {
  Button,
  Card,
  Empty,
  Page,
  Problem,
  readStored,
  Skeleton,
  Tab,
  TabPanel,
  Tabs,
  TabsList,
  useCommands,
  useMediaQuery,
} from "../host";
import { type ApiError, asApiError } from "../services/client";
import type { Journal } from "../services/journal";
import { workOrderService } from "../services/workOrderService";
import { isTerminal, type WorkOrderDetail } from "../types";
import { timelineOf } from "../utils/timeline";
import { isBad } from "../utils/transcript";
import { headline } from "../utils/words";

const DiffPanel = lazy(() => import("../components/DiffPanel"));
// Nearly every transcript needs it: it comes while the order is asked for.
void import("../components/Markdown").catch(() => undefined);

const PARTS = ["transcript", "evidence", "diff", "conversation"] as const;
type Part = (typeof PARTS)[number];

/** One work order: what it does now, what it did, and what one can say to it. */
export default function WorkOrderView() {
  const { id = "" } = useParams();
  const query = useWorkOrder(id);
  const journal = useOpenJournal(id);
  if (query.data) return <Order key={id} order={query.data} opened={journal} />;
  const error = query.error ? asApiError(query.error) : null;
  return (
    <Page title="Work order">
      {error?.status === 404 ? (
        <Empty
          title="There is no such work order"
          action={
            <Button asChild variant="primary">
              <Link to="/agent-work-orders">See all work orders</Link>
            </Button>
          }
        >
          It may have been deleted, or the address may be incomplete.
        </Empty>
      ) : error ? (
        <Problem message={error.message} nextAction={error.nextAction} onRetry={() => void query.refetch()} />
      ) : (
        <Skeleton lines={4} />
      )}
    </Page>
  );
}

function Order({ order, opened }: { order: WorkOrderDetail; opened: Journal }) {
  const id = order.agent_work_order_id;
  const wide = useMediaQuery("(min-width: 1024px)");
  const client = useQueryClient();
  const [part, setPart] = usePart();
  const [step, setStep] = useState<number | null>(null);
  const [retrying, setRetrying] = useState(false);
  const [goTo, jump] = useJump();
  const grows = !isTerminal(order.status);
  const journal = useJournal(opened, grows, order.last_seq);
  const timeline = useMemo(
    () => timelineOf(order.selected_commands, journal.told ? journal.milestones : []),
    [order.selected_commands, journal.milestones, journal.told],
  );
  useFreshSteps(id, journal.told ? journal.milestones.length : null);
  useTitle(headline(order.user_request));

  const question = openQuestion(order, journal.milestones);
  const bad = useMemo(
    () =>
      order.status === "failed"
        ? (journal.rows.findLast((row) => row.row !== "note" && isBad(row))?.event.seq ?? null)
        : null,
    [order.status, journal.rows],
  );
  const show = useCallback(
    (seq: number) => {
      setPart("transcript");
      setStep(null);
      jump(seq);
    },
    [setPart, jump],
  );
  const write = useOrderAct((text: string) =>
    workOrderService.message(id, text, newKey()).then((sent) => sent.work_order),
  );
  const send = async (text: string) => {
    await write.mutateAsync(text);
    void client.invalidateQueries({ queryKey: workOrderKeys.messages(id) });
    setPart("conversation");
  };
  const [late, setLate] = useState<{ told: ApiError; kept: boolean } | null>(null);
  const tooLate = (told: ApiError, words: string) => {
    if (words) {
      const draft = readStored("session", `awo-message:${id}`, "");
      sessionStorage.setItem(`awo-message:${id}`, JSON.stringify(draft ? `${draft}\n\n${words}` : words));
    }
    setLate({ told, kept: words !== "" });
    void client.invalidateQueries({ queryKey: workOrderKeys.detail(id) });
  };
  useCommands([
    ...PARTS.map((one, at) => ({
      id: `part ${one}`,
      group: "This work order",
      label: `Show the ${one}`,
      keys: String(at + 1),
      run: () => setPart(one),
    })),
    { id: "message", group: "This work order", label: "Write to the agent", keys: "m", run: () => writeTo(setPart) },
  ]);
  useKeys(setPart, timeline.steps.length, step, setStep);

  const aside = (
    <div className="flex flex-col gap-4">
      <section aria-label="Steps">
        <h2 className="mb-1 px-2 font-semibold">Steps</h2>
        <TimelinePanel timeline={timeline} chosen={step} onChoose={setStep} />
      </section>
      <section aria-label="Facts" className="px-2">
        <OrderFacts order={order} />
      </section>
    </div>
  );

  return (
    <div className="mx-auto flex min-h-[calc(100dvh-var(--bar))] w-full max-w-360 flex-col gap-3 p-3 sm:min-h-0 sm:p-6 lg:h-dvh">
      <OrderHeader
        order={order}
        actions={<OrderActions order={order} retrying={retrying} setRetrying={setRetrying} />}
      />
      <Standing order={order} badSeq={bad} onJump={show} onRetry={() => setRetrying(true)} />
      {late && <TooLate error={late.told} kept={late.kept} onClose={() => setLate(null)} />}
      {question && (
        <ApprovalCard
          key={question.seq}
          order={order}
          asked={question}
          onReadDiff={() => setPart("diff")}
          onAnswered={(next) => client.setQueryData(workOrderKeys.detail(id), { ...order, ...next })}
          onTooLate={tooLate}
        />
      )}
      <div className="grid min-h-0 flex-1 grid-cols-[minmax(0,1fr)] gap-3 lg:grid-cols-[19rem_minmax(0,1fr)]">
        {wide ? (
          <Card as="aside" className="min-h-0 overflow-y-auto p-2 sm:p-2">
            {aside}
          </Card>
        ) : (
          <details className="rounded-lg border border-line bg-card p-2">
            <summary className="font-medium">Steps and facts</summary>
            <div className="mt-2">{aside}</div>
          </details>
        )}
        <Tabs
          value={part}
          onValueChange={(next) => setPart(next as Part)}
          className="flex h-[66dvh] min-h-0 min-w-0 flex-col overflow-hidden rounded-lg border border-line bg-card lg:h-auto"
        >
          <TabsList aria-label="Parts of the work order">
            <Tab value="transcript">Transcript</Tab>
            <Tab value="evidence">Evidence</Tab>
            <Tab value="diff">Diff{order.git_files_changed ? ` (${order.git_files_changed})` : ""}</Tab>
            <Tab value="conversation">Conversation</Tab>
          </TabsList>
          <Panel value="transcript">
            <TranscriptPanel orderId={id} journal={journal} grows={grows} step={step} goTo={goTo} />
          </Panel>
          <Panel value="evidence">
            <EvidencePanel
              orderId={id}
              milestones={journal.milestones}
              verifies={order.selected_commands.includes("verify")}
            />
          </Panel>
          <Panel value="diff">
            <Suspense fallback={<Skeleton lines={6} className="m-3 h-8" />}>
              <DiffPanel
                orderId={id}
                version={`${order.git_commit_count ?? 0}.${order.git_files_changed ?? 0}.${order.status}`}
                onSend={send}
              />
            </Suspense>
          </Panel>
          <Panel value="conversation">
            <ConversationPanel key={late ? "kept" : "plain"} order={order} milestones={journal.milestones} />
          </Panel>
        </Tabs>
      </div>
      <StepAnnouncer step={order.current_phase ?? null} status={order.status} />
    </div>
  );
}

const Panel = ({ value, children }: { value: Part; children: React.ReactNode }) => (
  <TabPanel
    value={value}
    className="flex min-h-0 flex-1 flex-col data-[state=inactive]:hidden focus-visible:-outline-offset-2"
  >
    {children}
  </TabPanel>
);

/** Which part of the page the address names. */
function usePart(): [Part, (part: Part) => void] {
  const [params, setParams] = useSearchParams();
  const named = params.get("part") as Part;
  const set = useCallback(
    (part: Part) =>
      setParams(
        (before) => {
          const next = new URLSearchParams(before);
          if (part === "transcript") next.delete("part");
          else next.set("part", part);
          return next;
        },
        { replace: true },
      ),
    [setParams],
  );
  return [PARTS.includes(named) ? named : "transcript", set];
}

/** The line that the address (`#seq=42`) or a button names. */
function useJump(): [{ seq: number; times: number } | null, (seq: number) => void] {
  const { hash } = useLocation();
  const times = useRef(0);
  const [goTo, setGoTo] = useState<{ seq: number; times: number } | null>(() => fromHash(hash, 1));
  const jump = useCallback((seq: number) => {
    times.current += 1;
    setGoTo({ seq, times: times.current + 1 });
  }, []);
  useEffect(() => {
    const onHash = () => {
      const found = fromHash(window.location.hash, 0);
      if (found) jump(found.seq);
    };
    window.addEventListener("hashchange", onHash);
    return () => window.removeEventListener("hashchange", onHash);
  }, [jump]);
  return [goTo, jump];
}

function fromHash(hash: string, times: number) {
  const found = /^#seq=(\d+)$/.exec(hash);
  return found ? { seq: Number(found[1]), times } : null;
}

/** The steps' table has news whenever the journal has a milestone; null while it is not known how many there are. */
function useFreshSteps(id: string, milestones: number | null) {
  const client = useQueryClient();
  const seen = useRef<number | null>(null);
  useEffect(() => {
    if (milestones === null || milestones === seen.current) return;
    if (seen.current !== null) void client.invalidateQueries({ queryKey: workOrderKeys.detail(id) });
    seen.current = milestones;
  }, [client, id, milestones]);
}

function useTitle(title: string) {
  useEffect(() => {
    document.title = `${title.slice(0, 60)} · Archon`;
  }, [title]);
}

function writeTo(setPart: (part: Part) => void) {
  setPart("conversation");
  requestAnimationFrame(() => document.getElementById("composer")?.focus());
}

/** Single keys for the parts of the page; off while one types. */
function useKeys(
  setPart: (part: Part) => void,
  steps: number,
  step: number | null,
  setStep: (step: number | null) => void,
) {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (
        /^(input|textarea|select)$/i.test(target.tagName) ||
        document.querySelector('[role="dialog"],[role="alertdialog"]')
      )
        return;
      if (localStorage.getItem("archon-single-keys") === "false") return;
      const part = PARTS[Number(event.key) - 1];
      if (part) setPart(part);
      else if (event.key === "m") {
        writeTo(setPart);
      } else if (event.key === "]") setStep(Math.min(steps, (step ?? 0) + 1));
      else if (event.key === "[") setStep(step === null || step <= 1 ? null : step - 1);
      else return;
      event.preventDefault();
    };
    window.addEventListener("keydown", press);
    return () => window.removeEventListener("keydown", press);
  }, [setPart, steps, step, setStep]);
}

const SAY_EVERY = 10_000;

/** Speaks one sentence when the step changes, and not more than one in ten seconds. */
function StepAnnouncer({ step, status }: { step: string | null; status: string }) {
  const [said, setSaid] = useState("");
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + SAY_EVERY - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      setSaid(status === "running" && step ? `Step ${step} is running.` : `The order is ${status}.`);
    }, wait);
    return () => clearTimeout(timer);
  }, [step, status]);
  return (
    <p className="sr-only" aria-live="polite">
      {said}
    </p>
  );
}
