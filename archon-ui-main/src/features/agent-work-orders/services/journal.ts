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
  /** Whether `milestones` are all there are, also of the part that has not been read yet. */
  told: boolean;
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

/** When the page has nothing more urgent to do: what is old must not keep anybody from what is new. */
const idle = (): Promise<void> =>
  new Promise((resolve) => {
    if ("requestIdleCallback" in window) requestIdleCallback(() => resolve(), { timeout: 1_000 });
    else setTimeout(resolve, 0);
  });

export class Journal {
  private state: JournalState = {
    rows: [],
    milestones: [],
    told: false,
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
  private readonly idle: () => Promise<void>;
  private transcript = new Transcript();
  private abort = new AbortController();
  private unsubscribe: (() => void) | undefined;
  private waiting: JournalEvent[] = [];
  private frame = 0;
  private poll: ReturnType<typeof setTimeout> | undefined;
  private catching = false;

  constructor(id: string, hub: LiveHub = liveHub, api: Api = workOrderService, whenIdle = idle) {
    this.id = id;
    this.hub = hub;
    this.api = api;
    this.idle = whenIdle;
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
      const asked = this.api.events(this.id, { after_seq: 0, limit: PAGE, kind: MILESTONES }, signal);
      asked.catch(() => undefined); // told below, unless the other question has failed before it
      const end = await this.api.events(this.id, { before_seq: LAST_SEQ, limit: FIRST_LOOK }, signal);
      this.adopt(end.events, end.last_seq);
      this.addMilestones((await asked).events);
      await this.fillUp(signal);
      this.set({ loading: false });
    } catch (error) {
      if (!signal.aborted) this.set({ loading: false, error: asApiError(error) });
    }
  }

  /** What is older, while nobody waits for it; shown each time that as much has come as was there. */
  private async fillUp(signal: AbortSignal) {
    let older: JournalEvent[] = [];
    for (;;) {
      const first = older[0]?.seq ?? (this.state.first || 1);
      if (first > 1) await this.idle();
      const page = first > 1 ? await this.api.events(this.id, { before_seq: first, limit: PAGE }, signal) : null;
      if (page) older = [...page.events, ...older];
      const ended = page === null || page.events.length === 0;
      if (older.length > 0 && (ended || older.length > this.state.last - this.state.first)) {
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
        const page = await this.api.events(this.id, { after_seq: this.state.last, limit: PAGE }, this.abort.signal);
        this.append(page.events);
        if (page.events.length === 0 || this.state.last >= page.last_seq) return;
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

  private adopt(events: JournalEvent[], last: number) {
    this.transcript = new Transcript();
    this.transcript.append(events);
    const first = events[0]?.seq ?? 0;
    this.set({
      rows: this.transcript.rows,
      milestones: events.filter(isMilestone),
      told: first <= 1,
      first,
      last: events.at(-1)?.seq ?? 0,
      openedAt: last,
    });
    const early = this.waiting;
    this.waiting = [];
    this.append(early);
  }

  /** Those of the part that has not been read; what is here tells its own. */
  private addMilestones(all: JournalEvent[]) {
    if (this.state.told) return;
    const older = all.filter(({ seq }) => seq < this.state.first);
    this.set({ milestones: [...older, ...this.state.milestones], told: true });
  }

  private prepend(older: JournalEvent[]) {
    this.transcript.prepend(older);
    this.set({ rows: this.transcript.rows, first: older[0]?.seq ?? this.state.first });
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
    let { last } = this.state;
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
      this.transcript.append(fresh);
      const milestones = fresh.filter(isMilestone);
      this.set({
        rows: this.transcript.rows,
        last,
        first: this.state.first || (fresh[0]?.seq ?? 0),
        ...(milestones.length > 0 ? { milestones: [...this.state.milestones, ...milestones] } : {}),
      });
    }
    if (gap && !this.catching) void this.catchUp();
  }

  private set(part: Partial<JournalState>) {
    this.state = { ...this.state, ...part };
    for (const tell of this.watchers) tell();
  }
}

const isMilestone = ({ kind }: JournalEvent): boolean => MILESTONES.includes(kind);
