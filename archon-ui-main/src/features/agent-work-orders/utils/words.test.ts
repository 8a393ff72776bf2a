import { expect, test } from "vitest";
import { headline, needsPerson, pullRequestNumber, repositoryName, statusWord, stepPlace } from "./words";

test("a running order that was asked to stop says so", () => {
  expect(statusWord({ status: "running", cancel_requested_at: "2030-01-01T00:00:00Z" })).toBe("cancelling");
  expect(statusWord({ status: "cancelled", cancel_requested_at: "2030-01-01T00:00:00Z" })).toBe("cancelled");
});

test("a waiting order says for what", () => {
  expect(statusWord({ status: "waiting", waiting_reason: "approval" })).toBe("needs approval");
});

test("only what does not go on by itself needs a person", () => {
  expect(needsPerson({ status: "waiting", waiting_until: null })).toBe(true);
  expect(needsPerson({ status: "waiting", waiting_until: "2030-01-01T00:00:00Z" })).toBe(false);
  expect(needsPerson({ status: "failed" })).toBe(false);
});

test("names are read from addresses", () => {
  expect(repositoryName("https://github.com/acme/api")).toBe("acme/api");
  expect(repositoryName("http://127.0.0.1:4000/acme/api.git")).toBe("acme/api");
  expect(pullRequestNumber("https://github.com/acme/api/pull/412")).toBe("412");
});

test("the headline is the first line that says something", () => {
  expect(headline("\n\n## Fix the parser\n\nIt fails.")).toBe("Fix the parser");
  expect(headline("Add a flag")).toBe("Add a flag");
});

test("a step's place counts from one, and there is none before the first", () => {
  const steps = ["create-branch", "execute", "commit"];
  expect(stepPlace({ current_phase: "execute", selected_commands: steps })).toEqual([2, 3]);
  expect(stepPlace({ current_phase: null, selected_commands: steps })).toBeNull();
});
