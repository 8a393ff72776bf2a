/**
 * All live news of this browser through few connections: one tab leads and streams, the others listen.
 * A browser opens six connections to a server in all; a stream in every tab would leave none for work.
 */
import type { ApiError } from "../client";
import type { Frame } from "./sse";
import { openStream, type StreamState } from "./stream";

/** `changes` for all orders, or the id of one order for its journal. */
export type Topic = string;
export const CHANGES: Topic = "changes";

/** `crowded`: too many orders are watched in this browser; this one has to be asked for instead. */
export type LiveState = StreamState | "crowded";

export interface Subscriber {
  onFrames: (frames: Frame[]) => void;
  onState: (state: LiveState, error: ApiError | null) => void;
  /** The id after which this subscriber wants news; asked when a stream is opened for it. */
  after: () => string | null;
}

const CHANNEL = "awo-live-1";
const LOCK = "awo-live-leader-1";
const BEAT = 5_000;
const SILENT_LEADER = 15_000;
export const MOST_ORDERS = 3;

type Said =
  | { say: "beat"; from: string }
  | { say: "want"; from: string; topics: [Topic, string | null][] }
  | { say: "frames"; topic: Topic; frames: Frame[] }
  | { say: "state"; topic: Topic; state: LiveState; for?: string }
  | { say: "retry" }
  | { say: "bye"; from: string };

interface Open {
  stream: ReturnType<typeof openStream>;
  state: LiveState;
  error: ApiError | null;
}

interface Environment {
  locks: LockManager | undefined;
  channel: (() => BroadcastChannel) | undefined;
  open: typeof openStream;
  now: () => number;
}

const browser = (): Environment => ({
  locks: typeof navigator === "undefined" ? undefined : navigator.locks,
  channel: typeof BroadcastChannel === "undefined" ? undefined : () => new BroadcastChannel(CHANNEL),
  open: openStream,
  now: () => Date.now(),
});

export class LiveHub {
  private readonly me = Math.random().toString(36).slice(2);
  private readonly subscribers = new Map<Topic, Set<Subscriber>>();
  private readonly open = new Map<Topic, Open>();
  private readonly wants = new Map<string, { topics: Map<Topic, string | null>; at: number }>();
  private readonly environment: Environment;
  private channel: BroadcastChannel | undefined;
  private leading = false;
  private heard = 0;
  private timer: ReturnType<typeof setInterval> | undefined;
  private release: (() => void) | undefined;

  constructor(environment: Partial<Environment> = {}) {
    this.environment = { ...browser(), ...environment };
  }

  /** News of `topic` until the returned function is called. */
  subscribe(topic: Topic, subscriber: Subscriber): () => void {
    this.start();
    const there = this.subscribers.get(topic) ?? new Set();
    there.add(subscriber);
    this.subscribers.set(topic, there);
    const running = this.open.get(topic);
    if (running) subscriber.onState(running.state, running.error);
    this.tell();
    return () => {
      there.delete(subscriber);
      if (there.size === 0) this.subscribers.delete(topic);
      this.tell();
    };
  }

  /** Does not wait for the next try. */
  retry(): void {
    for (const { stream } of this.open.values()) stream.retryNow();
    this.post({ say: "retry" });
  }

  /** Whether this tab holds the connections. */
  get isLeader(): boolean {
    return this.leading;
  }

  /** Ends everything; only for tests and for a page that goes. */
  stop(): void {
    this.post({ say: "bye", from: this.me });
    clearInterval(this.timer);
    this.resign();
    this.channel?.close();
    this.channel = undefined;
    this.timer = undefined;
  }

  private start() {
    if (this.timer !== undefined) return;
    this.timer = setInterval(() => this.beat(), BEAT);
    window.addEventListener("pagehide", () => this.post({ say: "bye", from: this.me }));
    this.heard = this.environment.now();
    if (!this.environment.locks || !this.environment.channel) {
      this.lead();
      return;
    }
    this.channel = this.environment.channel();
    this.channel.onmessage = (message: MessageEvent<Said>) => this.hear(message.data);
    this.stand(false);
  }

  /** Waits to become the leader; `steal` takes the place of one that went silent. */
  private stand(steal: boolean) {
    const held = () =>
      new Promise<void>((resolve) => {
        this.release = resolve;
        this.lead();
      });
    this.environment.locks?.request(LOCK, steal ? { steal: true } : {}, held).catch(() => {
      // Robbed: another tab thought this one was gone. It leads now, and this one waits again.
      this.resign();
      this.heard = this.environment.now();
      if (this.timer !== undefined) this.stand(false);
    });
  }

