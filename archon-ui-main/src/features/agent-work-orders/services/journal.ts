/**
 * One order's journal as a page holds it: opened at its end, filled up backwards, and grown by the stream.
 * Knows the API and the hub; no React and nothing of how it looks.
 */
import type { JournalEvent } from "../types";
import { MILESTONES } from "../utils/timeline";
import { type Row, Transcript } from "../utils/transcript";
import { type ApiError, asApiError } from "./client";
import { type LiveHub, type LiveState, liveHub } from "./live/hub";
import type { Frame } from "./live/sse";
import { workOrderService } from "./workOrderService";

export interface JournalState {
  rows: Row[];
  milestones: JournalEvent[];
  /** Seq of the first and the last event that is here; 0 and 0 while nothing is. */
  first: number;
  last: number;
  /** Seq of the last event when the page was opened: only what is older folds. */
  openedAt: number;
  loading: boolean;
  error: ApiError | null;
  live: LiveState;
}

const FIRST_LOOK = 200;
const PAGE = 1_000;
const LAST_SEQ = Number.MAX_SAFE_INTEGER;
const CROWDED_POLL = 3_000;

type Api = Pick<typeof workOrderService, "events">;

export class Journal {
  private state: JournalState = {
    rows: [],
    milestones: [],
    first: 0,
    last: 0,
    openedAt: 0,
    loading: true,
    error: null,
    live: "connecting",
  };
  private readonly watchers = new Set<() => void>();
  private readonly id: string;
  private readonly hub: LiveHub;
  private readonly api: Api;
  private transcript = new Transcript();
  private events: JournalEvent[] = [];
  private abort = new AbortController();
  private unsubscribe: (() => void) | undefined;
  private waiting: JournalEvent[] = [];
  private frame = 0;
  private poll: ReturnType<typeof setTimeout> | undefined;
  private catching = false;

  constructor(id: string, hub: LiveHub = liveHub, api: Api = workOrderService) {
    this.id = id;
    this.hub = hub;
    this.api = api;
  }

  watch = (tell: () => void): (() => void) => {
    this.watchers.add(tell);
    return () => void this.watchers.delete(tell);
  };

  read = (): JournalState => this.state;

  /** The last events at once, then the rest backwards; the page need not wait for all of it. */
  async open(): Promise<void> {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.set({ loading: true, error: null });
    try {
      const [end, milestones] = await Promise.all([
        this.api.events(this.id, { before_seq: LAST_SEQ, limit: FIRST_LOOK }, signal),
        this.api.events(this.id, { after_seq: 0, limit: PAGE, kind: MILESTONES }, signal),
      ]);
      this.adopt(end.events, milestones.events, end.last_seq);
      await this.fillUp(signal);
      this.set({ loading: false });
    } catch (error) {
      if (!signal.aborted) this.set({ loading: false, error: asApiError(error) });
    }
  }

  /** The rows are made anew each time that as much has come as was there: not once for each of many pages. */
  private async fillUp(signal: AbortSignal) {
    let older: JournalEvent[] = [];
    for (;;) {
      const first = older[0]?.seq ?? this.events[0]?.seq ?? 1;
      const page = first > 1 ? await this.api.events(this.id, { before_seq: first, limit: PAGE }, signal) : null;
      if (page) older = [...page.events, ...older];
      const ended = page === null || page.events.length === 0;
      if (older.length > 0 && (ended || older.length >= this.events.length)) {
        this.prepend(older);
        older = [];
      }
      if (ended) return;
    }
  }

  /** Live from here on, until `rest` is called. */
  follow(): void {
    if (this.unsubscribe) return;
    this.unsubscribe = this.hub.subscribe(this.id, {
      after: () => (this.state.last > 0 ? String(this.state.last) : null),
      onFrames: (frames) => this.takeFrames(frames),
      onState: (live) => {
        this.set({ live });
        if (live === "crowded") this.askAgain();
        else clearTimeout(this.poll);
      },
    });
  }

