import { describe, expect, test } from "vitest";
import { bytes, money, plural } from "./quantity";
import { safeHref } from "./safeHref";
import { duration, relativeTime, secondsBetween } from "./time";

const NOW = Date.parse("2030-01-01T12:00:00Z");

describe("times in words", () => {
  test("a moment ago and a moment ahead are both just now", () => {
    expect(relativeTime("2030-01-01T11:59:57Z", NOW)).toBe("just now");
    expect(relativeTime("2030-01-01T12:00:03Z", NOW)).toBe("just now");
  });

  test("the unit grows with the distance, in both directions", () => {
    expect(relativeTime("2030-01-01T11:59:20Z", NOW)).toBe("40 sec. ago");
    expect(relativeTime("2030-01-01T11:56:00Z", NOW)).toBe("4 min. ago");
    expect(relativeTime("2030-01-01T14:30:00Z", NOW)).toBe("in 2 hr.");
    expect(relativeTime("2029-12-30T12:00:00Z", NOW)).toBe("2 days ago");
    expect(relativeTime("2027-12-30T12:00:00Z", NOW)).toBe("2 yr. ago");
  });

  test("a duration is told in its two largest units", () => {
    expect([0.84, 9.97, 42, 252, 7_500, 273_600].map(duration)).toEqual([
      "0.8 s",
      "9.9 s",
      "42 s",
      "4 min 12 s",
      "2 h 5 min",
      "3 d 4 h",
    ]);
  });

  test("what has no end lasts until now, and never less than nothing", () => {
    expect(secondsBetween("2030-01-01T11:59:00Z", null, NOW)).toBe(60);
    expect(secondsBetween("2030-01-01T12:01:00Z", null, NOW)).toBe(0);
  });
});

describe("quantities in words", () => {
  test("money below a cent does not read as free", () => {
    expect([0, 0.0042, 0.42, 1234.5].map(money)).toEqual(["$0.00", "$0.0042", "$0.42", "$1,234.50"]);
  });

  test("sizes and counts", () => {
    expect([0, 999, 1_400_000, 250_000_000].map(bytes)).toEqual(["0 B", "999 B", "1.4 MB", "250 MB"]);
    expect([plural(1, "file"), plural(1_300, "file"), plural(0, "reply", "replies")]).toEqual([
      "1 file",
      "1,300 files",
      "0 replies",
    ]);
  });
});

test("only web addresses become links", () => {
  expect(safeHref("https://github.com/a/b/pull/1")).toBe("https://github.com/a/b/pull/1");
  expect(safeHref("javascript:alert(1)")).toBeUndefined();
  expect(safeHref("not an address")).toBeUndefined();
  expect(safeHref(null)).toBeUndefined();
});
