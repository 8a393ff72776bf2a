import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { Journal, type JournalState } from "../services/journal";

/**
 * The journal of an order, live while it can grow and somebody sees the page. `lastSeq` is the newest event that is
 * known of: what a finished order has that is not here yet is asked for.
 */
export function useJournal(id: string, grows: boolean, lastSeq: number): JournalState & { reload: () => void } {
  const journal = useMemo(() => new Journal(id), [id]);
  const state = useSyncExternalStore(journal.watch, journal.read);
  const opened = useRef<Journal | null>(null);

  useEffect(() => {
    opened.current = journal;
    void journal.open();
    return () => journal.close();
  }, [journal]);

  // Not before the end is known: the stream would begin with the first event.
  const ready = state.last > 0;
  useEffect(() => {
    if (!grows || !ready) return;
    const look = () => {
      if (document.hidden) journal.rest();
      else journal.follow();
    };
    look();
    document.addEventListener("visibilitychange", look);
    return () => {
      document.removeEventListener("visibilitychange", look);
      journal.rest();
    };
  }, [journal, grows, ready]);

  const behind = !grows && ready && lastSeq > state.last;
  useEffect(() => {
    if (behind) void journal.catchUp();
  }, [journal, behind]);

  return { ...state, reload: () => void journal.open() };
}