  /** Lets the connection go; what is here stays. */
  rest(): void {
    this.unsubscribe?.();
    this.unsubscribe = undefined;
    clearTimeout(this.poll);
  }

  close(): void {
    this.rest();
    this.abort.abort();
    cancelAnimationFrame(this.frame);
  }

  /** Everything after what is here, by asking: after a gap, or where the stream is not for us. */
  async catchUp(): Promise<void> {
    if (this.catching) return;
    this.catching = true;
    try {
      for (;;) {
        const page = await this.api.events(this.id, { after_seq: this.lastSeq(), limit: PAGE }, this.abort.signal);
        this.append(page.events);
        if (page.events.length === 0 || this.lastSeq() >= page.last_seq) return;
      }
    } catch {
      // The stream, or the next question, brings it.
    } finally {
      this.catching = false;
    }
  }

  private askAgain() {
    clearTimeout(this.poll);
    this.poll = setTimeout(async () => {
      await this.catchUp();
      if (this.unsubscribe && this.state.live === "crowded") this.askAgain();
    }, CROWDED_POLL);
  }

  private adopt(events: JournalEvent[], milestones: JournalEvent[], last: number) {
    this.events = events;
    this.transcript = new Transcript();
    this.transcript.append(events);
    const newest = events.at(-1)?.seq ?? 0;
    this.set({
      rows: this.transcript.rows,
      // Both were asked for at once: what came between the answers is told again by what follows.
      milestones: milestones.filter(({ seq }) => seq <= newest),
      first: events[0]?.seq ?? 0,
      last: newest,
      openedAt: last,
    });
    const early = this.waiting;
    this.waiting = [];
    this.append(early);
  }

  private prepend(older: JournalEvent[]) {
    this.events = [...older, ...this.events];
    // From the beginning again: what came back may belong to a call of the older part.
    this.transcript = new Transcript();
    this.transcript.append(this.events);
    this.set({ rows: this.transcript.rows, first: this.events[0]?.seq ?? 0 });
  }

  private takeFrames(frames: Frame[]) {
    for (const { data } of frames) {
      try {
        if (data) this.waiting.push(JSON.parse(data) as JournalEvent);
      } catch {
        // A frame that cannot be read leaves a gap, which is asked for.
      }
    }
    if (this.frame || this.waiting.length === 0) return;
    // One paint for all that comes between two of them; a hidden page paints never, and is told by a timer.
    const apply = () => {
      this.frame = 0;
      const events = this.waiting;
      this.waiting = [];
      this.append(events);
    };
    this.frame = document.hidden ? (setTimeout(apply, 250) as unknown as number) : requestAnimationFrame(apply);
  }

  /** Takes what follows on what is here; drops what is known, and asks for what is missing. */
  private append(events: JournalEvent[]) {
    const fresh: JournalEvent[] = [];
    let last = this.lastSeq();
    let gap = false;
    for (const event of events) {
      if (event.seq <= last) continue;
      if (event.seq !== last + 1) {
        gap = true;
        break;
      }
      fresh.push(event);
      last = event.seq;
    }
    if (fresh.length > 0) {
      for (const event of fresh) this.events.push(event);
      this.transcript.append(fresh);
      const milestones = fresh.filter(({ kind }) => MILESTONES.includes(kind));
      this.set({
        rows: this.transcript.rows,
        last,
        first: this.events[0]?.seq ?? 0,
        ...(milestones.length > 0 ? { milestones: [...this.state.milestones, ...milestones] } : {}),
      });
    }
    if (gap && !this.catching) void this.catchUp();
  }

  private lastSeq(): number {
    return this.events.at(-1)?.seq ?? 0;
  }

  private set(part: Partial<JournalState>) {
    this.state = { ...this.state, ...part };
    for (const tell of this.watchers) tell();
  }
}
