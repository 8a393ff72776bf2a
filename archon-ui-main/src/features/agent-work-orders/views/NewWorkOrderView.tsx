import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type KeyboardEvent, useId, useRef, useState } from "react";
import { useNavigate, useSearchParams } from "react-router-dom";
import { IssueField } from "../components/IssueField";
import { RepositoryField } from "../components/RepositoryField";
import { RequestField } from "../components/RequestField";
import { WorkflowChoice, workflowOf } from "../components/WorkflowChoice";
import { workOrderKeys } from "../hooks/keys";
import { useDraft } from "../hooks/useDraft";
import { useWorkflows } from "../hooks/useWorkOrders";
import { Button, Checkbox, Field, Input, Key, Page, Problem, useToast } from "../host";
import { type ApiError, asApiError } from "../services/client";
import { workOrderService } from "../services/workOrderService";
import { bodyOf, draftField } from "../utils/draft";
import { type DraftField, problemsOf, type RequestDraft } from "../utils/requestRules";

type Problems = Partial<Record<DraftField, string>>;

/** Files a work order. Everything but repository and words has a default that works. */
export default function NewWorkOrderView() {
  const [params] = useSearchParams();
  const repository = params.get("repository");
  const { draft, change, filed, key, renewKey } = useDraft(repository ? { repository_url: repository } : {});
  const [touched, setTouched] = useState<ReadonlySet<DraftField>>(new Set());
  const [refused, setRefused] = useState<Problems>({});
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  const navigate = useNavigate();
  const client = useQueryClient();
  const { showToast } = useToast();

  const wrong = problemsOf(draft);
  const shown = (name: DraftField) => refused[name] ?? (touched.has(name) ? wrong[name] : undefined);
  const touch = (...names: DraftField[]) => setTouched((before) => new Set([...before, ...names]));
  const set = (part: Partial<RequestDraft>) => {
    change(part);
    // What the server said was about the old value.
    setRefused((before) => without(before, Object.keys(part) as DraftField[]));
  };

  const focusFirst = (names: string[]) =>
    requestAnimationFrame(() => {
      const fields = [...(form.current?.querySelectorAll<HTMLElement>("[name]") ?? [])];
      const first = fields.find((field) => names.includes(field.getAttribute("name") ?? ""));
      for (let at = first?.parentElement; at; at = at.parentElement)
        if (at instanceof HTMLDetailsElement) at.open = true;
      first?.focus();
    });

  const file = async () => {
    if (busy) return;
    const names = Object.keys(wrong) as DraftField[];
    if (names.length > 0) {
      touch(...names);
      focusFirst(names);
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const order = await workOrderService.file(bodyOf(draft), key);
      filed();
      void client.invalidateQueries({ queryKey: workOrderKeys.lists() });
      showToast("Filed. You can watch it here.", "success");
      navigate(`/agent-work-orders/${order.agent_work_order_id}`);
    } catch (failure) {
      const told = asApiError(failure);
      const fields: Problems = {};
      for (const { field, problem } of told.fields) {
        const name = draftField(field);
        if (name) fields[name] ??= problem;
      }
      setRefused(fields);
      setError(told);
      // The same words under the same key would be refused again; a changed request is another one.
      if (told.status === 409) renewKey();
      focusFirst(Object.keys(fields));
    } finally {
      setBusy(false);
    }
  };

  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void file();
  };
  const field = (name: DraftField) => ({
    problem: shown(name),
    control: {
      name,
      value: draft[name] as string,
      onChange: (event: { target: { value: string } }) => set({ [name]: event.target.value }),
      onBlur: () => touch(name),
    },
  });

  return (
    <Page title="New work order" className="max-w-220">
      <form
        ref={form}
        noValidate
        className="flex flex-col gap-5"
        onKeyDown={onKey}
        onSubmit={(event: FormEvent) => {
          event.preventDefault();
          void file();
        }}
      >
        <RequestField
          value={draft.user_request}
          problem={shown("user_request")}
          onChange={(user_request) => set({ user_request })}
          onBlur={() => draft.user_request && touch("user_request")}
        />
        <RepositoryField
          value={draft.repository_url}
          problem={shown("repository_url")}
          onChange={(repository_url) => set({ repository_url })}
          onBlur={() => draft.repository_url && touch("repository_url")}
        />
        <WorkflowChoice
          chosen={draft.workflow_type}
          steps={draft.selected_commands}
          problem={shown("selected_commands") ?? shown("workflow_type")}
          onChange={(workflow_type, selected_commands) => set({ workflow_type, selected_commands })}
        />
        <Approvals draft={draft} set={set} problem={shown("approve_push")} />
        <IssueField
          value={draft.github_issue_number}
          repositoryUrl={wrong.repository_url ? null : draft.repository_url}
          problem={shown("github_issue_number")}
          onChange={(github_issue_number) => set({ github_issue_number })}
          onBlur={() => touch("github_issue_number")}
        />
        <Section title="Branch and directory" open={Boolean(draft.base_branch || draft.working_subdir)}>
          <Field
            label="Base branch"
            optional
            hint="The repository's own default branch when left empty."
            problem={field("base_branch").problem}
          >
            {(control) => (
              <Input {...control} {...field("base_branch").control} placeholder="main" autoComplete="off" />
            )}
          </Field>
          <Field
            label="Directory"
            optional
            hint="Where the agent works; the repository's root when left empty."
            problem={field("working_subdir").problem}
          >
            {(control) => (
              <Input {...control} {...field("working_subdir").control} placeholder="packages/api" autoComplete="off" />
            )}
          </Field>
        </Section>
        <Section
          title="Limits, model and priority"
          open={Boolean(draft.max_cost_usd || draft.timeout_minutes || draft.model || draft.priority)}
        >
          <Field
            label="Most it may cost, in US dollars"
            optional
            hint="It stops when it reaches this."
            problem={field("max_cost_usd").problem}
          >
            {(control) => (
              <Input
                {...control}
                {...field("max_cost_usd").control}
                inputMode="decimal"
                placeholder="5.00"
                autoComplete="off"
              />
            )}
          </Field>
          <Field
            label="Longest step, in minutes"
            optional
            hint="A step that takes longer is stopped."
            problem={field("timeout_minutes").problem}
          >
            {(control) => (
              <Input
                {...control}
                {...field("timeout_minutes").control}
                inputMode="numeric"
                placeholder="60"
                autoComplete="off"
              />
            )}
          </Field>
          <Field label="Model" optional hint="The configured one when left empty." problem={field("model").problem}>
            {(control) => <Input {...control} {...field("model").control} placeholder="sonnet" autoComplete="off" />}
          </Field>
          <Field
            label="Priority"
            optional
            hint="0 runs first, 9 last; 5 when left empty."
            problem={field("priority").problem}
          >
            {(control) => (
              <Input
                {...control}
                {...field("priority").control}
                inputMode="numeric"
                placeholder="5"
                autoComplete="off"
              />
            )}
          </Field>
        </Section>
        {error && <Problem message={error.message} nextAction={error.nextAction} />}
        <div className="sticky bottom-(--bar) flex flex-wrap items-center justify-between gap-3 border-line border-t bg-ground py-3">
          <Summary draft={draft} />
          <Button type="submit" variant="primary" busy={busy ? "Filing…" : undefined}>
            File it
            <span className="hidden sm:inline">
              <Key>Ctrl ↵</Key>
            </span>
          </Button>
        </div>
      </form>
    </Page>
  );
}

