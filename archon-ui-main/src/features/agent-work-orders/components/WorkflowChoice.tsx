import { useId } from "react";
import { useWorkflows } from "../hooks/useWorkOrders";
import { Checkbox, cn, Problem } from "../host";
import { asApiError } from "../services/client";
import type { Workflow } from "../types";

interface WorkflowChoiceProps {
  chosen: string;
  steps: string[] | null;
  problem: string | undefined;
  onChange: (workflow: string, steps: string[] | null) => void;
}

/** Workflows and their steps, each with what it does. */
export function WorkflowChoice({ chosen, steps, problem, onChange }: WorkflowChoiceProps) {
  const { data: workflows, error, refetch } = useWorkflows();
  const name = useId();
  if (error && !workflows) {
    const told = asApiError(error);
    return (
      <Problem
        message={`The workflows cannot be read: ${told.message}`}
        nextAction={`${told.nextAction} Without a choice the server takes its default workflow.`}
        onRetry={() => void refetch()}
      />
    );
  }
  if (!workflows) return <p className="min-h-40 text-muted">Loading the workflows…</p>;
  const current = workflowOf(workflows, chosen);
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className="mb-1 font-medium">Workflow</legend>
      <div className="grid gap-2 lg:grid-cols-3">
        {workflows.map((workflow) => (
          <label
            key={workflow.name}
            className={cn(
              "flex min-w-0 cursor-pointer items-start gap-2 rounded-lg border border-control p-3",
              workflow === current && "border-accent bg-accent-soft",
            )}
          >
            <input
              type="radio"
              name={name}
              className="mt-1 accent-(--accent)"
              checked={workflow === current}
              onChange={() => onChange(workflow.name, null)}
            />
            <span className="min-w-0">
              <span className="block break-words font-medium first-letter:uppercase">
                {workflow.name.replaceAll("_", " ")}
              </span>
              <span className="block text-muted text-xs">{workflow.explanation}</span>
            </span>
          </label>
        ))}
      </div>
      {current && <Steps workflow={current} steps={steps} onChange={(next) => onChange(current.name, next)} />}
      {problem && (
        <p role="alert" className="text-failed text-xs">
          The steps {problem}.
        </p>
      )}
    </fieldset>
  );
}

export const workflowOf = (workflows: Workflow[] | undefined, name: string): Workflow | undefined =>
  workflows?.find((one) => one.name === name) ?? workflows?.find((one) => one.is_default) ?? workflows?.[0];

interface StepsProps {
  workflow: Workflow;
  steps: string[] | null;
  onChange: (steps: string[] | null) => void;
}

function Steps({ workflow, steps, onChange }: StepsProps) {
  const all = workflow.steps.map((step) => step.name);
  const taken = new Set(steps ?? all);
  const toggle = (name: string, wanted: boolean) => {
    const next = new Set(taken);
    if (wanted) {
      next.add(name);
      for (const needed of workflow.steps.find((step) => step.name === name)?.needs ?? []) next.add(needed);
    } else {
      next.delete(name);
      // What needs it cannot stay without it.
      for (const step of workflow.steps) if (step.needs.some((needed) => !next.has(needed))) next.delete(step.name);
    }
    onChange(next.size === all.length ? null : all.filter((one) => next.has(one)));
  };
  return (
    <details className="rounded-lg border border-line bg-card p-3">
      <summary>
        {taken.size === all.length ? `All ${all.length} steps` : `${taken.size} of ${all.length} steps`}
      </summary>
      <ol className="mt-3 flex flex-col gap-3">
        {workflow.steps.map((step) => (
          <li key={step.name} className="flex items-start gap-3">
            <Checkbox
              id={`step-${step.name}`}
              checked={taken.has(step.name)}
              onCheckedChange={(checked) => toggle(step.name, checked === true)}
            />
            <label htmlFor={`step-${step.name}`} className="min-w-0">
              <span className="font-medium">{step.name}</span>
              <span className="text-muted"> · {step.agent_name === "claude" ? "the agent" : "the server"}</span>
              <span className="block text-muted text-xs">{step.explanation}</span>
            </label>
          </li>
        ))}
      </ol>
    </details>
  );
}
