/** From a journal's events to the rows of a transcript. Pure. */
import type { EventOf, JournalEvent, StepStatus } from "../types";

interface RowHead {
  /** Stable for the life of the row. */
  key: string;
  seq: number;
  at: string;
  step: number | null;
  attempt: number;
  /** What it comes from, for "copy as JSON" and for the search. */
  events: JournalEvent[];
}

export interface TextRow extends RowHead {
  row: "text";
  text: string;
  artifactId: string | null;
}

export interface ToolRow extends RowHead {
  row: "tool";
  tool: string;
  summary: string;
  input: unknown;
  /** Null until it came back. */
  output: string | null;
  isError: boolean;
  seconds: number | null;
  inputArtifactId: string | null;
  outputArtifactId: string | null;
}

export interface StepRow extends RowHead {
  row: "step";
  name: string;
  agent: string;
  /** Null while it runs: this row is its beginning. */
  status: StepStatus | null;
  seconds: number | null;
  cost: number;
  text: string | null;
  error: string | null;
  denied: string[];
  artifactId: string | null;
}

export interface CheckRow extends RowHead {
  row: "check";
  payload: EventOf<"check_run">["payload"];
}

export interface NoteRow extends RowHead {
  row: "note";
  tone: "plain" | "good" | "bad" | "person" | "waiting";
  text: string;
  link: string | null;
  /** Said in passing: shown small. */
  minor: boolean;
}

export interface GroupRow extends RowHead {
  row: "group";
  tools: ToolRow[];
  summary: string;
}

export type Row = TextRow | ToolRow | StepRow | CheckRow | NoteRow;
export type ShownRow = Row | GroupRow;

/** Kinds that the transcript leaves out: the timeline and the header tell them better. */
const SILENT: ReadonlySet<string> = new Set([
  "usage_counted",
  "checkout_progressed",
  "order_claimed",
  "checkpoint_shared",
]);

/** The rows of a piece of a journal, ascending by `seq`. Unknown kinds become plain rows. */
export function transcriptOf(events: readonly JournalEvent[]): Row[] {
  const transcript = new Transcript();
  transcript.append(events);
  return transcript.rows;
}

/**
 * The same, grown event by event at its end, and piece by piece at its beginning. `rows` is a new array after every
 * change, and a row that changed is a new object; all the others stay the same ones.
 */
export class Transcript {
  rows: Row[] = [];
  /** Calls that have not come back, and what came back from calls that are not here: where in `rows`. */
  private open = new Map<string, number>();
  private strays = new Map<string, number>();

  append(events: readonly JournalEvent[]): void {
    if (events.length === 0) return;
    this.rows = [...this.rows];
    for (const event of events) this.take(event);
  }

  /** Puts older events before what is here, and finds what came back in here its call among them. */
  prepend(events: readonly JournalEvent[]): void {
    if (events.length === 0) return;
    const older = new Transcript();
    older.append(events);
    const gone = new Set<number>();
    for (const [id, at] of this.strays) {
      const [event] = this.rows[at]?.events ?? [];
      if (event?.kind !== "tool_returned" || !older.close(event)) continue;
      gone.add(at);
      this.strays.delete(id);
    }
    const places: number[] = [];
    const rows = older.rows;
    this.rows.forEach((row, at) => {
      places.push(rows.length);
      if (!gone.has(at)) rows.push(row);
    });
    const moved = (there: Map<string, number>) => [...there].map(([id, at]) => [id, places[at] ?? at] as const);
    this.rows = rows;
    this.open = new Map([...older.open, ...moved(this.open)]);
    this.strays = new Map([...older.strays, ...moved(this.strays)]);
  }

  private take(event: JournalEvent) {
    if (event.kind === "tool_returned" && this.close(event)) return;
    if (SILENT.has(event.kind)) return;
    if (event.kind === "tool_used") this.open.set(event.payload.tool_use_id, this.rows.length);
    if (event.kind === "tool_returned") this.strays.set(event.payload.tool_use_id, this.rows.length);
    this.rows.push(rowOf(event));
  }

  /** Puts what came back into the row of its use; false when the use is not here. */
  private close(event: EventOf<"tool_returned">): boolean {
    const at = this.open.get(event.payload.tool_use_id);
    const used = at === undefined ? undefined : this.rows[at];
    if (at === undefined || used?.row !== "tool") return false;
    this.rows[at] = {
      ...used,
      output: event.payload.output,
      isError: event.payload.is_error,
      seconds: Math.max(0, (Date.parse(event.at) - Date.parse(used.at)) / 1000),
      outputArtifactId: event.payload.artifact_id ?? null,
      events: [...used.events, event],
    };
    this.open.delete(event.payload.tool_use_id);
    return true;
  }
}

