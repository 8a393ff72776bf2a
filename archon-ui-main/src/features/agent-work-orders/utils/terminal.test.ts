import { expect, test } from "vitest";
import { piecesOf, settle } from "./terminal";

test("what a progress bar has overwritten is not shown", () => {
  expect(settle("10%\r50%\r100%\ndone\r\nend")).toBe("100%\ndone\nend");
});

test("a terminal's colours become ours", () => {
  expect(piecesOf("plain \u001b[31mred\u001b[0m end")).toEqual([
    { text: "plain ", className: "" },
    { text: "red", className: "text-failed" },
    { text: " end", className: "" },
  ]);
  expect(piecesOf("no colours")).toEqual([{ text: "no colours", className: "" }]);
});
