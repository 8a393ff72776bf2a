import {
  Braces,
  ChevronDown,
  ChevronRight,
  CircleCheck,
  CircleX,
  Info,
  Link2,
  MessageSquare,
  PauseCircle,
  Terminal,
} from "lucide-react";
import { memo, type ReactNode, useState } from "react";
import { Button, CopyButton, clockTime, cn, count, duration, exactTime, money, safeHref } from "../host";
import {
  type CheckRow,
  callOf,
  eventsOf,
  isBad,
  keyOf,
  type ShownRow,
  type StepRow,
  secondsOf,
  type TextRow,
  type ToolRow,
} from "../utils/transcript";
import { LazyMarkdown } from "./LazyMarkdown";
import { TerminalText } from "./TerminalText";
import type { WholeText } from "./TextSheet";

const LONG_TEXT = 20_000;
const MOST_LINES = 200;

export interface RowActs {
  onToggle: (key: number, open: boolean) => void;
  onWhole: (whole: WholeText) => void;
}

interface TranscriptRowProps extends RowActs {
  row: ShownRow;
  open: boolean;
  marked: boolean;
}

/** One line of the transcript. What is folded is not on the page at all. */
export const TranscriptRow = memo(function TranscriptRow({ row, open, marked, ...acts }: TranscriptRowProps) {
  // The buttons of a row are half of its elements, and are wanted for one row at a time.
  const [near, setNear] = useState(false);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it acts on nothing, it only shows what can be done
    <div
      onPointerEnter={() => setNear(true)}
      onPointerLeave={() => setNear(false)}
      onFocus={() => setNear(true)}
      className={cn(
        "relative grid grid-cols-[minmax(0,1fr)_auto] items-baseline gap-2 border-transparent border-l-2 px-2 py-1 sm:px-3",
        isBad(row) && "border-l-failed",
        marked && "bg-accent-soft",
      )}
    >
      <div className="min-w-0">{bodyOf(row, open, acts)}</div>
      <RowTools row={row} near={near} />
    </div>
  );
});

/** The time stands on the line of the row's first words, also while the buttons are beside it. */
function RowTools({ row, near }: { row: ShownRow; near: boolean }) {
  return (
    <span className="flex h-4 items-center text-muted text-xs">
      {near && row.row !== "group" && (
        <span className="hidden items-center sm:flex">
          <CopyButton text={() => plainText(row)} label="Copy the text" />
          <CopyButton
            text={() => JSON.stringify(eventsOf(row), null, 2)}
            label="Copy as JSON"
            className="[&>svg]:hidden"
          />
          <Braces size={14} aria-hidden className="-ml-5 pointer-events-none mr-1" />
        </span>
      )}
      <a
        href={`#seq=${row.event.seq}`}
        title={`${exactTime(row.event.at)} · line ${row.event.seq}`}
        className="tabular -my-1 inline-flex items-baseline gap-1 self-baseline py-1 hover:underline"
      >
        {near && <Link2 size={12} aria-hidden className="hidden self-center sm:block" />}
        {clockTime(row.event.at)}
      </a>
    </span>
  );
}

function plainText(row: ShownRow): string {
  switch (row.row) {
    case "text":
      return row.event.payload.text;
    case "note":
      return row.text;
    case "tool": {
      const { tool, summary } = callOf(row);
      return [tool, summary, row.returned?.payload.output ?? ""].join("\n");
    }
    case "step": {
      const { event } = row;
      if (event.kind === "step_started") return event.payload.step_name;
      return [event.payload.step_name, event.payload.output ?? "", event.payload.error_message ?? ""].join("\n");
    }
    case "check":
      return `${row.event.payload.command}\n${row.event.payload.output_tail}`;
    case "group":
      return row.summary;
  }
}

function bodyOf(row: ShownRow, open: boolean, acts: RowActs): ReactNode {
  switch (row.row) {
    case "text":
      return <Speech row={row} open={open} {...acts} />;
    case "tool":
      return <Tool row={row} open={open} {...acts} />;
    case "group":
      return (
        <Fold open={false} onToggle={() => acts.onToggle(keyOf(row), true)}>
          <span className="text-muted">{row.summary}</span>
        </Fold>
      );
    case "step":
      return <StepLine row={row} open={open} {...acts} />;
    case "check":
      return <Check row={row} open={open} {...acts} />;
    case "note":
      return <Note row={row} />;
  }
}