function rowOf(event: JournalEvent): Row {
  const head: RowHead = {
    key: String(event.seq),
    seq: event.seq,
    at: event.at,
    step: event.step_order ?? null,
    attempt: event.attempt,
    events: [event],
  };
  switch (event.kind) {
    case "agent_spoke":
      return { ...head, row: "text", text: event.payload.text, artifactId: event.payload.artifact_id ?? null };
    case "tool_used":
      return {
        ...head,
        row: "tool",
        tool: event.payload.tool,
        summary: toolSummary(event.payload.input),
        input: event.payload.input,
        output: null,
        isError: false,
        seconds: null,
        inputArtifactId: event.payload.artifact_id ?? null,
        outputArtifactId: null,
      };
    case "tool_returned":
      return {
        ...head,
        row: "tool",
        tool: "result",
        summary: "of a call before this part of the journal",
        input: null,
        output: event.payload.output,
        isError: event.payload.is_error,
        seconds: null,
        inputArtifactId: null,
        outputArtifactId: event.payload.artifact_id ?? null,
      };
    case "step_started":
      return {
        ...head,
        row: "step",
        name: event.payload.step_name,
        agent: event.payload.agent_name,
        status: null,
        seconds: null,
        cost: 0,
        text: null,
        error: null,
        denied: [],
        artifactId: null,
      };
    case "step_finished":
      return {
        ...head,
        row: "step",
        name: event.payload.step_name,
        agent: "",
        status: event.payload.status,
        seconds: event.payload.duration_seconds,
        cost: event.payload.cost_usd ?? 0,
        text: event.payload.output ?? null,
        error: event.payload.error_message ?? null,
        denied: event.payload.permission_denials ?? [],
        artifactId: event.payload.artifact_id ?? null,
      };
    case "check_run":
      return { ...head, row: "check", payload: event.payload };
    default:
      return { ...head, row: "note", ...noteOf(event) };
  }
}

type Note = Pick<NoteRow, "tone" | "text" | "link" | "minor">;

const note = (text: string, tone: NoteRow["tone"] = "plain", more: Partial<Note> = {}): Note => ({
  text,
  tone,
  link: null,
  minor: false,
  ...more,
});

function noteOf(event: JournalEvent): Note {
  switch (event.kind) {
    case "order_enqueued":
      return note(`Filed for ${event.payload.repository_url}: ${event.payload.steps.join(", ")}`);
    case "checkout_opened":
      return note(
        [
          event.payload.resumed ? "Took up the earlier work" : "Opened a checkout",
          event.payload.branch ? ` on the branch ${event.payload.branch}` : "",
          `, from ${event.payload.base_branch} at ${event.payload.base_commit.slice(0, 10)}`,
          ...(event.payload.notes ?? []).map((one) => `. ${one}`),
        ].join(""),
      );
    case "agent_started":
      return note(
        `${event.payload.resumed ? "The agent goes on" : "The agent began"} with ${event.payload.model} (${event.payload.version})`,
        "plain",
        { minor: true },
      );
    case "checkpoint_saved":
      return note(
        `Saved ${event.payload.commit.slice(0, 10)}: ${several(event.payload.commit_count, "commit")}, ${several(event.payload.files_changed, "file")} changed${(event.payload.notes ?? []).map((one) => `. ${one}`).join("")}`,
        "plain",
        { minor: true },
      );
    case "policy_checked":
      return event.payload.passed
        ? note("The change may be pushed: no secret and nothing forbidden in it", "good", { minor: true })
        : note(`The change may not be pushed: ${event.payload.problems.join(" ")}`, "bad");
    case "branch_pushed":
      return note(`Pushed ${event.payload.branch} at ${event.payload.commit.slice(0, 10)}`, "good");
    case "pull_request_opened":
      return note(
        event.payload.created
          ? `Opened pull request #${event.payload.number}`
          : `Updated pull request #${event.payload.number}`,
        "good",
        { link: event.payload.url },
      );
    case "order_waiting":
      return note(`${event.payload.message} ${event.payload.next_action}`.trim(), "waiting");
    case "order_resumed":
      return note(`Goes on: ${event.payload.reason}`);
    case "message_received":
      return note(event.payload.text, "person");
    case "cancel_requested":
      return note("Somebody asked to cancel it", "person");
    case "lease_lost":
      return note("The server that ran it went silent; it goes on elsewhere", "bad");
    case "order_finished":
      return note(
        [...new Set([event.payload.summary, event.payload.error_message, event.payload.next_action])]
          .filter(Boolean)
          .join(" "),
        event.payload.status === "completed" ? "good" : event.payload.status === "failed" ? "bad" : "plain",
      );
    case "message_delivered":
      return note("The agent was given what was written", "plain", { minor: true });
    case "approval_answered": {
      const { by, answer, comment } = event.payload;
      return note(`${by} ${ANSWERS[answer] ?? answer}${comment ? `: ${comment}` : ""}`, "person");
    }
    default:
      return unknownNote(event as { kind: string; payload?: unknown });
  }
}

