import { CircleCheck, CircleHelp, CircleX, ShieldAlert } from "lucide-react";
import { type ReactNode, useId, useRef, useState } from "react";
import { Link } from "react-router-dom";
import { useVerify } from "../hooks/useRepositories";
import { Button, bytes, Card, Code, money, Problem, plural, RelativeTime } from "../host";
import { asApiError } from "../services/client";
import type { Repository } from "../types";
import { CheckList } from "./CheckList";
import { ForgetRepository } from "./ForgetRepository";
import { RepositoryOptionsForm } from "./RepositoryOptionsForm";

/** One configured repository: whether it can be used, what holds for its orders, and what can be done with it. */
export function RepositoryCard({ repository }: { repository: Repository }) {
  const [editing, setEditing] = useState(false);
  const title = useId();
  const options = useRef<HTMLButtonElement>(null);
  const verify = useVerify();
  const error = verify.error ? asApiError(verify.error) : null;
  const name = `${repository.owner}/${repository.name}`;
  const at = encodeURIComponent(repository.repository_url);
  return (
    <Card as="article" aria-labelledby={title} className="flex flex-col gap-3">
      <div className="flex flex-wrap items-start justify-between gap-2">
        <div className="min-w-0">
          <h2 id={title} className="break-words font-semibold text-base">
            {repository.display_name ?? name}
          </h2>
          <Code copy="Copy the address">{repository.repository_url}</Code>
        </div>
        <Standing repository={repository} />
      </div>
      <Facts repository={repository} />
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      {repository.verification && (
        <details open={!repository.verification.ok} className="text-sm">
          <summary>What the verification looked at</summary>
          <div className="mt-2">
            <CheckList checks={repository.verification.checks} label={`Checks of ${name}`} />
          </div>
        </details>
      )}
      <div className="flex flex-wrap gap-2">
        <Button
          size="small"
          busy={verify.isPending ? "Verifying…" : undefined}
          onClick={() => verify.mutate(repository.repository_id)}
        >
          Verify
        </Button>
        <Button ref={options} size="small" aria-expanded={editing} onClick={() => setEditing(true)}>
          Options
        </Button>
        <Button size="small" asChild>
          <Link to={`/agent-work-orders/new?repository=${at}`}>New order</Link>
        </Button>
        <Button size="small" asChild>
          <Link to={`/agent-work-orders?repository=${at}`}>Its orders</Link>
        </Button>
        <ForgetRepository repository={repository} />
      </div>
      {editing && (
        <RepositoryOptionsForm
          repository={repository}
          onDone={() => {
            setEditing(false);
            options.current?.focus();
          }}
        />
      )}
    </Card>
  );
}

function Standing({ repository: { is_verified, last_verified_at } }: { repository: Repository }) {
  const [Icon, colour, words] =
    is_verified === null
      ? ([CircleHelp, "text-muted", "Never verified"] as const)
      : is_verified
        ? ([CircleCheck, "text-completed", "Verified"] as const)
        : ([CircleX, "text-failed", "Verification failed"] as const);
  return (
    <span role="status" className={`inline-flex flex-wrap items-center gap-1.5 font-medium ${colour}`}>
      <Icon size={16} aria-hidden className="shrink-0" />
      {words}
      {last_verified_at && <RelativeTime at={last_verified_at} className="font-normal text-muted" />}
    </span>
  );
}

function Facts({ repository: { options, mirror, default_branch } }: { repository: Repository }) {
  const atOnce =
    options.max_concurrent === 0
      ? "paused"
      : options.max_concurrent
        ? `${plural(options.max_concurrent, "order")} at once`
        : null;
  const limits = [
    atOnce,
    options.max_cost_usd ? `${money(options.max_cost_usd)} an order` : null,
    options.quota_mb ? `${bytes(options.quota_mb * 1_000_000)} a checkout` : null,
  ];
  const defaults = [
    options.base_branch ?? default_branch,
    options.workflow_type,
    options.model,
    options.verify_command ? "own check command" : null,
  ];
  const said = (values: (string | null | undefined)[]) => values.filter(Boolean).join(" · ") || "the server's own";
  return (
    <dl className="grid gap-x-6 gap-y-1 text-sm sm:grid-cols-2">
      <Fact name="Defaults">{said(defaults)}</Fact>
      <Fact name="Limits">{said(limits)}</Fact>
      <Fact name="Mirror">
        {mirror ? (
          <>
            {bytes(mirror.size_bytes)}, fetched{" "}
            {mirror.last_fetched_at ? <RelativeTime at={mirror.last_fetched_at} /> : "at an unknown time"}
          </>
        ) : (
          "none yet; the first order makes it"
        )}
      </Fact>
      <Fact name="Orders">{mirror ? `${plural(mirror.orders, "order")} with work in it` : "none with work in it"}</Fact>
      <Fact name="Trust">
        {options.trusted ? (
          <span className="inline-flex items-center gap-1.5 font-medium text-failed">
            <ShieldAlert size={16} aria-hidden className="shrink-0" />
            trusted: its own settings and hooks run
          </span>
        ) : (
          "not trusted: its own settings and hooks are ignored"
        )}
      </Fact>
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="grid grid-cols-[5rem_minmax(0,1fr)] gap-2">
      <dt className="text-muted">{name}</dt>
      <dd className="min-w-0 break-words">{children}</dd>
    </div>
  );
}
