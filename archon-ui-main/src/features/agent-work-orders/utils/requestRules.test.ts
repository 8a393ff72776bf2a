import { describe, expect, test } from "vitest";
import { bodyOf, emptyDraft } from "./draft";
import { branchProblem, issueNumber, problemsOf, type RequestDraft, textProblem, urlProblem } from "./requestRules";

const filled = (part: Partial<RequestDraft>): RequestDraft => ({
  ...emptyDraft,
  repository_url: "https://github.com/acme/api",
  user_request: "Add a flag.",
  ...part,
});

describe("a repository's address", () => {
  test.each([
    "https://github.com/acme/api",
    "https://github.com/acme/api.git",
    "https://github.com/acme/.github",
    "http://127.0.0.1:4000/acme/api",
    "https://github.com/acme/api/",
  ])("%s is one", (url) => {
    expect(urlProblem(url)).toBeNull();
  });

  test.each([
    ["", /must be given/],
    ["git@github.com:acme/api.git", /https/],
    ["https://user:secret@github.com/acme/api", /credentials belong in the settings/],
    ["https://github.com/acme", /one owner and one repository/],
    ["https://github.com/acme/api/tree/main", /one owner and one repository/],
    ["https://github.com/acme/api?x=1", /query/],
    ["https://github.com/-acme/api", /characters/],
    ["https://github.com/acme/a b", /spaces/],
  ])("%s is none", (url, problem) => {
    expect(urlProblem(url)).toMatch(problem);
  });
});

describe("the other fields", () => {
  test("branches follow git's rules inside a small grammar", () => {
    expect(["main", "release/1.0", "a"].map(branchProblem)).toEqual([null, null, null]);
    for (const name of ["HEAD", "a..b", "a/", "-x", "x.lock", "a/.b", "x;id"])
      expect(branchProblem(name)).not.toBeNull();
  });

  test("a request is counted in bytes, not in letters", () => {
    expect(textProblem("ä".repeat(32 * 1024))).toBeNull();
    expect(textProblem("ä".repeat(32 * 1024 + 1))).toMatch(/65536 bytes/);
    expect(textProblem(" \n ")).toBe("must say what is wanted");
  });

  test("an issue is named by its number or its address", () => {
    expect(["42", "#42", "https://github.com/acme/api/issues/42", "issue 42"].map(issueNumber)).toEqual([
      42,
      42,
      42,
      null,
    ]);
  });

  test("numbers keep the server's bounds", () => {
    expect(problemsOf(filled({}))).toEqual({});
    expect(problemsOf(filled({ priority: "10" })).priority).toBe("must be at most 9");
    expect(problemsOf(filled({ max_cost_usd: "0" })).max_cost_usd).toBe("must be more than 0");
    expect(problemsOf(filled({ timeout_minutes: "1.5" })).timeout_minutes).toBe("must be a whole number");
    expect(problemsOf(filled({ selected_commands: [] })).selected_commands).toMatch(/at least one/);
    expect(problemsOf(filled({ working_subdir: "../x" })).working_subdir).toMatch(/relative path/);
    expect(problemsOf(filled({ model: "a b" })).model).toMatch(/model's name/);
  });
});

describe("the body of a request", () => {
  test("leaves out what was left to the server", () => {
    expect(bodyOf(filled({}))).toEqual({ repository_url: "https://github.com/acme/api", user_request: "Add a flag." });
  });

  test("speaks the server's units", () => {
    const body = bodyOf(
      filled({
        timeout_minutes: "2",
        max_cost_usd: "1.5",
        github_issue_number: "#7",
        approve_push: true,
        priority: "3",
      }),
    );
    expect(body).toMatchObject({
      timeout_seconds: 120,
      max_cost_usd: 1.5,
      github_issue_number: 7,
      requires_approval: ["push"],
      priority: 3,
    });
  });
});
