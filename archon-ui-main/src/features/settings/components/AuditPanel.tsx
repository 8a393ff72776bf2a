import { useAudit } from "../hooks/useAwoSettings";
import { asApiError, Button, Empty, Problem, RelativeTime, Skeleton } from "../host";
import type { AuditEntry } from "../services/awoSettingsService";

/** Who changed what, newest first; of secrets that they changed, nothing more. */
export function AuditPanel() {
  const audit = useAudit();
  const error = audit.error ? asApiError(audit.error) : null;
  const entries = audit.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <section aria-label="Changes" className="flex flex-col gap-3">
      {error && <Problem message={error.message} nextAction={error.nextAction} onRetry={() => void audit.refetch()} />}
      {audit.isPending && <Skeleton lines={3} />}
      {audit.data && entries.length === 0 && <Empty title="Nobody has changed anything yet" />}
      <ul className="divide-y divide-line text-sm">
        {entries.map((entry) => (
          <li key={entry.entry_id} className="flex min-w-0 flex-wrap gap-x-3 gap-y-1 py-2">
            <code className="min-w-0 break-all font-mono text-code">{entry.setting}</code>
            <span className="min-w-0 break-words">{sentence(entry)}</span>
            <span className="min-w-0 break-words text-muted">
              by {entry.by}, <RelativeTime at={entry.at} />
            </span>
          </li>
        ))}
      </ul>
      {audit.hasNextPage && (
        <div>
          <Button
            size="small"
            busy={audit.isFetchingNextPage ? "Loading…" : undefined}
            onClick={() => void audit.fetchNextPage()}
          >
            Load more
          </Button>
        </div>
      )}
    </section>
  );
}

function sentence({ action, old, new: now }: AuditEntry): string {
  if (action === "secret_saved") return "secret saved";
  if (action === "secret_removed") return "secret removed";
  if (action === "reset") return old === null ? "reset" : `reset; it was ${old}`;
  return old === null ? `set to ${now ?? ""}` : `changed from ${old} to ${now ?? ""}`;
}
