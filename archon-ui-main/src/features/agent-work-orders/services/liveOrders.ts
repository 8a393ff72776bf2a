/** The newest state of every order as it changes: one subscription for the whole page, whoever listens. */
import type { WorkOrder } from "../types";
import type { ApiError } from "./client";
import { CHANGES, type LiveHub, type LiveState, liveHub } from "./live/hub";

export interface Live {
  state: LiveState;
  /** Milliseconds since 1970 of the last state that was live; before the first, of the first try; null before that. */
  since: number | null;
  error: ApiError | null;
}

export class LiveOrders {
  private readonly hub: LiveHub;
  private readonly changed = new Set<(order: WorkOrder) => void>();
  private readonly watchers = new Set<() => void>();
  private last: string | null = null;
  private live: Live = { state: "connecting", since: null, error: null };
  private begun = false;

  constructor(hub: LiveHub = liveHub) {
    this.hub = hub;
  }

  /** Calls back with each order that changes. */
  onChange(tell: (order: WorkOrder) => void): () => void {
    this.changed.add(tell);
    this.begin();
    return () => void this.changed.delete(tell);
  }

  /** For useSyncExternalStore. */
  watch = (tell: () => void): (() => void) => {
    this.watchers.add(tell);
    this.begin();
    return () => void this.watchers.delete(tell);
  };

  state = (): Live => this.live;

  retry = (): void => this.hub.retry();

  private begin() {
    if (this.begun) return;
    this.begun = true;
    this.live = { ...this.live, since: Date.now() };
    this.hub.subscribe(CHANGES, {
      after: () => this.last,
      onFrames: (frames) => {
        for (const frame of frames) {
          if (frame.id !== null) {
            if (this.last !== null && Number(frame.id) < Number(this.last)) continue;
            this.last = frame.id;
          }
          if (frame.event !== "order_changed") continue;
          const order = parse(frame.data);
          if (order) for (const tell of this.changed) tell(order);
        }
        if (this.live.state !== "live") this.set("live", null);
      },
      onState: (state, error) => this.set(state, error),
    });
  }

  private set(state: LiveState, error: ApiError | null) {
    const since = state === "live" ? Date.now() : this.live.state === "live" ? Date.now() : this.live.since;
    this.live = { state, since, error };
    for (const tell of this.watchers) tell();
  }
}

function parse(data: string): WorkOrder | null {
  try {
    return JSON.parse(data) as WorkOrder;
  } catch {
    return null; // a newer server may say what an older page does not read
  }
}

export const liveOrders = new LiveOrders();
