import { FlaskConical } from "lucide-react";
import { DiskCard } from "../components/DiskCard";
import { QueueCounts } from "../components/QueueCounts";
import { ServiceHealth } from "../components/ServiceHealth";
import { SlotRow } from "../components/SlotRow";
import { WorkerLeases } from "../components/WorkerLeases";
import { useServiceStatus } from "../hooks/useServiceStatus";
import { Card, Code, Page, Problem, Skeleton } from "../host";
import { asApiError } from "../services/client";
import type { ServiceStatus } from "../types";

/** Can it take work, what is it doing, what is stuck, what runs out: in this order. */
export default function StatusView() {
  const { status, health, live } = useServiceStatus();
  const told = status.data;
  const errors = [status, health].filter((query) => query.error);
  return (
    <Page title="Status" className="max-w-260">
      {errors.slice(0, 1).map((query) => {
        const error = asApiError(query.error);
        return (
          <Problem
            key="problem"
            message={error.message}
            nextAction={error.nextAction}
            onRetry={() => {
              for (const one of errors) void one.refetch();
            }}
          />
        );
      })}
      {told?.rehearsal && <RehearsalBanner rehearsal={told.rehearsal} />}
      {health.data && <ServiceHealth health={health.data} status={told} />}
      {(status.isPending || health.isPending) && errors.length === 0 && <Skeleton lines={4} className="h-24" />}
      {told && (
        <>
          <SlotRow status={told} />
          <QueueCounts status={told} />
          <WorkerLeases status={told} />
          <DiskCard disk={told.disk} />
          <p className="text-muted text-xs">
            {live ? "Follows every change as it happens." : "Asks again every 10 seconds while you look."}
          </p>
        </>
      )}
    </Page>
  );
}

function RehearsalBanner({ rehearsal }: { rehearsal: NonNullable<ServiceStatus["rehearsal"]> }) {
  return (
    <Card as="section" edge="accent" aria-label="Rehearsal" className="flex flex-col gap-1">
      <p className="flex items-center gap-2 font-semibold">
        <FlaskConical size={18} aria-hidden className="shrink-0 text-accent" />
        This is a rehearsal
      </p>
      <p>The model's words and GitHub are pretended; all the rest is real. Nothing costs money.</p>
      <p className="min-w-0 text-muted">
        Sample repository: <Code copy="Copy the address">{rehearsal.repository_url}</Code>
      </p>
      <p className="break-words text-muted">It knows how to carry out: “{rehearsal.request}”</p>
    </Card>
  );
}
