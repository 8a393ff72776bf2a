import { useState } from "react";
import { useCleanUp } from "../hooks/useAwoSettings";
import { asApiError, Button, bytes, Card, Confirm, Problem, plural, RelativeTime } from "../host";
import type { CleanupReport } from "../services/awoSettingsService";

const SHOWN = 100;

/** What retention would remove now, and removing it after it was seen. */
export function CleanupPanel() {
  const [asking, setAsking] = useState(false);
  const cleanUp = useCleanUp();
  const report = cleanUp.data;
  const error = cleanUp.error ? asApiError(cleanUp.error) : null;
  const ready = report?.dry_run && report.removed_count > 0 && !cleanUp.isPending;
  const size = report ? `${plural(report.removed_count, "item")}, ${bytes(report.freed_bytes)}` : "";
  return (
    <Card as="section" aria-label="Clean-up" className="flex min-w-0 flex-col gap-3">
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div className="min-w-0">
          <h2 className="font-semibold">Clean-up</h2>
          <p className="text-muted text-sm">
            The server removes by itself what the saved settings say. Here it can be seen, and done at once.
          </p>
        </div>
        <div className="flex flex-wrap gap-2">
          <Button
            size="small"
            onClick={() => cleanUp.mutate(true)}
            busy={cleanUp.isPending && cleanUp.variables ? "Looking…" : undefined}
            disabled={cleanUp.isPending}
          >
            Preview clean-up
          </Button>
          {ready && (
            <Button size="small" variant="danger" onClick={() => setAsking(true)}>
              Remove {size}…
            </Button>
          )}
        </div>
      </div>
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      <div role="status" className="text-sm">
        {cleanUp.isPending && !cleanUp.variables && "Removing…"}
        {report && <p>{report.dry_run ? `Would remove ${size}.` : `Removed ${size}.`}</p>}
      </div>
      {report && <Report report={report} />}
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Remove ${size}?`}
        confirm={`Remove ${report ? plural(report.removed_count, "item") : ""}`}
        danger
        onConfirm={() => {
          setAsking(false);
          cleanUp.mutate(false);
        }}
      >
        <p>
          What the preview lists goes for good; what became due since goes with it. Active and waiting orders and work
          that no remote has always stay.
        </p>
      </Confirm>
    </Card>
  );
}

function Report({ report }: { report: CleanupReport }) {
  const kept = Object.entries(report.used_bytes).filter(([, size]) => size > 0);
  return (
    <>
      {kept.length > 0 && (
        <p className="text-muted text-sm">
          Kept on the disk: {kept.map(([kind, size]) => `${kind} ${bytes(size)}`).join(", ")}.
        </p>
      )}
      {report.problems.map((problem) => (
        <p key={problem} className="break-words text-failed text-sm">
          {problem}
        </p>
      ))}
      {report.removed.length > 0 && (
        <List
          title={report.dry_run ? "Would go" : "Gone"}
          count={report.removed_count}
          rows={report.removed.slice(0, SHOWN).map((one) => ({ ...one, at: one.used_at }))}
        />
      )}
      {report.protected.length > 0 && (
        <List
          title="Stays although a rule would remove it"
          count={report.protected.length}
          rows={report.protected.slice(0, SHOWN)}
        />
      )}
    </>
  );
}

interface ListProps {
  title: string;
  count: number;
  rows: { kind: string; name: string; size_bytes: number; reason: string; at?: string }[];
}

function List({ title, count, rows }: ListProps) {
  return (
    <div className="flex min-w-0 flex-col gap-1 text-sm">
      <h3 className="font-medium">
        {title}
        {count > rows.length && `: the first ${rows.length} of ${count}`}
      </h3>
      <ul className="max-h-80 divide-y divide-line overflow-y-auto">
        {rows.map((row) => (
          <li key={`${row.kind} ${row.name}`} className="flex flex-wrap gap-x-3 py-1">
            <code className="min-w-0 break-all font-mono text-code">{row.name}</code>
            <span className="tabular">{bytes(row.size_bytes)}</span>
            <span className="min-w-0 text-muted">
              {row.kind}, {row.reason}
              {row.at && (
                <>
                  {", last used "}
                  <RelativeTime at={row.at} />
                </>
              )}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
