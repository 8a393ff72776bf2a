import { useQueryClient } from "@tanstack/react-query";
import { Archive, ArchiveRestore, Ban, MoreHorizontal, RotateCcw, Trash2 } from "lucide-react";
import { useState } from "react";
import { useNavigate } from "react-router-dom";
import { forgetOrder, useOrderAct } from "../hooks/useWorkOrders";
import { Button, Confirm, Field, Input, Menu, MenuItem, Problem, Select, useCommands, useNow, useToast } from "../host";
import { type ApiError, asApiError } from "../services/client";
import { workOrderService } from "../services/workOrderService";
import { isTerminal, type WorkOrderDetail } from "../types";

const GROUP = "This work order";

interface OrderActionsProps {
  order: WorkOrderDetail;
  retrying: boolean;
  setRetrying: (open: boolean) => void;
}

/** What can be done with the order as it stands. A button says "done" only when the server's event has said so. */
export function OrderActions({ order, retrying, setRetrying }: OrderActionsProps) {
  const [asking, setAsking] = useState<"cancel" | "delete" | null>(null);
  const id = order.agent_work_order_id;
  const ended = isTerminal(order.status);
  const cancel = useOrderAct(() => workOrderService.cancel(id));
  const archive = useArchive(order);
  const cancelling = Boolean(order.cancel_requested_at) && !ended;
  const mayRetry = order.status === "failed" || order.status === "cancelled";
  const archiveWords = order.archived_at ? "Bring back from the archive" : "Archive";
  const offers: [id: string, label: string, run: () => void, there: boolean][] = [
    ["cancel", "Cancel this order…", () => setAsking("cancel"), !ended && !cancelling],
    ["retry", "Retry this order…", () => setRetrying(true), mayRetry],
    ["archive", archiveWords, archive, ended],
    ["delete", "Delete this order…", () => setAsking("delete"), ended],
  ];
  useCommands(
    offers.filter(([, , , there]) => there).map(([name, label, run]) => ({ id: name, group: GROUP, label, run })),
  );
  return (
    <div className="flex items-center gap-2">
      {!ended && (
        <Button
          disabled={cancelling}
          busy={cancel.isPending ? "Asking…" : undefined}
          aria-describedby={cancelling ? "cancelling-why" : undefined}
          onClick={() => setAsking("cancel")}
        >
          <Ban size={16} aria-hidden />
          {cancelling ? "Cancelling…" : "Cancel…"}
        </Button>
      )}
      {/* A failed order is retried where it says why it failed. */}
      {order.status === "cancelled" && (
        <Button onClick={() => setRetrying(true)}>
          <RotateCcw size={16} aria-hidden />
          Retry…
        </Button>
      )}
      {ended && (
        <Menu
          trigger={
            <Button variant="ghost" size="icon" aria-label="More">
              <MoreHorizontal size={18} aria-hidden />
            </Button>
          }
        >
          <MenuItem onSelect={archive}>
            {order.archived_at ? <ArchiveRestore size={16} aria-hidden /> : <Archive size={16} aria-hidden />}
            {archiveWords}
          </MenuItem>
          <MenuItem onSelect={() => setAsking("delete")}>
            <Trash2 size={16} aria-hidden />
            Delete…
          </MenuItem>
        </Menu>
      )}
      {cancelling && <CancellingNote since={order.cancel_requested_at ?? order.updated_at} />}
      <Confirm
        open={asking === "cancel"}
        onOpenChange={(open) => setAsking(open ? "cancel" : null)}
        title="Cancel this work order?"
        confirm="Cancel the order"
        danger
        onConfirm={() => {
          setAsking(null);
          cancel.mutate(undefined);
        }}
      >
        <p>The agent is stopped. What it has done so far is kept, and the order can be retried from where it stood.</p>
      </Confirm>
      {cancel.error && <Refusal error={asApiError(cancel.error)} onClose={cancel.reset} />}
      {asking === "delete" && <DeleteDialog order={order} onClose={() => setAsking(null)} />}
      {retrying && <RetryDialog order={order} onClose={() => setRetrying(false)} />}
    </div>
  );
}

/** After ten seconds a stop has to say what it waits for. */
function CancellingNote({ since }: { since: string }) {
  const late = useNow() - Date.parse(since) > 10_000;
  return (
    <span id="cancelling-why" className={late ? "text-muted text-xs" : "sr-only"} role="status">
      It is cancelled once no process of it is left{late ? "; the server is still ending them" : ""}.
    </span>
  );
}

