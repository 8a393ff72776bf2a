import { cleanup } from "@testing-library/react";
import { afterAll, afterEach, beforeAll } from "vitest";
import { network } from "./network";

// What jsdom lacks and Radix asks for.
Object.assign(Element.prototype, {
  hasPointerCapture: () => false,
  releasePointerCapture: () => undefined,
  scrollIntoView: () => undefined,
});
if (!("ResizeObserver" in globalThis)) {
  Object.assign(globalThis, {
    ResizeObserver: class {
      observe() {}
      unobserve() {}
      disconnect() {}
    },
  });
}
Object.assign(window, {
  scrollTo: () => undefined,
  matchMedia: (query: string) => ({
    matches: false,
    media: query,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  }),
});

// A toast's timer outlives the toast, and after the last test of a file there is no document for it to look at.
const timers: number[] = [];
const wait = window.setTimeout;
window.setTimeout = Object.assign((...given: Parameters<typeof wait>) => {
  const timer = wait(...given);
  timers.push(timer);
  return timer;
}, wait);

beforeAll(() => network.listen({ onUnhandledRequest: "error" }));
afterEach(() => {
  cleanup();
  network.resetHandlers();
  localStorage.clear();
  sessionStorage.clear();
});
afterAll(() => {
  for (const timer of timers) clearTimeout(timer);
  network.close();
});
