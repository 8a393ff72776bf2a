import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { CHANGES, LiveHub, MOST_ORDERS, type Subscriber } from "./hub";
import type { Frame } from "./sse";
import type { openStream, StreamOptions } from "./stream";

/** One browser: a lock, a channel between tabs, and the streams that its tabs have opened. */
class Browser {
  holder: { release: () => void; fail: (error: Error) => void } | undefined;
  waiting: (() => void)[] = [];
  channels = new Set<FakeChannel>();
  streams: { options: StreamOptions; closed: boolean }[] = [];

  locks = {
    request: (_name: string, options: LockOptions, callback: () => Promise<void>) =>
      new Promise<void>((resolve, reject) => {
        const take = () => {
          const held = { release: () => this.next(resolve), fail: reject };
          this.holder = held;
          void callback().then(held.release);
        };
        if (options.steal && this.holder) {
          this.holder.fail(new Error("stolen"));
          take();
        } else if (this.holder) this.waiting.push(take);
        else take();
      }),
  } as unknown as LockManager;

  private next(resolve: () => void) {
    resolve();
    this.holder = undefined;
    this.waiting.shift()?.();
  }

  open: typeof openStream = (options) => {
    const entry = { options, closed: false };
    this.streams.push(entry);
    queueMicrotask(() => entry.closed || options.onState("live", null));
    const close = () => {
      entry.closed = true;
    };
    return { close, retryNow: () => undefined, after: () => options.after };
  };

  get live() {
    return this.streams.filter((stream) => !stream.closed);
  }

  tab() {
    return new LiveHub({
      locks: this.locks,
      channel: () => new FakeChannel(this) as unknown as BroadcastChannel,
      open: this.open,
      now: () => Date.now(),
    });
  }
}

class FakeChannel {
  onmessage: ((message: { data: unknown }) => void) | null = null;
  constructor(private readonly browser: Browser) {
    browser.channels.add(this);
  }
  postMessage(data: unknown) {
    const copy = structuredClone(data);
    for (const other of this.browser.channels)
      if (other !== this) queueMicrotask(() => other.onmessage?.({ data: copy }));
  }
  close() {
    this.browser.channels.delete(this);
  }
}

const subscriber = (after: string | null = null) => {
  const got: Frame[] = [];
  const states: string[] = [];
  const one: Subscriber = {
    onFrames: (frames) => got.push(...frames),
    onState: (state) => states.push(state),
    after: () => after,
  };
  return { one, got, states };
};
const frame = (id: string, event = "agent_spoke"): Frame => ({ id, event, data: "{}" });
const settle = (milliseconds = 0) => vi.advanceTimersByTimeAsync(milliseconds);

let browser: Browser;
let tabs: LiveHub[];
const tab = () => {
  const hub = browser.tab();
  tabs.push(hub);
  return hub;
};

beforeEach(() => {
  vi.useFakeTimers();
  browser = new Browser();
  tabs = [];
});
afterEach(() => {
  for (const hub of tabs) hub.stop();
  vi.useRealTimers();
});

describe("several tabs", () => {
  test("share one connection, and all of them get the news", async () => {
    const all = Array.from({ length: 8 }, () => ({ hub: tab(), ...subscriber() }));
    for (const { hub, one } of all) hub.subscribe(CHANGES, one);
    await settle();
    expect(browser.live).toHaveLength(1);
    browser.live[0]?.options.onFrames([frame("1", "order_changed")]);
    await settle();
    expect(all.map(({ got }) => got.length)).toEqual(Array(8).fill(1));
    expect(all.every(({ states }) => states.includes("live"))).toBe(true);
  });

  test("when the leading one closes, another goes on from what it has seen", async () => {
    const first = tab();
    const second = tab();
    first.subscribe(CHANGES, subscriber().one);
    second.subscribe(CHANGES, subscriber("41").one);
    await settle();
    expect(first.isLeader).toBe(true);
    first.stop();
    await settle();
    expect(second.isLeader).toBe(true);
    expect(browser.live.map(({ options }) => options.after)).toEqual(["41"]);
  });

  test("a leader that went silent is robbed, and closes", async () => {
    const first = tab();
    const second = tab();
    first.subscribe(CHANGES, subscriber().one);
    second.subscribe(CHANGES, subscriber("7").one);
    await settle();
    // Frozen: its timers do not run and it hears nothing.
    for (const channel of [...browser.channels].slice(0, 1)) channel.postMessage = () => undefined;
    await settle(25_000);
    expect([first.isLeader, second.isLeader]).toEqual([false, true]);
    expect(browser.live).toHaveLength(1);
  });

  test("watch a few orders by stream; one more is told to ask", async () => {
    const hub = tab();
    const some = Array.from({ length: MOST_ORDERS + 1 }, (_, n) => ({ id: `wo-${n}`, ...subscriber("3") }));
    hub.subscribe(CHANGES, subscriber().one);
    for (const { id, one } of some) hub.subscribe(id, one);
    await settle();
    expect(browser.live).toHaveLength(MOST_ORDERS + 1);
    expect(some.at(-1)?.states.at(-1)).toBe("crowded");
  });

  test("a tab that lets go of an order frees its connection", async () => {
    const leader = tab();
    const follower = tab();
    leader.subscribe(CHANGES, subscriber().one);
    const stop = follower.subscribe("wo-1", subscriber("3").one);
    await settle();
    expect(browser.live).toHaveLength(2);
    stop();
    await settle();
    expect(browser.live).toHaveLength(1);
  });

  test("without locks or channels each tab streams alone", async () => {
    const hub = new LiveHub({ locks: undefined, channel: undefined, open: browser.open });
    tabs.push(hub);
    hub.subscribe(CHANGES, subscriber().one);
    await settle();
    expect(browser.live).toHaveLength(1);
  });
});

test("an order's stream may end only after the order's last event", async () => {
  const hub = tab();
  hub.subscribe("wo-1", subscriber("3").one);
  await settle();
  const { options } = browser.live[0] as (typeof browser.live)[0];
  expect(options.mayEnd?.()).toBe(false);
  options.onFrames([frame("4", "order_finished")]);
  expect(options.mayEnd?.()).toBe(true);
  options.onFrames([frame("5", "message_received")]);
  expect(options.mayEnd?.()).toBe(false);
});
