/**
 * What is wrong with a request, as the server would say it: its bounds come from its own description, its grammars are
 * written down here again because a page has to answer while one types. The server has the last word. Pure.
 */
import bounds from "../types/bounds.generated.json";

/** The form's fields as they are typed; empty means: the server's default. */
export interface RequestDraft {
  repository_url: string;
  user_request: string;
  workflow_type: string;
  /** Null: all steps of the workflow. */
  selected_commands: string[] | null;
  github_issue_number: string;
  base_branch: string;
  working_subdir: string;
  priority: string;
  model: string;
  timeout_minutes: string;
  max_cost_usd: string;
  approve_plan: boolean;
  approve_push: boolean;
}

export type DraftField = keyof RequestDraft;

const MAX_TEXT_BYTES = 64 * 1024;
const MAX_URL = 500;

export function problemsOf(draft: RequestDraft): Partial<Record<DraftField, string>> {
  const found: Partial<Record<DraftField, string>> = {};
  const add = (field: DraftField, problem: string | null) => {
    if (problem) found[field] = problem;
  };
  add("repository_url", urlProblem(draft.repository_url));
  add("user_request", textProblem(draft.user_request));
  add("github_issue_number", issueProblem(draft.github_issue_number));
  add("base_branch", draft.base_branch ? branchProblem(draft.base_branch) : null);
  add("working_subdir", draft.working_subdir ? subdirProblem(draft.working_subdir) : null);
  add("priority", draft.priority ? rangeProblem(draft.priority, bounds.priority, true) : null);
  add("model", draft.model ? modelProblem(draft.model) : null);
  add("timeout_minutes", draft.timeout_minutes ? minutesProblem(draft.timeout_minutes) : null);
  add("max_cost_usd", draft.max_cost_usd ? rangeProblem(draft.max_cost_usd, bounds.max_cost_usd, false) : null);
  if (draft.selected_commands?.length === 0) add("selected_commands", "must name at least one step");
  return found;
}

/** What is wrong with a repository's address; which hosts are allowed only the server knows. */
export function urlProblem(text: string): string | null {
  if (text === "") return "must be given, such as https://github.com/owner/name";
  if (text.length > MAX_URL) return `must be an address of 1 to ${MAX_URL} characters`;
  if (/[^\x21-\x7e]/.test(text)) return "must not contain spaces, control characters or anything beyond ASCII";
  if (!/^https?:\/\//i.test(text)) return "must start with https://";
  const [, authority = "", path = ""] = /^https?:\/\/([^/?#]*)([^?#]*)/i.exec(text) ?? [];
  if (authority.includes("@")) return "must not contain a user name or password; credentials belong in the settings";
  if (/[?#]/.test(text)) return "must not contain a query or a fragment";
  if (authority === "") return "must name a host, such as github.com";
  const segments = path.replace(/^\/+|\/+$/g, "").split("/");
  const [owner, name] = segments;
  if (segments.length !== 2 || !owner || !name)
    return "must name one owner and one repository: https://host/owner/name";
  const bare = name.replace(/\.git$/i, "");
  if (
    !/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(owner) ||
    !/^\.?[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/.test(bare) ||
    (owner + bare).includes("..") ||
    /\.git$/i.test(bare)
  ) {
    return "has an owner or a name with characters that are not allowed";
  }
  return null;
}

export function textProblem(text: string): string | null {
  if (text.trim() === "") return "must say what is wanted";
  if (text.includes("\0")) return "must not contain NUL characters";
  const size = new TextEncoder().encode(text).length;
  return size > MAX_TEXT_BYTES ? `must be at most ${MAX_TEXT_BYTES} bytes in UTF-8 (it has ${size})` : null;
}

export function branchProblem(name: string): string | null {
  if (!/^[A-Za-z0-9][A-Za-z0-9._/-]{0,120}$/.test(name)) {
    return "must be 1 to 121 ASCII letters, digits, '.', '_', '/' or '-', starting with a letter or a digit";
  }
  if (name === "HEAD") return "must not be HEAD, which names no branch";
  if (/\.\.|\/\/|\/\.|[/.]$|\.lock$|\.lock\//.test(name)) {
    return "is not a valid branch name for git ('..', '//', '/.', a trailing '/', '.' or '.lock')";
  }
  return null;
}

function subdirProblem(path: string): string | null {
  const parts = path.split("/");
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  if (path.startsWith("/") || parts.includes("..") || path.length > 400 || /[\x00-\x1f]/.test(path)) {
    return "must be a relative path inside the repository";
  }
  return parts.some((part) => part.toLowerCase() === ".git") ? "must not lie in .git" : null;
}

export function modelProblem(name: string): string | null {
  return /^[A-Za-z0-9][A-Za-z0-9._:/@[\]-]{0,99}$/.test(name)
    ? null
    : "must be a model's name: 1 to 100 letters, digits, '.', '_', ':', '/', '@', '[', ']' or '-'";
}

/** The number of an issue as people write it: `42`, `#42`, or its address. */
export function issueNumber(text: string): number | null {
  const found = /^(?:#|https?:\/\/\S+\/issues\/)?([0-9]{1,10})$/.exec(text.trim());
  return found ? Number(found[1]) : null;
}

function issueProblem(text: string): string | null {
  if (text.trim() === "") return null;
  const number = issueNumber(text);
  if (number === null) return "must be the number of an issue, such as 42";
  return rangeProblem(String(number), bounds.github_issue_number, true);
}

function minutesProblem(text: string): string | null {
  const { minimum, maximum } = bounds.timeout_seconds;
  return rangeProblem(text, { minimum: Math.ceil(minimum / 60), maximum: Math.floor(maximum / 60) }, true);
}

interface Bounds {
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
}

export function rangeProblem(
  text: string,
  { minimum, maximum, exclusiveMinimum }: Bounds,
  whole: boolean,
): string | null {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return "must be a number";
  if (whole && !Number.isInteger(value)) return "must be a whole number";
  if (minimum !== undefined && value < minimum) return `must be at least ${minimum}`;
  if (exclusiveMinimum !== undefined && value <= exclusiveMinimum) return `must be more than ${exclusiveMinimum}`;
  if (maximum !== undefined && value > maximum) return `must be at most ${maximum}`;
  return null;
}