function Refusal({ error, onClose }: { error: ApiError; onClose: () => void }) {
  return (
    <Confirm
      open
      onOpenChange={(open) => open || onClose()}
      title="That was refused"
      confirm="Understood"
      cancel="Close"
      onConfirm={onClose}
    >
      <p>{error.message}</p>
      <p>{error.nextAction}</p>
    </Confirm>
  );
}

function useArchive(order: WorkOrderDetail) {
  const { showToast } = useToast();
  const id = order.agent_work_order_id;
  const act = useOrderAct((away: boolean) => (away ? workOrderService.archive(id) : workOrderService.unarchive(id)));
  const run = (away: boolean) => {
    showToast(away ? "Archiving…" : "Bringing it back…");
    act.mutate(away, {
      onSuccess: () =>
        away
          ? showToast("Archived: it is out of the lists.", "success", 8000, { label: "Undo", run: () => run(false) })
          : showToast("It is back in the lists.", "success"),
      onError: (failure) => {
        const told = asApiError(failure);
        showToast(`${told.message} ${told.nextAction}`, "error", 12_000);
      },
    });
  };
  return () => run(!order.archived_at);
}

function DeleteDialog({ order, onClose }: { order: WorkOrderDetail; onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const { showToast } = useToast();
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const id = order.agent_work_order_id;
  const last = id.slice(-4);
  const remove = async () => {
    setBusy(true);
    setError(null);
    try {
      await workOrderService.remove(id);
      forgetOrder(client, id);
      showToast("Deleted.", "success");
      navigate("/agent-work-orders");
    } catch (failure) {
      setError(asApiError(failure));
      setBusy(false);
    }
  };
  return (
    <Confirm
      open
      onOpenChange={(open) => open || onClose()}
      title="Delete this work order?"
      confirm="Delete for good"
      danger
      disabled={typed !== last}
      busy={busy ? "Deleting…" : undefined}
      onConfirm={() => void remove()}
    >
      <p>
        Its journal, its checkout and its files go for good. What was pushed stays: the branch and the pull request.
      </p>
      <Field label={`Type its last four characters: ${last}`}>
        {(control) => (
          <Input
            {...control}
            autoComplete="off"
            value={typed}
            onChange={(event) => setTyped(event.target.value.trim())}
          />
        )}
      </Field>
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
    </Confirm>
  );
}

/** From where it goes on: what has succeeded before that is kept, the rest runs again. */
function RetryDialog({ order, onClose }: { order: WorkOrderDetail; onClose: () => void }) {
  const done = doneSteps(order);
  const steps = order.selected_commands;
  const most = Math.min(steps.length, done + 1);
  const [from, setFrom] = useState(String(most));
  const retry = useOrderAct((step: number) => workOrderService.retry(order.agent_work_order_id, step));
  const at = Number(from);
  const told = retry.error ? asApiError(retry.error) : null;
  return (
    <Confirm
      open
      onOpenChange={(open) => open || onClose()}
      title="Retry this work order"
      confirm={`Retry from ${steps[at - 1] ?? "the start"}`}
      cancel="Not now"
      busy={retry.isPending ? "Asking…" : undefined}
      onConfirm={() => retry.mutate(at, { onSuccess: onClose })}
    >
      <Field label="From which step">
        {(control) => (
          <Select
            {...control}
            value={from}
            onChange={setFrom}
            options={steps.slice(0, most).map((name, index) => ({
              value: String(index + 1),
              label: `${index + 1}. ${name}`,
              ...(index + 1 === most ? { hint: "the first that has not succeeded" } : {}),
            }))}
          />
        )}
      </Field>
      <p>
        {at > 1 ? `Kept: ${steps.slice(0, at - 1).join(", ")}.` : "Nothing is kept but the branch."} Runs again:{" "}
        {steps.slice(at - 1).join(", ")}.
      </p>
      {told && <Problem message={told.message} nextAction={told.nextAction} />}
    </Confirm>
  );
}

/** How many steps from the first on have succeeded in their latest try. */
function doneSteps(order: WorkOrderDetail): number {
  const latest = new Map(order.steps.map((step) => [step.step_order, step.status]));
  let done = 0;
  while (["completed", "skipped"].includes(latest.get(done + 1) ?? "")) done += 1;
  return done;
}
