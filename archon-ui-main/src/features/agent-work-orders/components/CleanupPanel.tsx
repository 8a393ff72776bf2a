import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { workOrderKeys } from "../hooks/keys";
import { Button, bytes, Confirm, Problem, plural } from "../host";
import { asApiError } from "../services/client";
import { statusService } from "../services/statusService";

/** Clean-up by hand: first what would go, then, if a person says so, what went. */
export function CleanupPanel() {
  const [asking, setAsking] = useState(false);
  const client = useQueryClient();
  const clean = useMutation({
    mutationFn: (dryRun: boolean) => statusService.cleanup(dryRun),
    onSuccess: (report) => {
      if (!report.dry_run) void client.invalidateQueries({ queryKey: workOrderKeys.status });
    },
  });
  const report = clean.data;
  const error = clean.error ? asApiError(clean.error) : null;
  return (
    <div className="flex flex-col gap-2">
      <div className="flex flex-wrap items-center gap-2">
        <Button size="small" busy={clean.isPending ? "Looking…" : undefined} onClick={() => clean.mutate(true)}>
          Preview clean-up
        </Button>
        {report?.dry_run && report.removed_count > 0 && (
          <Button size="small" variant="danger" disabled={clean.isPending} onClick={() => setAsking(true)}>
            Clean up now…
          </Button>
        )}
      </div>
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      {report && (
        <p role="status" className="text-sm">
          {report.dry_run ? "Would remove" : "Removed"} {plural(report.removed_count, "thing")},{" "}
          {bytes(report.freed_bytes)}.
          {report.protected.length > 0 && ` ${plural(report.protected.length, "other")} kept for their work's sake.`}
        </p>
      )}
      {report && report.problems.length > 0 && (
        <ul className="list-inside list-disc text-muted text-sm">
          {report.problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title="Clean up now?"
        confirm="Clean up"
        cancel="Keep it all"
        danger
        onConfirm={() => {
          setAsking(false);
          clean.mutate(false);
        }}
      >
        <p>
          About {plural(report?.removed_count ?? 0, "thing")} of {bytes(report?.freed_bytes ?? 0)} that retention gives
          up are removed for good. Active and waiting orders stay, and so does work that no remote has.
        </p>
      </Confirm>
    </div>
  );
}
