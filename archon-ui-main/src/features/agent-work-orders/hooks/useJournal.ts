import { useEffect, useMemo, useSyncExternalStore } from "react";
import { Journal, type JournalState } from "../services/journal";

/** The journal of an order, opened at once: what the order itself is can be asked meanwhile. */
export function useOpenJournal(id: string): Journal {
  const journal = useMemo(() => new Journal(id), [id]);
  useEffect(() => {
    void journal.open();
    return () => journal.close();
  }, [journal]);
  return journal;
}

/**
 * What is in the journal, live while it can grow and somebody sees the page. `lastSeq` is the newest event that is
 * known of: what a finished order has that is not here yet is asked for.
 */
export function useJournal(journal: Journal, grows: boolean, lastSeq: number): JournalState & { reload: () => void } {
  const state = useSyncExternalStore(journal.watch, journal.read);

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
