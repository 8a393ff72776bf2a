import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EventsPage, JournalEvent } from "../types";
import { transcriptOf } from "../utils/transcript";
import { Journal } from "./journal";
import type { LiveHub, Subscriber } from "./live/hub";

const event = (seq: number): JournalEvent =>
  ({
    seq,
    at: "2030-01-01T00:00:00Z",
    kind: seq % 100 === 1 ? "step_started" : "agent_spoke",
    step_order: 1,
    attempt: 1,
    payload:
      seq % 100 === 1 ? { step_name: "execute", agent_name: "claude" } : { text: `line ${seq}`, artifact_id: null },
  }) as unknown as JournalEvent;
const upTo = (last: number) => Array.from({ length: last }, (_, at) => event(at + 1));

/** A journal on the server, and the stream that the page would be given. */
class Server {
  journal: JournalEvent[];
  asked: string[] = [];
  subscriber: Subscriber | undefined;
  constructor(length: number) {
    this.journal = upTo(length);
  }
  events = async (
    _id: string,
    range: { after_seq?: number; before_seq?: number; limit: number; kind?: readonly string[] },
  ): Promise<EventsPage> => {
    this.asked.push(range.before_seq ? `before ${range.before_seq}` : `after ${range.after_seq}`);
    const chosen = this.journal.filter(
      (one) =>
        one.seq < (range.before_seq ?? Number.POSITIVE_INFINITY) &&
        one.seq > (range.after_seq ?? 0) &&
        (!range.kind || range.kind.includes(one.kind)),
    );
    const events = range.before_seq ? chosen.slice(-range.limit) : chosen.slice(0, range.limit);
    return { events, last_seq: this.journal.length };
  };
  hub = {
    subscribe: (_topic: string, subscriber: Subscriber) => {
      this.subscriber = subscriber;
      return () => {
        this.subscriber = undefined;
      };
    },
  } as unknown as LiveHub;
  send(...seqs: number[]) {
    this.subscriber?.onFrames(
      seqs.map((seq) => ({ id: String(seq), event: "agent_spoke", data: JSON.stringify(event(seq)) })),
    );
  }
}

const journalOf = (server: Server) => new Journal("wo-1", server.hub, server, () => Promise.resolve());
const seqs = (journal: Journal) => journal.read().rows.map((row) => row.event.seq);
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const paint = () => vi.advanceTimersByTimeAsync(50);

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe("a journal", () => {
  test("opens at its end and is whole at last, in order and without a gap", async () => {
    const server = new Server(2_450);
    const journal = journalOf(server);
    const sizes: number[] = [];
    journal.watch(() => sizes.push(journal.read().rows.length));
    await journal.open();
    expect(sizes.find((size) => size > 0)).toBe(200);
    expect(seqs(journal)).toEqual(range(1, 2_450));
    expect(journal.read()).toMatchObject({ first: 1, last: 2_450, openedAt: 2_450, loading: false });
    expect(journal.read().rows).toEqual(transcriptOf(server.journal));
  });

  test("shows its end before what the steps did is known", async () => {
    const server = new Server(2_450);
    const journal = journalOf(server);
    const shown: [number, boolean][] = [];
    journal.watch(() => shown.push([journal.read().rows.length, journal.read().told]));
    await journal.open();
    expect(shown).toContainEqual([200, false]);
    expect(journal.read().told).toBe(true);
    expect(journal.read().milestones.map(({ seq }) => seq)).toEqual(range(0, 24).map((step) => step * 100 + 1));
  });

  test("grows by the stream, and drops what it knows", async () => {
    const server = new Server(300);
    const journal = journalOf(server);
    await journal.open();
    journal.follow();
    expect(server.subscriber?.after()).toBe("300");
    server.send(299, 300, 301, 302);
    await paint();
    expect(seqs(journal).slice(-3)).toEqual([300, 301, 302]);
    expect(journal.read().milestones.map(({ seq }) => seq)).toEqual([1, 101, 201, 301]);
  });

  test("of 20,000 events grows by one row for one event, and all others stay as they were", async () => {
    const server = new Server(20_000);
    const journal = journalOf(server);
    await journal.open();
    journal.follow();
    const before = journal.read().rows;
    server.send(20_001);
    await paint();
    const after = journal.read().rows;
    expect(after.filter((row, at) => row !== before[at])).toHaveLength(1);
    expect(server.asked.filter((asked) => asked.startsWith("after"))).toHaveLength(1);
  });

  test("asks for what the stream has left out", async () => {
    const server = new Server(300);
    const journal = journalOf(server);
    await journal.open();
    journal.follow();
    server.journal = upTo(310);
    server.send(301, 308);
    await paint();
    expect(server.asked.at(-1)).toBe("after 301");
    expect(seqs(journal)).toEqual(range(1, 310));
  });

  test("that nobody sees lets its connection go, and goes on from where it was", async () => {
    const server = new Server(10);
    const journal = journalOf(server);
    await journal.open();
    journal.follow();
    journal.rest();
    expect(server.subscriber).toBeUndefined();
    journal.follow();
    expect(server.subscriber).toBeDefined();
  });

  test("asks every few seconds where there is no stream for it, and says so", async () => {
    const server = new Server(10);
    const journal = journalOf(server);
    await journal.open();
    journal.follow();
    server.subscriber?.onState("crowded", null);
    server.journal = upTo(12);
    await vi.advanceTimersByTimeAsync(3_100);
    expect(journal.read()).toMatchObject({ last: 12, live: "crowded" });
    journal.close();
  });

  test("that cannot be read says why", async () => {
    const server = new Server(0);
    server.events = () => Promise.reject(new Error("no"));
    const journal = journalOf(server);
    await journal.open();
    expect(journal.read()).toMatchObject({ loading: false, error: expect.any(Error) });
  });
});
