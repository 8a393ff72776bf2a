import { useQuery } from "@tanstack/react-query";
import { CircleCheck, CircleX, Download } from "lucide-react";
import { workOrderKeys } from "../hooks/keys";
import { bytes, Card, Code, clockTime, duration, Empty, exactTime, plural } from "../host";
import { workOrderService } from "../services/workOrderService";
import type { Artifact, EventOf, JournalEvent } from "../types";
import { TerminalText } from "./TerminalText";

interface EvidencePanelProps {
  orderId: string;
  milestones: readonly JournalEvent[];
  /** Whether this order's workflow has the server verify the work at all. */
  verifies: boolean;
}

/** What the server itself ran and found. An agent's word is no evidence, and does not stand here. */
export function EvidencePanel({ orderId, milestones, verifies }: EvidencePanelProps) {
  const checks = milestones.filter((event): event is EventOf<"check_run"> => event.kind === "check_run");
  const policies = milestones.filter((event): event is EventOf<"policy_checked"> => event.kind === "policy_checked");
  const artifacts = useQuery({
    // Whatever ends a step may leave files.
    queryKey: [...workOrderKeys.artifacts(orderId), milestones.length],
    queryFn: ({ signal }) => workOrderService.artifacts(orderId, signal),
    placeholderData: (before) => before,
  });
  return (
    <div className="flex min-h-0 flex-1 flex-col gap-4 overflow-y-auto p-3">
      <section aria-label="Checks" className="flex flex-col gap-3">
        <h2 className="font-semibold">Checks that the server ran</h2>
        {checks.length === 0 && (
          <Empty title={verifies ? "No check has run yet" : "No check in this workflow"}>
            {verifies
              ? "The server runs the repository's own check once the agent has done its part."
              : "This order's workflow changes nothing that would have to be verified."}
          </Empty>
        )}
        {checks.map((check) => (
          <CheckCard key={check.seq} check={check} orderId={orderId} />
        ))}
      </section>
      {policies.length > 0 && (
        <section aria-label="Policy" className="flex flex-col gap-2">
          <h2 className="font-semibold">May it be pushed?</h2>
          {policies.map((event) => (
            <Card key={event.seq} edge={event.payload.passed ? undefined : "failed"}>
              <p className="flex items-center gap-2 font-medium">
                <Verdict passed={event.payload.passed} words={event.payload.passed ? "It may" : "It may not"} />
                <Stamp at={event.at} />
              </p>
              {event.payload.problems.map((problem) => (
                <p key={problem} className="break-words text-muted">
                  {problem}
                </p>
              ))}
            </Card>
          ))}
        </section>
      )}
      <Files orderId={orderId} artifacts={artifacts.data ?? []} />
    </div>
  );
}

function CheckCard({ check, orderId }: { check: EventOf<"check_run">; orderId: string }) {
  const { payload } = check;
  return (
    <Card className="flex flex-col gap-2">
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <Verdict passed={payload.passed} words={payload.passed ? "passed" : "failed"} />
        <Code copy="Copy the command">{payload.command}</Code>
        <span className="tabular text-muted text-xs">
          {payload.exit_code === null || payload.exit_code === undefined
            ? "stopped at its time limit"
            : `exit ${payload.exit_code}`}
          {" · "}
          {duration(payload.duration_seconds)}
          {payload.repair_round > 0 && ` · after ${plural(payload.repair_round, "repair")}`}
        </span>
        <Stamp at={check.at} />
      </div>
      <p className="text-muted text-xs">
        On commit <Code>{payload.commit.slice(0, 12)}</Code>. The command comes from: {payload.source}.
      </p>
      <details open={!payload.passed}>
        <summary>End of its output</summary>
        <TerminalText text={payload.output_tail || "It printed nothing."} className="mt-2 rounded-md bg-sunk p-2" />
      </details>
      {payload.artifact_id && (
        <a className="text-accent underline" href={workOrderService.artifactUrl(orderId, payload.artifact_id)} download>
          Download the whole output
        </a>
      )}
    </Card>
  );
}

const Verdict = ({ passed, words }: { passed: boolean; words: string }) => (
  <span className={`inline-flex items-center gap-1.5 font-medium ${passed ? "text-completed" : "text-failed"}`}>
    {passed ? <CircleCheck size={16} aria-hidden /> : <CircleX size={16} aria-hidden />}
    {words}
  </span>
);

const Stamp = ({ at }: { at: string }) => (
  <time dateTime={at} title={exactTime(at)} className="tabular ml-auto text-muted text-xs">
    {clockTime(at)}
  </time>
);

function Files({ orderId, artifacts }: { orderId: string; artifacts: Artifact[] }) {
  if (artifacts.length === 0) return null;
  return (
    <section aria-label="Files" className="flex flex-col gap-2">
      <h2 className="font-semibold">Files it left</h2>
      <ul className="flex flex-col rounded-lg border border-line bg-card">
        {artifacts.map((file) => (
          <li key={file.artifact_id} className="flex min-h-10 items-center gap-3 border-line px-3 not-last:border-b">
            <span className="min-w-0 flex-1 truncate font-mono text-code" title={file.path}>
              {file.path}
            </span>
            <span className="hidden text-muted text-xs sm:inline">{file.artifact_type}</span>
            <span className="tabular text-muted text-xs">{bytes(file.size_bytes)}</span>
            <a
              className="inline-flex size-7 items-center justify-center text-accent pointer-coarse:size-11"
              href={workOrderService.artifactUrl(orderId, file.artifact_id)}
              download
              aria-label={`Download ${file.path}`}
            >
              <Download size={16} aria-hidden />
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
