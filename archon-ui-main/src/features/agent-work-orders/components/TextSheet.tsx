import { useQuery } from "@tanstack/react-query";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Download } from "lucide-react";
import { memo, useMemo, useRef } from "react";
import { Button, CopyButton, count, Dialog, Problem } from "../host";
import { asApiError } from "../services/client";
import { workOrderService } from "../services/workOrderService";
import { settle } from "../utils/terminal";

export interface WholeText {
  title: string;
  text: string;
  /** Where the whole stands, if `text` was cut. */
  artifactId: string | null;
}

/** A long text beside the page, line by line, whole even where the journal had to cut it. */
export const TextSheet = memo(function TextSheet({
  orderId,
  whole,
  onClose,
}: {
  orderId: string;
  whole: WholeText | null;
  onClose: () => void;
}) {
  const artifactId = whole?.artifactId ?? null;
  const { data, error, isLoading } = useQuery({
    queryKey: ["awo-artifact", orderId, artifactId],
    queryFn: ({ signal }) => workOrderService.artifactText(orderId, artifactId ?? "", signal),
    enabled: artifactId !== null,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
  });
  const text = data ?? whole?.text ?? "";
  const told = error ? asApiError(error) : null;
  return (
    <Dialog open={whole !== null} onOpenChange={(open) => open || onClose()} title={whole?.title ?? ""} wide>
      {told && <Problem message={`The whole text cannot be read: ${told.message}`} nextAction={told.nextAction} />}
      <div className="flex items-center gap-2 text-muted text-xs">
        <span className="flex-1" role="status">
          {isLoading ? "Loading the whole text…" : `${count(text.split("\n").length)} lines`}
        </span>
        <CopyButton text={text} label="Copy all of it" />
        {artifactId && (
          <Button asChild size="small">
            <a href={workOrderService.artifactUrl(orderId, artifactId)} download>
              <Download size={14} aria-hidden />
              Download
            </a>
          </Button>
        )}
      </div>
      <Lines text={text} />
    </Dialog>
  );
});

function Lines({ text }: { text: string }) {
  const scroller = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => settle(text).split("\n"), [text]);
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 20,
    overscan: 20,
  });
  return (
    <section
      ref={scroller}
      tabIndex={0}
      aria-label="Text"
      className="h-[65dvh] overflow-auto rounded-md bg-sunk p-2 font-mono text-code"
    >
      <div className="relative" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => (
          <div
            key={item.key}
            ref={virtual.measureElement}
            data-index={item.index}
            className="absolute inset-x-0 top-0 grid grid-cols-[4rem_minmax(0,1fr)] gap-3"
            style={{ transform: `translateY(${item.start}px)` }}
          >
            <span aria-hidden className="select-none text-right text-muted">
              {item.index + 1}
            </span>
            <span className="whitespace-pre-wrap break-words">{lines[item.index] || " "}</span>
          </div>
        ))}
      </div>
    </section>
  );
}