  private lead() {
    this.leading = true;
    this.beat();
  }

  private resign() {
    this.leading = false;
    for (const topic of [...this.open.keys()]) this.drop(topic);
    this.release?.();
    this.release = undefined;
  }

  private beat() {
    if (this.leading) {
      this.post({ say: "beat", from: this.me });
      for (const [tab, want] of this.wants) {
        // A hidden tab's timers run once a minute.
        if (this.environment.now() - want.at > 90_000) this.wants.delete(tab);
      }
      this.arrange();
    } else {
      this.tell();
      if (this.environment.now() - this.heard > SILENT_LEADER) {
        this.heard = this.environment.now();
        this.stand(true);
      }
    }
  }

  private mine(): [Topic, string | null][] {
    return [...this.subscribers].map(([topic, there]) => [topic, oldest([...there].map((one) => one.after()))]);
  }

  private tell() {
    if (this.leading) this.arrange();
    else this.post({ say: "want", from: this.me, topics: this.mine() });
  }

  private hear(said: Said) {
    switch (said.say) {
      case "beat":
        this.heard = this.environment.now();
        if (!this.leading) this.post({ say: "want", from: this.me, topics: this.mine() });
        break;
      case "want":
        if (!this.leading) return;
        this.wants.set(said.from, { topics: new Map(said.topics), at: this.environment.now() });
        this.arrange();
        for (const [topic] of said.topics) {
          const running = this.open.get(topic);
          this.post({ say: "state", topic, state: running?.state ?? "crowded", for: said.from });
        }
        break;
      case "bye":
        if (this.leading && this.wants.delete(said.from)) this.arrange();
        break;
      case "frames":
        this.heard = this.environment.now();
        this.deliver(said.topic, said.frames);
        break;
      case "state":
        if (said.for === undefined || said.for === this.me) this.report(said.topic, said.state, null);
        break;
      case "retry":
        for (const { stream } of this.open.values()) stream.retryNow();
        break;
    }
  }

  /** Opens what is wanted and closes what is not; orders are served first come, first served. */
  private arrange() {
    const wanted = new Map<Topic, string | null>(this.mine());
    for (const { topics } of this.wants.values()) {
      for (const [topic, after] of topics) {
        wanted.set(topic, wanted.has(topic) ? oldest([wanted.get(topic) ?? null, after]) : after);
      }
    }
    for (const topic of [...this.open.keys()]) if (!wanted.has(topic)) this.drop(topic);
    for (const [topic, after] of wanted) {
      const running = this.open.get(topic);
      if (running && running.state !== "ended") continue;
      if (running) {
        // Ended, and still wanted: only if there is something after what has been seen.
        if (running.stream.after() === after || after === null) continue;
        this.drop(topic);
      }
      const orders = [...this.open.keys()].filter((other) => other !== CHANGES).length;
      if (topic !== CHANGES && orders >= MOST_ORDERS) {
        this.report(topic, "crowded", null);
        continue;
      }
      this.begin(topic, after);
    }
  }

  private begin(topic: Topic, after: string | null) {
    let finished = false;
    const entry: Open = {
      state: "connecting",
      error: null,
      stream: this.environment.open({
        path: topic === CHANGES ? "/events/stream" : `/work-orders/${topic}/events/stream`,
        after,
        mayEnd: () => finished,
        onFrames: (frames) => {
          finished = topic !== CHANGES && frames.at(-1)?.event === "order_finished";
          this.post({ say: "frames", topic, frames });
          this.deliver(topic, frames);
        },
        onState: (state, error) => {
          entry.state = state;
          entry.error = error;
          this.post({ say: "state", topic, state });
          this.report(topic, state, error);
        },
      }),
    };
    this.open.set(topic, entry);
  }

  private drop(topic: Topic) {
    this.open.get(topic)?.stream.close();
    this.open.delete(topic);
  }

  private deliver(topic: Topic, frames: Frame[]) {
    for (const one of this.subscribers.get(topic) ?? []) one.onFrames(frames);
  }

  private report(topic: Topic, state: LiveState, error: ApiError | null) {
    for (const one of this.subscribers.get(topic) ?? []) one.onState(state, error);
  }

  private post(said: Said) {
    this.channel?.postMessage(said);
  }
}

/** The smallest of several ids, so that nobody misses anything; those who have more drop what they know. */
function oldest(ids: (string | null)[]): string | null {
  const known = ids.filter((id): id is string => id !== null).map(Number);
  return known.length > 0 ? String(Math.min(...known)) : null;
}

/** The page's one hub. */
export const liveHub = new LiveHub();
