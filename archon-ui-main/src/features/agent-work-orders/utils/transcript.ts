/** From a journal's events to the rows of a transcript. Pure. */
import type { EventKind, EventOf, JournalEvent } from "../types";

/**
 * A row is a view of its event, which holds everything already: of thousands of rows nothing is kept twice, and what
 * can be told from the event is told when the row is drawn.
 */
interface RowOf<K extends EventKind> {
  event: EventOf<K>;
}

export interface TextRow extends RowOf<"agent_spoke"> {
  row: "text";
  /** Room for the list's guess of its height, in pixels; 0 until it is guessed. */
  guess: number;
}

export interface ToolRow extends RowOf<"tool_used" | "tool_returned"> {
  row: "tool";
  /** Null until it came back. What came back from a call that is not here is its own event. */
  returned: EventOf<"tool_returned"> | null;
}

export interface StepRow extends RowOf<"step_started" | "step_finished"> {
  row: "step";
}

export interface CheckRow extends RowOf<"check_run"> {
  row: "check";
}

export interface NoteRow extends RowOf<EventKind> {
  row: "note";
  tone: "plain" | "good" | "bad" | "person" | "waiting";
  text: string;
  link: string | null;
  /** Said in passing: shown small. */
  minor: boolean;
}

export interface GroupRow extends RowOf<"tool_used" | "tool_returned"> {
  row: "group";
  tools: ToolRow[];
  summary: string;
}

export type Row = TextRow | ToolRow | StepRow | CheckRow | NoteRow;
export type ShownRow = Row | GroupRow;

/** Stable for the life of the row; a group's is not that of its first call, which can stand alone again. */
export const keyOf = (row: ShownRow): number => (row.row === "group" ? -row.event.seq : row.event.seq);

/** What a row comes from. */
export const eventsOf = (row: Row): JournalEvent[] =>
  row.row === "tool" && row.returned && row.returned !== row.event ? [row.event, row.returned] : [row.event];

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
      const event = this.rows[at]?.event;
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
    this.rows[at] = { ...used, returned: event };
    this.open.delete(event.payload.tool_use_id);
    return true;
  }
}

function rowOf(event: JournalEvent): Row {
  switch (event.kind) {
    case "agent_spoke":
      return { row: "text", event, guess: 0 };
    case "tool_used":
      return { row: "tool", event, returned: null };
    case "tool_returned":
      return { row: "tool", event, returned: event };
    case "step_started":
    case "step_finished":
      return { row: "step", event };
    case "check_run":
      return { row: "check", event };
    default:
      return { row: "note", event, ...noteOf(event) };
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

/** A call's name and what it was given, on one line. */
export function callOf({ event }: ToolRow): { tool: string; summary: string } {
  return event.kind === "tool_used"
    ? { tool: event.payload.tool, summary: toolSummary(event.payload.input) }
    : { tool: "result", summary: "of a call before this part of the journal" };
}

/** Seconds from a call to what came back; null while that is not known. */
export function secondsOf({ event, returned }: ToolRow): number | null {
  if (!returned || returned === event) return null;
  return Math.max(0, (Date.parse(returned.at) - Date.parse(event.at)) / 1000);
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
 * under the eye. Groups whose first call is in `open` stay apart, as do failed calls. Where nothing folds, the rows
 * are what is shown: the same array.
 */
export function fold(rows: readonly Row[], before: number, open: ReadonlySet<number>): readonly ShownRow[] {
  const shown: ShownRow[] = [];
  let run: ToolRow[] = [];
  let folds = false;
  const flush = () => {
    const [first] = run;
    if (first && run.length >= FOLD_FROM && !open.has(first.event.seq)) {
      shown.push(groupOf(first, run));
      folds = true;
    } else shown.push(...run);
    run = [];
  };
  let at = 0;
  for (; at < rows.length; at += 1) {
    const row = rows[at] as Row;
    if (row.event.seq >= before) break;
    if (row.row === "tool" && row.returned && !isBad(row)) {
      run.push(row);
      continue;
    }
    // The quiet remarks between calls do not break a run in two; they are told in the calls' own place.
    flush();
    shown.push(row);
  }
  flush();
  return folds ? shown.concat(rows.slice(at)) : rows;
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
  for (const one of tools) {
    const { tool } = callOf(one);
    counts.set(tool, (counts.get(tool) ?? 0) + 1);
  }
  return {
    row: "group",
    event: first.event,
    tools,
    summary: [...counts].map(([tool, n]) => (n > 1 ? `${tool} ×${n}` : tool)).join(" · "),
  };
}

/** The row's words, in lower case, for the search. */
export function searchText(row: Row): string {
  return wordsOf(row).toLowerCase();
}

function wordsOf(row: Row): string {
  switch (row.row) {
    case "text":
      return row.event.payload.text;
    case "tool": {
      const { tool, summary } = callOf(row);
      const input = row.event.kind === "tool_used" ? row.event.payload.input : null;
      return `${tool} ${summary} ${input ? JSON.stringify(input) : ""} ${row.returned?.payload.output ?? ""}`;
    }
    case "step": {
      const { event } = row;
      if (event.kind === "step_started") return event.payload.step_name;
      const { step_name, status, output, error_message } = event.payload;
      return `${step_name} ${status} ${output ?? ""} ${error_message ?? ""}`;
    }
    case "check":
      return `${row.event.payload.command} ${row.event.payload.output_tail}`;
    case "note":
      return row.text;
  }
}

/** Whether something went wrong in the row. */
export function isBad(row: ShownRow): boolean {
  switch (row.row) {
    case "tool":
      return row.returned?.payload.is_error ?? false;
    case "step":
      return row.event.kind === "step_finished" && row.event.payload.status === "failed";
    case "check":
      return !row.event.payload.passed;
    case "note":
      return row.tone === "bad";
    default:
      return false;
  }
}

const several = (n: number, one: string): string => `${n} ${n === 1 ? one : `${one}s`}`;
