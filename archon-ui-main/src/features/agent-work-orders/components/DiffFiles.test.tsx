import { screen } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { open } from "@/test/page";
import type { BranchDiff } from "../types";
import { hunksOf, pairsOf } from "../utils/diff";
import { DiffFiles } from "./DiffFiles";
import { DiffPairLine } from "./DiffLine";

const diff = { files: [], additions: 0, deletions: 0 } as unknown as BranchDiff;
const props = { diff, wide: true, isViewed: () => false, onGo: () => undefined, split: false };

test("two sides are offered only where there is room for them", async () => {
  const onSplit = vi.fn();
  const { user } = open(
    <>
      <DiffFiles {...props} onSplit={null} />
      <DiffFiles {...props} onSplit={onSplit} />
    </>,
    "/",
  );
  await user.click(screen.getByRole("checkbox", { name: "Side by side" }));
  expect(onSplit).toHaveBeenCalledWith(true);
});

test("a line on either side takes a comment, and an unchanged one takes it once", async () => {
  const lines = pairsOf(hunksOf("@@ -1,2 +1,2 @@\n same\n-old\n+new\n")[0]?.lines ?? []);
  const onComment = vi.fn();
  const { user } = open(
    <div>
      {lines.map((pair) => (
        <DiffPairLine key={pair.after?.after} pair={pair} language={null} highlight={null} onComment={onComment} />
      ))}
    </div>,
    "/",
  );
  expect(screen.getAllByRole("button").map((one) => one.getAttribute("aria-label"))).toEqual([
    "Comment on line 1",
    "Comment on deleted line 2",
    "Comment on added line 2",
  ]);
  await user.click(screen.getByRole("button", { name: "Comment on deleted line 2" }));
  expect(onComment.mock.calls[0]?.[0]).toMatchObject({ text: "old", before: 2 });
});
