import { expect, test } from "vitest";
import { setting, TEXT } from "../views/settingsPage.fixture";
import { boundsOf, changesOf, groupOf, labelOf, problemOf, settingValue } from "./settingRules";

test("a name reads as words", () => {
  expect(["github_api_url", "max_cost_usd", "claude_cli_path", "archive_s3_bucket"].map(labelOf)).toEqual([
    "GitHub API URL",
    "Max cost USD",
    "Claude CLI path",
    "Archive S3 bucket",
  ]);
});

test("a setting that nobody thought of is advanced", () => {
  expect(
    ["claude_model", "max_cost_usd", "disk_low_gb", "home", "allowed_hosts", "host_of_tomorrow"].map(groupOf),
  ).toEqual(["claude", "limits", "retention", "storage", "network", "advanced"]);
});

test("bounds are told with their unit, as far as there are any", () => {
  expect(boundsOf(setting("a", { unit: "days" }))).toBe("1 to 200 days");
  expect(boundsOf(setting("a", { maximum: null }))).toBe("at least 1");
  expect(boundsOf(setting("a", { minimum: null, above: 0, unit: "days" }))).toBe("more than 0, at most 200 days");
  expect(boundsOf(setting("a", { minimum: null, maximum: null, above: 0 }))).toBe("more than 0");
  expect(boundsOf(setting("a", { ...TEXT, max_length: 4096 }))).toBe("at most 4,096 characters");
});

test("what the server would refuse is told before it is asked", () => {
  const whole = setting("a");
  expect(["1.5", "many", "0", "201", "200", " 7 "].map((text) => problemOf(whole, text))).toEqual([
    "must be a whole number",
    "must be a whole number",
    "must be at least 1",
    "must be at most 200",
    undefined,
    undefined,
  ]);
  const cost = setting("a", { kind: "number", minimum: null, above: 0 });
  expect(["0", "-1", "0.01"].map((text) => problemOf(cost, text))).toEqual([
    "must be more than 0",
    "must be more than 0",
    undefined,
  ]);
  expect(problemOf(whole, "")).toMatch(/must have a value/);
  expect(problemOf(setting("a", { ...TEXT }), "")).toBeUndefined();
  expect(problemOf(setting("a", { ...TEXT, max_length: 3 }), "abcd")).toBe("must have at most 3 characters");
  expect(problemOf(setting("a", { ...TEXT, choices: ["x", "y"] }), "z")).toBe("must be one of x, y");
});

test("a text becomes what the server wants", () => {
  expect(settingValue(setting("a"), " 7 ")).toBe(7);
  expect(settingValue(setting("a", { kind: "boolean" }), "false")).toBe(false);
  expect(settingValue(setting("a", { ...TEXT, kind: "list" }), "a.com, b.com,")).toEqual(["a.com", "b.com"]);
  expect(settingValue(setting("a", { ...TEXT }), "  ")).toBeNull();
});

test("only what differs and may be changed is sent", () => {
  const settings = [
    setting("same"),
    setting("other"),
    setting("locked", { locked: true }),
    setting("kept", { source: "database" }),
    setting("default"),
  ];
  const edits = { same: "5", other: "6", locked: "6", kept: null, default: null, unknown: "1" };
  expect(changesOf(settings, edits)).toEqual({ other: 6, kept: null });
});
