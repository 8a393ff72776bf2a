import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Frame } from "./sse";
import { openStream, type StreamState } from "./stream";

/** A server whose answers are given one by one. */
class Server {
  readonly asked: { lastEventId: string | null }[] = [];
  readonly answers: (() => Response)[] = [];
  fetch = async (_input: unknown, init?: RequestInit): Promise<Response> => {
    this.asked.push({ lastEventId: new Headers(init?.headers).get("Last-Event-ID") });
    const answer = this.answers.shift();
    if (!answer) throw new TypeError("no connection");
    const response = answer();
    init?.signal?.addEventListener("abort", () => this.controller?.error(new Error("aborted")), { once: true });
    return response;
  };
  controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  open(text: string, end: boolean) {
    this.answers.push(() => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          this.controller = controller;
          controller.enqueue(new TextEncoder().encode(text));
          if (end) controller.close();
        },
      });
      return new Response(body, { status: 200 });
    });
  }
  refuse(status: number, headers: Record<string, string> = {}) {
    const detail = { error: "No.", code: "no", next_action: "Ask.", fields: [] };
    this.answers.push(() => new Response(JSON.stringify({ detail }), { status, headers }));
  }
}

let server: Server;
let states: StreamState[];
let frames: Frame[];
let stream: ReturnType<typeof openStream>;

const start = (more: Partial<Parameters<typeof openStream>[0]> = {}) => {
  stream = openStream({
    path: "/x",
    after: "5",
    onFrames: (some) => frames.push(...some),
    onState: (state) => states.push(state),
    fetch: server.fetch as typeof fetch,
    random: () => 0,
    ...more,
  });
};
const settle = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);

beforeEach(() => {
  vi.useFakeTimers();
  server = new Server();
  states = [];
  frames = [];
});
afterEach(() => {
  stream.close();
  vi.useRealTimers();
});

describe("a stream", () => {
  test("resumes after the last event it has seen", async () => {
    server.open("id: 6\ndata: a\n\n", true);
    server.open("id: 7\ndata: b\n\n", false);
    start();
    await settle();
    await settle(300);
    expect(server.asked.map((one) => one.lastEventId)).toEqual(["5", "6"]);
    expect(frames.map((frame) => frame.data)).toEqual(["a", "b"]);
    expect(states).toEqual(["live", "connecting", "live"]);
  });

  test("that may end, ends when the server does", async () => {
    server.open("id: 6\ndata: last\n\n", true);
    start({ mayEnd: () => true });
    await settle(60_000);
    expect(states).toEqual(["live", "ended"]);
    expect(server.asked).toHaveLength(1);
  });

  test("is over when the server says there is nothing more", async () => {
    server.answers.push(() => new Response(null, { status: 204 }));
    start();
    await settle(60_000);
    expect(states).toEqual(["ended"]);
  });

  test("does not ask again what was refused", async () => {
    server.refuse(404);
    start();
    await settle(60_000);
    expect(states).toEqual(["refused"]);
    expect(server.asked).toHaveLength(1);
  });

  test("waits as long as a busy server asks it to", async () => {
    server.refuse(503, { "Retry-After": "5" });
    server.open("", false);
    start();
    await settle();
    await settle(4_900);
    expect(server.asked).toHaveLength(1);
    await settle(200);
    expect(server.asked).toHaveLength(2);
  });

  test("that is silent for too long is a lost one", async () => {
    server.open("id: 6\ndata: a\n\n", false);
    server.open("", false);
    start();
    await settle();
    await settle(25_000);
    await settle(300);
    expect(server.asked).toHaveLength(2);
  });

  test("does not wait when somebody asks for it", async () => {
    start();
    await settle();
    for (let n = 0; n < 8; n += 1) await settle(20_000);
    const before = server.asked.length;
    server.open("", false);
    stream.retryNow();
    await settle();
    expect(server.asked).toHaveLength(before + 1);
    expect(states.at(-1)).toBe("live");
  });
});
