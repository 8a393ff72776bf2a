import { describe, expect, test } from "vitest";
import type { FileChange } from "../types";
import { fingerprint, hiddenBecause, hunksOf, languageOf, messageOf, pairsOf } from "./diff";

const PATCH = `diff --git a/a.py b/a.py
--- a/a.py
+++ b/a.py
@@ -1,4 +1,5 @@ def top():
 one
-two old
+two new
+more
 three
\\ No newline at end of file
@@ -10 +11 @@
-x
+y
`;
const file = (part: Partial<FileChange>): FileChange => ({
  path: "a.py",
  old_path: null,
  status: "modified",
  additions: 1,
  deletions: 1,
  patch: PATCH,
  ...part,
});

describe("a patch", () => {
  test("is read with the numbers of both files", () => {
    const [first, second] = hunksOf(PATCH);
    expect(first?.title).toBe("def top():");
    expect(first?.lines.map(({ kind, before, after }) => [kind, before, after])).toEqual([
      ["same", 1, 1],
      ["minus", 2, null],
      ["plus", null, 2],
      ["plus", null, 3],
      ["same", 3, 4],
    ]);
    expect(second?.lines.map(({ before, after }) => [before, after])).toEqual([
      [10, null],
      [null, 11],
    ]);
  });

  test("stands side by side: what was taken away beside what took its place", () => {
    const [first, second] = hunksOf(PATCH);
    const numbers = (lines = first?.lines ?? []) =>
      pairsOf(lines).map(({ before, after }) => [before?.before ?? null, after?.after ?? null]);
    expect(numbers()).toEqual([
      [1, 1],
      [2, 2],
      [null, 3],
      [3, 4],
    ]);
    expect(numbers(second?.lines)).toEqual([[10, 11]]);
  });

  test("marks the words that differ where one line took another's place", () => {
    const [hunk] = hunksOf("@@ -1 +1 @@\n-return one + 1\n+return one + 22\n");
    expect(hunk?.lines.map(({ text, changed }) => changed && text.slice(...changed))).toEqual(["1", "22"]);
  });

  test("does not call two strange lines one that changed", () => {
    const [hunk] = hunksOf("@@ -1 +1 @@\n-alpha beta gamma\n+xxxxxxxxxxxxxxxx\n");
    expect(hunk?.lines.map(({ changed }) => changed)).toEqual([null, null]);
  });
});

test("what nobody reads is not drawn unasked, and says why", () => {
  expect(hiddenBecause(file({}))).toBeNull();
  expect(hiddenBecause(file({ patch: null }))).toBe("binary");
  expect(hiddenBecause(file({ path: "web/package-lock.json" }))).toBe("a lock file");
  expect(hiddenBecause(file({ path: "dist/app.js" }))).toBe("generated");
  expect(hiddenBecause(file({ additions: 400 }))).toBe("401 changed lines");
  expect(hiddenBecause(file({ additions: 0, deletions: 0, status: "renamed" }))).toBe("renamed only");
});

test("a file that changed again is not viewed any more", () => {
  expect(fingerprint(PATCH)).not.toBe(fingerprint(`${PATCH}x`));
});

test("languages go by the file's end", () => {
  expect(["a.py", "b.TSX", "Makefile", "x.unknown"].map(languageOf)).toEqual(["python", "tsx", null, null]);
});

test("comments become one message that names file, line and what stood there", () => {
  const comment = { id: "1", path: "a.py", side: "after" as const, line: 2, lineText: "  two `new`", text: "Why?" };
  const message = messageOf([comment, { ...comment, id: "2", side: "before", line: 9, text: "Keep it." }]);
  expect(message).toContain("**a.py**, line 2: `two 'new'`\n\nWhy?");
  expect(message).toContain("removed line 9");
});
