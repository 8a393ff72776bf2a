import { QueryClient } from "@tanstack/react-query";
import { act, fireEvent, render, screen } from "@testing-library/react";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { Around } from "@/test/page";
import type { JournalState } from "../services/journal";
import type { JournalEvent } from "../types";
import { Transcript } from "../utils/transcript";
import { TranscriptPanel } from "./TranscriptPanel";

const EVENTS = 20_000;

const event = (seq: number): JournalEvent =>
  ({
    seq,
    at: "2030-01-01T00:00:00Z",
    kind: "agent_spoke",
    step_order: 1,
    attempt: 1,
    payload: { text: `line ${seq}`, artifact_id: null },
  }) as unknown as JournalEvent;

const stateOf = (transcript: Transcript, last: number): JournalState & { reload: () => void } => ({
  rows: transcript.rows,
  milestones: [],
  told: true,
  first: 1,
  last,
  openedAt: EVENTS,
  loading: false,
  error: null,
  live: "live",
  reload: () => undefined,
});

beforeEach(() => {
  // jsdom lays nothing out: a window of 600 pixels with rows of 32, as far as the virtual list can tell.
  vi.spyOn(Element.prototype, "clientWidth", "get").mockReturnValue(800);
  vi.spyOn(Element.prototype, "clientHeight", "get").mockReturnValue(600);
  vi.spyOn(Element.prototype, "scrollHeight", "get").mockReturnValue(EVENTS * 32);
  vi.spyOn(HTMLElement.prototype, "offsetHeight", "get").mockReturnValue(32);
});

describe("a transcript of 20,000 events", () => {
  const show = () => {
    const transcript = new Transcript();
    transcript.append(Array.from({ length: EVENTS }, (_, at) => event(at + 1)));
    const client = new QueryClient();
    const panel = (last: number) => (
      <Around client={client}>
        <TranscriptPanel orderId="wo-1" journal={stateOf(transcript, last)} grows step={null} goTo={null} />
      </Around>
    );
    const { container, rerender } = render(panel(EVENTS));
    return { container, grow: () => transcript.append([event(EVENTS + 1)]), again: () => rerender(panel(EVENTS + 1)) };
  };
  const rowsIn = (container: HTMLElement) => [...container.querySelectorAll("[data-index]")];

  test("has only what is in sight on the page, wherever one looks", () => {
    const { container } = show();
    const log = screen.getByRole("log");
    for (const at of [0, 320_000, EVENTS * 32 - 600]) {
      log.scrollTop = at;
      act(() => void fireEvent.scroll(log));
      const rows = rowsIn(container);
      expect(rows.length).toBeGreaterThan(10);
      expect(rows.length).toBeLessThan(100);
      expect(container.querySelectorAll("*").length).toBeLessThan(3_000);
    }
  });

  test("draws one row anew for one event, and leaves the others as they are", () => {
    const { container, grow, again } = show();
    const log = screen.getByRole("log");
    log.scrollTop = EVENTS * 32 - 600;
    act(() => void fireEvent.scroll(log));
    expect(rowsIn(container).length).toBeGreaterThan(10);
    const before = new Map(rowsIn(container).map((row) => [row.getAttribute("data-index"), row]));
    let changes = 0;
    const watch = new MutationObserver((records) => {
      changes += records.filter(({ type }) => type === "childList").length;
    });
    for (const row of before.values()) watch.observe(row, { subtree: true, childList: true, characterData: true });
    grow();
    again();
    changes += watch.takeRecords().length;
    watch.disconnect();
    expect(changes).toBe(0);
    expect(rowsIn(container).filter((row) => !before.has(row.getAttribute("data-index"))).length).toBeLessThan(3);
  });
});
