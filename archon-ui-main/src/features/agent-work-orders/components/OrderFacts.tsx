import { GitPullRequest } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button, Code, count, money, plural, RelativeTime, safeHref } from "../host";
import type { WorkOrderDetail } from "../types";
import { pullRequestNumber, repositoryName } from "../utils/words";

/** What the order is about and what came of it, beside its timeline. */
export function OrderFacts({ order }: { order: WorkOrderDetail }) {
  const [whole, setWhole] = useState(false);
  const pull = safeHref(order.github_pull_request_url);
  const repository = safeHref(order.repository_url);
  return (
    <div className="flex flex-col gap-2 text-sm">
      <dl className="flex flex-col gap-2">
        <CostMeter cost={order.cost_usd ?? 0} limit={order.max_cost_usd ?? null} />
        <Fact name="Repository">
          {repository ? (
            <a
              href={repository}
              target="_blank"
              rel="noreferrer"
              title={order.repository_url}
              className="break-words text-accent hover:underline"
            >
              {repositoryName(order.repository_url)}
            </a>
          ) : (
            order.repository_url
          )}
        </Fact>
        {order.git_branch_name && (
          <Fact name="Branch">
            <Code copy="Copy the branch">{order.git_branch_name}</Code>
          </Fact>
        )}
        {pull && (
          <Fact name="Pull request">
            <a
              href={pull}
              target="_blank"
              rel="noreferrer"
              className="inline-flex items-center gap-1 text-accent hover:underline"
            >
              <GitPullRequest size={14} aria-hidden />#{pullRequestNumber(pull)}
            </a>
          </Fact>
        )}
        {(order.git_commit_count ?? 0) > 0 && (
          <Fact name="Change">
            {plural(order.git_commit_count ?? 0, "commit")}, {plural(order.git_files_changed ?? 0, "file")}
          </Fact>
        )}
        <Fact name="Filed">
          <RelativeTime at={order.created_at} />
        </Fact>
        {whole && (
          <>
            <Fact name="Workflow">{order.workflow_type}</Fact>
            <Fact name="Base">{order.base_branch ?? "the default branch"}</Fact>
            {order.working_subdir && <Fact name="Directory">{order.working_subdir}</Fact>}
            {order.github_issue_number && <Fact name="Issue">#{order.github_issue_number}</Fact>}
            <Fact name="Model">{order.model ?? "the configured one"}</Fact>
            <Fact name="Tokens">
              {count(order.input_tokens ?? 0)} read, {count(order.output_tokens ?? 0)} written
            </Fact>
            <Fact name="Priority">{order.priority}</Fact>
            <Fact name="Attempt">
              {order.attempt} of {order.max_attempts}
            </Fact>
            {order.worker_id && (
              <Fact name="Worker">
                <Code>{order.worker_id}</Code>
              </Fact>
            )}
            {order.agent_session_id && (
              <Fact name="Session">
                <Code copy="Copy the session">{order.agent_session_id}</Code>
              </Fact>
            )}
            <Fact name="Order">
              <Code copy="Copy the identifier">{order.agent_work_order_id}</Code>
            </Fact>
          </>
        )}
      </dl>
      <div>
        <Button size="small" variant="ghost" className="-ml-2" aria-expanded={whole} onClick={() => setWhole(!whole)}>
          {whole ? "Less" : "More about it"}
        </Button>
      </div>
    </div>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="grid grid-cols-[6rem_minmax(0,1fr)] gap-2">
      <dt className="text-muted">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </div>
  );
}

function CostMeter({ cost, limit }: { cost: number; limit: number | null }) {
  return (
    <Fact name="Cost">
      <span className="tabular">
        {money(cost)}
        {limit !== null && <span className="text-muted"> of {money(limit)}</span>}
      </span>
      {limit !== null && (
        <span aria-hidden className="mt-1 block h-1 overflow-hidden rounded-full bg-sunk">
          <span
            className={`block h-full ${cost >= limit * 0.9 ? "bg-failed" : "bg-accent"}`}
            style={{ width: `${Math.min(100, (cost / limit) * 100)}%` }}
          />
        </span>
      )}
    </Fact>
  );
}
