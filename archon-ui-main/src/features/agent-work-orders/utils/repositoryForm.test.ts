import { expect, test } from "vitest";
import { commandProblem, fileProblem, variableProblem } from "./checkoutRules";
import { changeOf, formField, formOf, formProblems } from "./repositoryForm";

const before = formOf({
  display_name: "API",
  options: {
    trusted: false,
    lfs: false,
    submodules: false,
    partial_clone: false,
    sparse: true,
    push_checkpoints: true,
    setup_inputs: ["uv.lock"],
    setup_timeout: 60,
    environment: { CI: "1" },
    files: {},
  },
});

test("what was not edited is not sent", () => {
  expect(changeOf(before, before)).toEqual({});
  expect(changeOf(before, { ...before, setup_inputs: "\n uv.lock \n" })).toEqual({});
});

test("an emptied field goes back to its default", () => {
  expect(changeOf(before, { ...before, display_name: "", setup_timeout: "", setup_inputs: "" })).toEqual({
    display_name: null,
    options: { setup_timeout: 900, setup_inputs: [] },
  });
});

test("numbers are sent as numbers, and only inside their bounds", () => {
  expect(changeOf(before, { ...before, max_cost_usd: "2.50", depth: "1" })).toEqual({
    options: { max_cost_usd: 2.5, depth: 1 },
  });
  expect(formProblems({ ...before, max_cost_usd: "0", depth: "1.5", quota_mb: "a lot", max_concurrent: "0" })).toEqual({
    max_cost_usd: "must be more than 0",
    depth: "must be a whole number",
    quota_mb: "must be a number",
  });
});

test("a name that is there twice would silently lose a value", () => {
  const twice = [...before.environment, { id: "n", name: "CI", value: "2" }];
  expect(formProblems({ ...before, environment: twice }).environment).toBe('"CI" is there twice');
});

test("names of variables, paths of files and commands are held to the server's rules", () => {
  for (const name of ["1A", "a-b", "PATH", "git_dir", "HTTPS_PROXY", "ANTHROPIC_API_KEY"])
    expect(variableProblem(name, "")).not.toBeNull();
  expect(variableProblem("DATABASE_URL", "x")).toBeNull();
  for (const path of ["", "/etc/passwd", "a/../b", "a//b", ".git/config", "x/.Claude/settings.json", "a\\b"])
    expect(fileProblem(path, "")).not.toBeNull();
  expect(fileProblem("config/local.env", "x")).toBeNull();
  expect(fileProblem("big", "x".repeat(262_145))).toBe("must be a file of at most 256 kB");
  expect([commandProblem("  ", 10), commandProblem("make", 3), commandProblem("make", 4)]).toEqual([
    "must not be blank; leave it out instead",
    "must be at most 3 characters",
    null,
  ]);
});

test("a server's field finds its place in the form", () => {
  expect(["options.depth", "body.options.environment.PATH", "options.files.a.b", "If-Match"].map(formField)).toEqual([
    "depth",
    "environment",
    "files",
    null,
  ]);
});
