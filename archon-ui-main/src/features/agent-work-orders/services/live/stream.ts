/** One stream that stays open: reads, resumes after what it has seen, and says how it stands. Knows no tabs. */
import { API, type ApiError, errorOf } from "../client";
import { createSseReader, type Frame } from "./sse";

/**
 * `live`: open. `connecting`: not yet or not any more, it tries by itself. `ended`: the server has said all there is.
 * `refused`: it will not be tried again (who you are, or what you asked for, is the reason).
 */
export type StreamState = "connecting" | "live" | "ended" | "refused";

export interface StreamOptions {
  path: string;
  /** Resume after this id; null: from what the server thinks is the beginning. */
  after: string | null;
  onFrames: (frames: Frame[]) => void;
  onState: (state: StreamState, error: ApiError | null) => void;
  /** True once the stream may end for good: a clean end is then the end, else it is a lost connection. */
  mayEnd?: () => boolean;
  fetch?: typeof fetch;
  random?: () => number;
}

/** The server sends a heartbeat every 15 s. */
const SILENCE = 25_000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;

/** Opens the stream and keeps it open until `close` is called. `retryNow` does not wait for the next try. */
export function openStream(options: StreamOptions): {
  close: () => void;
  retryNow: () => void;
  after: () => string | null;
} {
  const ask = options.fetch ?? ((input, init) => fetch(input, init));
  const random = options.random ?? Math.random;
  let after = options.after;
  let closed = false;
  let failures = 0;
  let wake: (() => void) | undefined;
  let current: AbortController | undefined;

  const run = async () => {
    while (!closed) {
      const outcome = await connect();
      if (closed) return;
      if (outcome === "ended" || outcome === "refused") return;
      await pause(outcome);
    }
  };

  /** One connection; the milliseconds to wait before the next, or that there will be none. */
  async function connect(): Promise<number | "ended" | "refused"> {
    const controller = new AbortController();
    current = controller;
    let silence = setTimeout(() => controller.abort(), SILENCE);
    const alive = () => {
      clearTimeout(silence);
      silence = setTimeout(() => controller.abort(), SILENCE);
    };
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (after !== null) headers["Last-Event-ID"] = after;
      const response = await ask(`${API}${options.path}`, {
        headers,
        signal: controller.signal,
        credentials: "same-origin",
        cache: "no-store",
      });
      if (response.status === 204) return end();
      if (!response.ok || !response.body) return await refused(response);
      failures = 0;
      options.onState("live", null);
      let frames: Frame[] = [];
      const read = createSseReader((frame) => frames.push(frame));
      const decoder = new TextDecoder();
      const reader = response.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (closed) return "ended";
        if (done) break;
        alive();
        read(decoder.decode(value, { stream: true }));
        if (frames.length > 0) {
          after = frames.findLast((frame) => frame.id !== null)?.id ?? after;
          options.onFrames(frames);
          frames = [];
        }
      }
      if (options.mayEnd?.()) return end();
      return lost(null);
    } catch {
      return closed ? "ended" : lost(null);
    } finally {
      clearTimeout(silence);
      controller.abort();
    }
  }

  function end(): "ended" {
    options.onState("ended", null);
    return "ended";
  }

  async function refused(response: Response): Promise<number | "refused"> {
    const error = await errorOf(response);
    if (response.status >= 400 && response.status < 500 && response.status !== 408 && response.status !== 429) {
      options.onState("refused", error);
      return "refused";
    }
    const wait = lost(error);
    return error.retryAfter !== null ? Math.max(wait, error.retryAfter * 1000) : wait;
  }

  function lost(error: ApiError | null): number {
    options.onState("connecting", error);
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** failures);
    failures += 1;
    return FIRST_WAIT / 2 + random() * longest;
  }

  const pause = (milliseconds: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  const retryNow = () => {
    failures = 0;
    wake?.();
  };
  window.addEventListener("online", retryNow);
  void run();
  return {
    close: () => {
      closed = true;
      window.removeEventListener("online", retryNow);
      current?.abort();
      wake?.();
    },
    retryNow,
    after: () => after,
  };
}