function Check({ row, open, onToggle, onWhole }: { row: CheckRow; open: boolean } & RowActs) {
  const { passed, command, exit_code, duration_seconds, output_tail, artifact_id } = row.event.payload;
  return (
    <div className="flex flex-col gap-1">
      <Fold open={open} onToggle={() => onToggle(keyOf(row), !open)}>
        {passed ? (
          <CircleCheck size={16} aria-hidden className="shrink-0 self-center text-completed" />
        ) : (
          <CircleX size={16} aria-hidden className="shrink-0 self-center text-failed" />
        )}
        <span className="shrink-0 font-medium">{passed ? "Check passed" : "Check failed"}</span>
        <code className="min-w-0 truncate font-mono text-code">{command}</code>
        <Meta>
          {exit_code === null || exit_code === undefined ? "stopped" : `exit ${exit_code}`} ·{" "}
          {duration(duration_seconds)}
        </Meta>
      </Fold>
      {open && (
        <Body title={command} text={output_tail} artifactId={artifact_id ?? null} bad={!passed} onWhole={onWhole} />
      )}
    </div>
  );
}

const NOTE_ICONS = { plain: Info, good: CircleCheck, bad: CircleX, person: MessageSquare, waiting: PauseCircle };
const NOTE_COLOURS = {
  plain: "text-muted",
  good: "text-completed",
  bad: "text-failed",
  person: "text-accent",
  waiting: "text-waiting",
};

function Note({ row }: { row: Extract<ShownRow, { row: "note" }> }) {
  const Icon = NOTE_ICONS[row.tone];
  const href = safeHref(row.link);
  return (
    <p className={cn("flex items-start gap-2", row.minor && "text-muted text-xs leading-5")}>
      <Icon size={16} aria-hidden className={cn("mt-0.5 shrink-0", NOTE_COLOURS[row.tone])} />
      <span className="min-w-0 self-baseline whitespace-pre-wrap break-words">
        {row.tone === "person" && <span className="sr-only">A person wrote: </span>}
        {row.text}{" "}
        {href && (
          <a href={href} target="_blank" rel="noreferrer" className="break-all text-accent underline">
            {href}
          </a>
        )}
      </span>
    </p>
  );
}

/** The agent's words. Very long ones stay plain until somebody wants them rendered: a page must not hang on them. */
function Speech({ row, open, onToggle, onWhole }: { row: TextRow; open: boolean } & RowActs) {
  const { text, artifact_id: artifactId } = row.event.payload;
  const long = text.length > LONG_TEXT;
  return (
    <div className="flex flex-col gap-1 py-1">
      {long && !open ? (
        <div className="max-w-[72ch] whitespace-pre-wrap break-words">{text}</div>
      ) : (
        <LazyMarkdown>{text}</LazyMarkdown>
      )}
      <span className="flex gap-2">
        {long && !open && (
          <Button size="small" onClick={() => onToggle(keyOf(row), true)}>
            Render as Markdown
          </Button>
        )}
        {artifactId && (
          <Button size="small" onClick={() => onWhole({ title: "What the agent said", text, artifactId })}>
            Show all of it
          </Button>
        )}
      </span>
    </div>
  );
}

function Tool({ row, open, onToggle, onWhole }: { row: ToolRow; open: boolean } & RowActs) {
  const { event, returned } = row;
  const { tool, summary } = callOf(row);
  const seconds = secondsOf(row);
  const given = open && event.kind === "tool_used" ? inputText(event.payload.input, summary) : null;
  return (
    <div className="flex flex-col gap-1">
      <Fold open={open} onToggle={() => onToggle(keyOf(row), !open)}>
        <Terminal size={14} aria-hidden className="shrink-0 self-center text-muted" />
        <span className="shrink-0 font-medium">{tool}</span>
        <code className="min-w-0 truncate font-mono text-code" title={summary}>
          {summary}
        </code>
        <Meta>
          {!returned && <span className="text-running">running</span>}
          {isBad(row) && <span className="text-failed">failed</span>}
          {seconds !== null && ` ${duration(seconds)}`}
        </Meta>
      </Fold>
      {given && (
        <Body
          title={`${tool}: input`}
          text={given}
          artifactId={event.payload.artifact_id ?? null}
          bad={false}
          onWhole={onWhole}
        />
      )}
      {open && returned && (
        <Body
          title={`${tool} ${summary}`}
          text={returned.payload.output}
          artifactId={returned.payload.artifact_id ?? null}
          bad={returned.payload.is_error}
          onWhole={onWhole}
        />
      )}
    </div>
  );
}

