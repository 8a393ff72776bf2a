import { describe, expect, test } from "vitest";
import { approvedJournal, failedJournal } from "@/test/journals";
import type { JournalEvent } from "../types";
import { callOf, eventsOf, fold, isBad, keyOf, secondsOf, Transcript, toolSummary, transcriptOf } from "./transcript";

const { events } = approvedJournal;

let seq = 1000;
const event = (kind: string, payload: unknown, at = "2030-01-01T00:00:00Z"): JournalEvent => {
  seq += 1;
  return { seq, at, kind, step_order: 3, attempt: 1, payload } as unknown as JournalEvent;
};
const call = (id: string, tool = "Read") =>
  event("tool_used", { tool_use_id: id, tool, input: { file_path: `${id}.py` } });
const result = (id: string, isError = false) =>
  event("tool_returned", { tool_use_id: id, output: "fine", is_error: isError });

describe("the transcript of a recorded journal", () => {
  test("has a row for everything a person would ask for, in its order", () => {
    const rows = transcriptOf(events);
    const seqs = rows.map((row) => row.event.seq);
    expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
    const kinds = new Set(rows.flatMap((row) => eventsOf(row).map(({ kind }) => kind)));
    for (const { kind } of events) {
      if (!["usage_counted", "order_claimed"].includes(kind)) expect(kinds).toContain(kind);
    }
  });

  test("puts what came back into the row of its call", () => {
    const tools = transcriptOf(events).filter((row) => row.row === "tool");
    expect(tools).toHaveLength(events.filter(({ kind }) => kind === "tool_used").length);
    expect(tools.every((row) => row.returned !== null && secondsOf(row) !== null)).toBe(true);
  });

  test("grown event by event it is the same as made at once", () => {
    const grown = new Transcript();
    for (const one of events) grown.append([one]);
    expect(grown.rows).toEqual(transcriptOf(events));
  });

  test("put together from two pieces, wherever it was cut, it is the same as made at once", () => {
    const whole = transcriptOf(events);
    for (let cut = 0; cut <= events.length; cut += 1) {
      const transcript = new Transcript();
      transcript.append(events.slice(cut));
      transcript.prepend(events.slice(0, cut));
      expect(transcript.rows).toEqual(whole);
    }
  });

  test("filled up at its beginning it goes on at its end", () => {
    const transcript = new Transcript();
    transcript.append(events.slice(40, 60));
    const there = transcript.rows.filter((row) => row.row !== "tool");
    transcript.prepend(events.slice(20, 40));
    transcript.append(events.slice(60, 80));
    transcript.prepend(events.slice(0, 20));
    transcript.append(events.slice(80));
    expect(transcript.rows).toEqual(transcriptOf(events));
    expect(transcript.rows).toEqual(expect.arrayContaining(there));
    expect(there.every((row) => transcript.rows.includes(row))).toBe(true);
  });

  test("leaves the rows alone that did not change, so that only new ones are drawn", () => {
    const transcript = new Transcript();
    transcript.append(events.slice(0, 60));
    const before = transcript.rows;
    transcript.append(events.slice(60));
    const changed = before.filter((row, at) => transcript.rows[at] !== row);
    expect(changed.every((row) => row.row === "tool" && row.returned === null)).toBe(true);
    expect(transcript.rows).not.toBe(before);
  });

  test("holds the events themselves, and of none of them a copy", () => {
    const held = transcriptOf(events).flatMap(eventsOf);
    expect(held.every((event) => events.includes(event))).toBe(true);
    expect(new Set(held).size).toBe(held.length);
  });

  test("tells what people said as theirs", () => {
    const said = transcriptOf(events).filter((row) => row.row === "note" && row.tone === "person");
    expect(said.map((row) => row.row === "note" && row.text)).toEqual(
      expect.arrayContaining([expect.stringContaining("approved it"), expect.stringContaining("GREETINGS")]),
    );
  });

  test("shows where a failed order went wrong", () => {
    const bad = transcriptOf(failedJournal.events).filter(isBad);
    expect(bad.map((row) => row.row)).toEqual(["step", "note"]);
  });
});

describe("what an older page does not know", () => {
  test("becomes a plain row", () => {
    const [row] = transcriptOf([event("moon_risen", { phase: "full" })]);
    expect(row).toMatchObject({ row: "note", text: 'moon risen {"phase":"full"}' });
  });

  test("a result whose call is not here stands alone", () => {
    const lost = result("lost");
    const [row] = transcriptOf([lost]);
    expect(row).toMatchObject({ row: "tool", returned: { payload: { output: "fine" } } });
    expect(row?.row === "tool" && callOf(row).tool).toBe("result");
    expect(row && eventsOf(row)).toEqual([lost]);
  });
});

describe("folding", () => {
  const three = transcriptOf([call("a"), result("a"), call("b"), result("b"), call("c", "Grep"), result("c")]);

  test("three finished calls in a row become one line with counts", () => {
    const [group, ...rest] = fold(three, Number.POSITIVE_INFINITY, new Set());
    expect(rest).toEqual([]);
    expect(group).toMatchObject({ row: "group", summary: "Read ×2 · Grep" });
  });

  test("a group is the same one until another call joins it, so that an event does not draw all groups anew", () => {
    const [before] = fold(three, Number.POSITIVE_INFINITY, new Set());
    const [same] = fold([...three, ...transcriptOf([event("agent_spoke", { text: "So." })])], 2_000, new Set());
    const [larger] = fold([...three, ...transcriptOf([call("z"), result("z")])], 2_000, new Set());
    expect(same).toBe(before);
    expect(larger).not.toBe(before);
  });

  test("a group and its first call are told apart", () => {
    const keys = [...fold(three, Number.POSITIVE_INFINITY, new Set()), ...three].map(keyOf);
    expect(new Set(keys).size).toBe(keys.length);
  });

  test("nothing folds that is newer than the page's opening", () => {
    expect(fold(three, 0, new Set())).toBe(three);
  });

  test("a group that was opened stays apart", () => {
    expect(fold(three, Number.POSITIVE_INFINITY, new Set([three[0]?.event.seq ?? 0]))).toEqual(three);
  });

  test("a failed call is never hidden in a group", () => {
    const rows = transcriptOf([call("d"), result("d"), call("e"), result("e", true), call("f"), result("f")]);
    expect(fold(rows, Number.POSITIVE_INFINITY, new Set())).toEqual(rows);
  });
});

describe("a tool's one line", () => {
  test("is the part that tells most, without where the checkout lies", () => {
    expect(toolSummary({ command: "make   test\n" })).toBe("make test");
    expect(toolSummary({ file_path: "/var/archon/repositories/wo-0123456789abcdef/greeter/src/a.py" })).toBe(
      "src/a.py",
    );
    expect(toolSummary({ other: 1 })).toBe('{"other":1}');
    expect(toolSummary(null)).toBe("");
  });
});