function Section({ title, open, children }: { title: string; open: boolean; children: React.ReactNode }) {
  const [start] = useState(open);
  return (
    <details open={start} className="rounded-lg border border-line bg-card p-3">
      <summary className="font-medium">{title}</summary>
      <div className="mt-3 grid gap-4 sm:grid-cols-2">{children}</div>
    </details>
  );
}

interface ApprovalsProps {
  draft: RequestDraft;
  set: (part: Partial<RequestDraft>) => void;
  problem: string | undefined;
}

function Approvals({ draft, set, problem }: ApprovalsProps) {
  const id = useId();
  return (
    <fieldset className="flex flex-col gap-2">
      <legend className="mb-1 font-medium">Ask me</legend>
      {(
        [
          ["approve_plan", "after planning, before anything is changed"],
          ["approve_push", "before the branch is pushed"],
        ] as const
      ).map(([name, words]) => (
        <div key={name} className="flex items-center gap-3">
          <Checkbox id={`${id}-${name}`} checked={draft[name]} onCheckedChange={(on) => set({ [name]: on === true })} />
          <label htmlFor={`${id}-${name}`}>{words}</label>
        </div>
      ))}
      {problem && (
        <p role="alert" className="text-failed text-xs">
          {problem}
        </p>
      )}
    </fieldset>
  );
}

/** What will happen, in one sentence, before the button that makes it happen. */
function Summary({ draft }: { draft: RequestDraft }) {
  const workflow = workflowOf(useWorkflows().data, draft.workflow_type);
  const steps = draft.selected_commands?.length ?? workflow?.steps.length;
  const asks = [draft.approve_plan && "after planning", draft.approve_push && "before the push"].filter(Boolean);
  return (
    <p className="min-w-0 flex-1 text-muted text-xs">
      Runs {steps ?? "its"} steps on {draft.base_branch || "the default branch"}
      {draft.model && ` with ${draft.model}`}
      {draft.max_cost_usd && `, stops at $${draft.max_cost_usd}`}
      {draft.timeout_minutes && `, at most ${draft.timeout_minutes} min a step`}
      {asks.length > 0 && `, asks you ${asks.join(" and ")}`}.
    </p>
  );
}

function without(problems: Problems, names: DraftField[]): Problems {
  const left = { ...problems };
  for (const name of names) delete left[name];
  return left;
}