/** What the tool was given, where its one line does not say it all. */
function inputText(input: unknown, summary: string): string | null {
  if (input === null || input === undefined) return null;
  if (typeof input === "string") return input === summary ? null : input;
  const given = input as Record<string, unknown>;
  const names = Object.keys(given);
  if (names.length === 1 && given[names[0] ?? ""] === summary) return null;
  return names
    .map((name) => {
      const value = given[name];
      const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
      return text.includes("\n") ? `${name}:\n${text}` : `${name}: ${text}`;
    })
    .join("\n");
}

const STEP_WORDS = {
  completed: "completed",
  failed: "failed",
  skipped: "skipped",
  cancelled: "cancelled",
  running: "running",
};

function StepLine({ row, open, onToggle, onWhole }: { row: StepRow; open: boolean } & RowActs) {
  const { event } = row;
  if (event.kind === "step_started") {
    return (
      <h2 className="flex items-baseline gap-2 pt-3 font-semibold">
        <span className="h-px w-4 self-center bg-line" />
        {event.payload.step_name}
        <span className="font-normal text-muted text-xs">
          {event.payload.agent_name === "claude" ? "by the agent" : "by the server"}
          {event.attempt > 1 && `, attempt ${event.attempt}`}
        </span>
        <span className="h-px flex-1 self-center bg-line" />
      </h2>
    );
  }
  const { step_name: name, status, error_message: error, output, artifact_id, permission_denials } = event.payload;
  const cost = event.payload.cost_usd ?? 0;
  const said = [error, output].filter(Boolean).join("\n\n");
  const colour = status === "completed" ? "text-completed" : status === "failed" ? "text-failed" : "text-muted";
  const line = (
    <>
      <span className={cn("font-medium", colour)}>
        {name} {STEP_WORDS[status]}
      </span>
      <Meta>
        {duration(event.payload.duration_seconds)}
        {cost > 0 && ` · ${money(cost)}`}
      </Meta>
    </>
  );
  return (
    <div className="flex flex-col gap-1">
      {said ? (
        <Fold open={open} onToggle={() => onToggle(keyOf(row), !open)}>
          {line}
        </Fold>
      ) : (
        <span className="flex gap-2 pl-6">{line}</span>
      )}
      {error && !open && <p className="pl-6 text-failed">{error}</p>}
      {open && (
        <Body title={name} text={said} artifactId={artifact_id ?? null} bad={status === "failed"} onWhole={onWhole} />
      )}
      {permission_denials && permission_denials.length > 0 && (
        <p className="pl-6 text-muted text-xs">
          It asked for these tools and was denied: {permission_denials.join(", ")}
        </p>
      )}
    </div>
  );
}

function Fold({ open, onToggle, children }: { open: boolean; onToggle: () => void; children: ReactNode }) {
  const Chevron = open ? ChevronDown : ChevronRight;
  return (
    <button
      type="button"
      aria-expanded={open}
      onClick={onToggle}
      className="flex min-h-6 w-full min-w-0 items-center rounded text-left hover:bg-sunk pointer-coarse:min-h-11"
    >
      <span className="flex min-w-0 flex-1 items-baseline gap-2">
        <Chevron size={16} aria-hidden className="shrink-0 self-center text-muted" />
        {children}
      </span>
    </button>
  );
}

const Meta = ({ children }: { children: ReactNode }) => (
  <span className="tabular ml-auto shrink-0 text-muted text-xs">{children}</span>
);

interface BodyProps {
  title: string;
  text: string;
  artifactId: string | null;
  bad: boolean;
  onWhole: (whole: WholeText) => void;
}

function Body({ title, text, artifactId, bad, onWhole }: BodyProps) {
  const lines = text.split("\n");
  const cut = lines.length > MOST_LINES;
  return (
    <div className={cn("ml-6 flex flex-col gap-1 rounded-md p-2", bad ? "bg-failed-soft" : "bg-sunk")}>
      {text ? (
        <TerminalText text={cut ? lines.slice(0, MOST_LINES).join("\n") : text} />
      ) : (
        <span className="text-muted">It printed nothing.</span>
      )}
      {(cut || artifactId) && (
        <span>
          <Button size="small" onClick={() => onWhole({ title, text, artifactId })}>
            {artifactId ? "Show all of it" : `Show all ${count(lines.length)} lines`}
          </Button>
        </span>
      )}
    </div>
  );
}
