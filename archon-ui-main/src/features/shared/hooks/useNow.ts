import { useSyncExternalStore } from "react";

/** One clock for the whole page: a tick a second, none while the tab is hidden. */
const listeners = new Set<() => void>();
let now = Date.now();
let timer: ReturnType<typeof setInterval> | undefined;

function tick() {
  if (document.hidden) return;
  now = Date.now();
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (listeners.size === 1) {
    now = Date.now();
    timer = setInterval(tick, 1000);
    document.addEventListener("visibilitychange", tick);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    }
  };
}

const nothing = () => () => undefined;

/** Milliseconds since 1970, moving by steps of `every` seconds; `every` 0 stands still. */
export function useNow(every = 1): number {
  return useSyncExternalStore(every === 0 ? nothing : subscribe, () => {
    const step = Math.max(1, every) * 1000;
    return Math.floor(now / step) * step;
  });
}