const ANSWERS: Record<string, string> = {
  approved: "approved it",
  rejected: "rejected it",
  sent_back: "sent it back",
};

/** An older page must survive a newer server. */
function unknownNote(event: { kind: string; payload?: unknown }): Note {
  const payload = (event.payload ?? {}) as Record<string, unknown>;
  return note(`${event.kind.replaceAll("_", " ")} ${JSON.stringify(payload)}`.slice(0, 500), "plain", { minor: true });
}

/** What a tool was given, on one line: the part that tells most. */
export function toolSummary(input: unknown): string {
  if (typeof input === "string") return oneLine(input);
  if (typeof input !== "object" || input === null) return "";
  const given = input as Record<string, unknown>;
  for (const name of ["command", "file_path", "path", "pattern", "query", "url", "description", "prompt"]) {
    const value = given[name];
    if (typeof value === "string" && value) return oneLine(value);
  }
  return oneLine(JSON.stringify(input));
}

// Where the order's checkout lies on the server is the same in every line, and nobody's question.
const CHECKOUT = /[^\s"']*\/repositories\/wo-[0-9a-f]{16}\/[^/\s"']+\//g;

const oneLine = (text: string): string => {
  const line = text.replace(CHECKOUT, "").replace(/\s+/g, " ").trim();
  return line.length > 240 ? `${line.slice(0, 239)}…` : line;
};

const FOLD_FROM = 3;
// A group that holds what it held stays the same one, so that it is not drawn anew with every event.
const groups = new WeakMap<ToolRow, GroupRow>();

/**
 * Three and more finished tool calls in a row become one line with counts. Only up to `before` (a `seq`): nothing folds
 * under the eye. Groups in `open` stay apart, as do failed calls.
 */
export function fold(rows: readonly Row[], before: number, open: ReadonlySet<string>): ShownRow[] {
  const shown: ShownRow[] = [];
  let run: ToolRow[] = [];
  const flush = () => {
    const [first] = run;
    if (first && run.length >= FOLD_FROM && !open.has(`g${first.seq}`)) shown.push(groupOf(first, run));
    else shown.push(...run);
    run = [];
  };
  for (const row of rows) {
    if (row.row === "tool" && row.seq < before && row.output !== null && !row.isError) {
      run.push(row);
      continue;
    }
    // The quiet remarks between calls do not break a run in two; they are told in the calls' own place.
    flush();
    shown.push(row);
  }
  flush();
  return shown;
}

function groupOf(first: ToolRow, tools: ToolRow[]): GroupRow {
  const known = groups.get(first);
  if (known && known.tools.length === tools.length && known.tools.every((tool, at) => tool === tools[at])) return known;
  const made = newGroup(first, tools);
  groups.set(first, made);
  return made;
}

function newGroup(first: ToolRow, tools: ToolRow[]): GroupRow {
  const counts = new Map<string, number>();
  for (const { tool } of tools) counts.set(tool, (counts.get(tool) ?? 0) + 1);
  return {
    row: "group",
    key: `g${first.seq}`,
    seq: first.seq,
    at: first.at,
    step: first.step,
    attempt: first.attempt,
    events: [],
    tools,
    summary: [...counts].map(([tool, n]) => (n > 1 ? `${tool} ×${n}` : tool)).join(" · "),
  };
}

/** The row's words, in lower case, for the search. */
export function searchText(row: Row): string {
  switch (row.row) {
    case "text":
      return row.text.toLowerCase();
    case "tool":
      return `${row.tool} ${row.summary} ${row.input ? JSON.stringify(row.input) : ""} ${row.output ?? ""}`.toLowerCase();
    case "step":
      return `${row.name} ${row.status ?? ""} ${row.text ?? ""} ${row.error ?? ""}`.toLowerCase();
    case "check":
      return `${row.payload.command} ${row.payload.output_tail}`.toLowerCase();
    case "note":
      return row.text.toLowerCase();
  }
}

/** Whether something went wrong in the row. */
export function isBad(row: ShownRow): boolean {
  return (
    (row.row === "tool" && row.isError) ||
    (row.row === "step" && row.status === "failed") ||
    (row.row === "check" && !row.payload.passed) ||
    (row.row === "note" && row.tone === "bad")
  );
}

const several = (n: number, one: string): string => `${n} ${n === 1 ? one : `${one}s`}`;
