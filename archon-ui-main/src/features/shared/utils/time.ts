/** Times and durations in words. Knows no clock: `now` is always given. */

const STEPS: [limit: number, unit: Intl.RelativeTimeFormatUnit, seconds: number][] = [
  [60, "second", 1],
  [3_600, "minute", 60],
  [86_400, "hour", 3_600],
  [7 * 86_400, "day", 86_400],
  [31 * 86_400, "week", 7 * 86_400],
  [365 * 86_400, "month", 30 * 86_400],
  [Number.POSITIVE_INFINITY, "year", 365 * 86_400],
];

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});

/** "4 min. ago", "in 2 hr."; `at` is RFC 3339, `now` milliseconds. */
export function relativeTime(at: string, now: number): string {
  const seconds = (Date.parse(at) - now) / 1000;
  const size = Math.abs(seconds);
  if (size < 5) return "just now";
  const [, unit, unitSeconds] = STEPS.find(([limit]) => size < limit) ?? (STEPS[0] as (typeof STEPS)[0]);
  return relative.format(Math.trunc(seconds / unitSeconds), unit);
}

/** The moment with its zone, for titles and screen readers. */
export const exactTime = (at: string): string => exact.format(Date.parse(at));

/** Hours, minutes and seconds of the day, for log lines. */
export const clockTime = (at: string): string => clock.format(Date.parse(at));

/** "0.8 s", "42 s", "4 min 12 s", "2 h 5 min", "3 d 4 h". */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  if (seconds < 10 && seconds >= 0) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3_600)} h ${Math.floor((whole % 3_600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3_600)} h`;
}

/** Seconds from one RFC 3339 time to another, or to `now` while it has no end. */
export function secondsBetween(from: string, to: string | null | undefined, now: number): number {
  return Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000);
}
