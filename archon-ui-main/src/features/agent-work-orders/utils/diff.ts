/** Unified patches as lines with their numbers, and what of them is worth drawing unasked. Pure. */
import type { FileChange } from "../types";

export interface DiffLine {
  kind: "same" | "plus" | "minus";
  text: string;
  /** Number in the old and in the new file; null where the line is not in it. */
  before: number | null;
  after: number | null;
  /** The part that differs from the line it replaces, as [from, to); null for none or all. */
  changed: [number, number] | null;
}

export interface Hunk {
  title: string;
  lines: DiffLine[];
}

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@(.*)$/;

/** The hunks of one file's patch; its header lines are passed over. */
export function hunksOf(patch: string): Hunk[] {
  const hunks: Hunk[] = [];
  let current: Hunk | undefined;
  let before = 0;
  let after = 0;
  for (const text of patch.replace(/\n$/, "").split("\n")) {
    const head = HUNK.exec(text);
    if (head) {
      before = Number(head[1]);
      after = Number(head[2]);
      current = { title: (head[3] ?? "").trim(), lines: [] };
      hunks.push(current);
    } else if (current && text.startsWith("+")) {
      current.lines.push({ kind: "plus", text: text.slice(1), before: null, after: after++, changed: null });
    } else if (current && text.startsWith("-")) {
      current.lines.push({ kind: "minus", text: text.slice(1), before: before++, after: null, changed: null });
    } else if (current && !text.startsWith("\\")) {
      current.lines.push({ kind: "same", text: text.slice(1), before: before++, after: after++, changed: null });
    }
  }
  for (const hunk of hunks) markWords(hunk.lines);
  return hunks;
}

/** Where as many lines were taken away as were put in their place, marks in each pair what differs. */
function markWords(lines: DiffLine[]) {
  let at = 0;
  while (at < lines.length) {
    if (lines[at]?.kind !== "minus") {
      at += 1;
      continue;
    }
    let middle = at;
    while (lines[middle]?.kind === "minus") middle += 1;
    let end = middle;
    while (lines[end]?.kind === "plus") end += 1;
    if (end - middle === middle - at) {
      for (let n = 0; n < middle - at; n += 1) markPair(lines[at + n] as DiffLine, lines[middle + n] as DiffLine);
    }
    at = end;
  }
}

function markPair(minus: DiffLine, plus: DiffLine) {
  const shorter = Math.min(minus.text.length, plus.text.length);
  let head = 0;
  while (head < shorter && minus.text[head] === plus.text[head]) head += 1;
  let tail = 0;
  while (tail < shorter - head && minus.text.at(-1 - tail) === plus.text.at(-1 - tail)) tail += 1;
  // Two lines that share next to nothing are two lines, not one that changed.
  if (head + tail < shorter * 0.3) return;
  minus.changed = [head, minus.text.length - tail];
  plus.changed = [head, plus.text.length - tail];
}

/** One row of a diff side by side; null where a side has nothing there. An unchanged line stands on both. */
export interface DiffPair {
  before: DiffLine | null;
  after: DiffLine | null;
}

/** The lines of a hunk side by side: what was taken away stands beside what was put in its place. */
export function pairsOf(lines: readonly DiffLine[]): DiffPair[] {
  const pairs: DiffPair[] = [];
  let at = 0;
  const run = (kind: DiffLine["kind"]) => {
    const from = at;
    while (lines[at]?.kind === kind) at += 1;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    for (const same of run("same")) pairs.push({ before: same, after: same });
    const [gone, come] = [run("minus"), run("plus")];
    for (let n = 0; n < Math.max(gone.length, come.length); n += 1)
      pairs.push({ before: gone[n] ?? null, after: come[n] ?? null });
  }
  return pairs;
}

const MANY_LINES = 400;
const LOCKS =
  /(^|\/)(package-lock\.json|yarn\.lock|pnpm-lock\.yaml|uv\.lock|poetry\.lock|Cargo\.lock|go\.sum|Gemfile\.lock|composer\.lock)$/;
const GENERATED = /(\.generated\.|\.min\.(js|css)$|(^|\/)(dist|vendor|node_modules)\/|\.map$|_pb2\.py$)/;

/** Why a file's lines are not drawn until somebody asks; null: they are. */
export function hiddenBecause(file: FileChange): string | null {
  if (file.patch === null || file.patch === undefined) return "binary";
  if (LOCKS.test(file.path)) return "a lock file";
  if (GENERATED.test(file.path)) return "generated";
  if (file.additions + file.deletions > MANY_LINES) return `${file.additions + file.deletions} changed lines`;
  if (file.additions + file.deletions === 0) return file.status === "renamed" ? "renamed only" : "no changed lines";
  return null;
}

/** A short fingerprint of a file's change: "viewed" ends when the change changes. */
export function fingerprint(text: string): string {
  let hash = 5381;
  for (let at = 0; at < text.length; at += 1) hash = ((hash * 33) ^ text.charCodeAt(at)) >>> 0;
  return `${hash.toString(36)}.${text.length}`;
}

const LANGUAGES: Record<string, string> = {
  py: "python",
  js: "javascript",
  mjs: "javascript",
  cjs: "javascript",
  jsx: "jsx",
  ts: "typescript",
  tsx: "tsx",
  json: "json",
  yml: "yaml",
  yaml: "yaml",
  sh: "bash",
  bash: "bash",
  css: "css",
  html: "markup",
  xml: "markup",
  svg: "markup",
  md: "markdown",
  go: "go",
  rs: "rust",
  java: "java",
  sql: "sql",
  toml: "toml",
};

export const languageOf = (path: string): string | null =>
  LANGUAGES[/\.([a-z0-9]+)$/i.exec(path)?.[1]?.toLowerCase() ?? ""] ?? null;

export interface LineComment {
  id: string;
  path: string;
  side: "before" | "after";
  line: number;
  /** The line as it was when it was commented: after another turn it may be another one. */
  lineText: string;
  text: string;
}

/** All comments as one message to the agent. */
export function messageOf(comments: readonly LineComment[]): string {
  const parts = comments.map(
    ({ path, side, line, lineText, text }) =>
      `**${path}**, ${side === "before" ? "removed line" : "line"} ${line}: \`${lineText.trim().replaceAll("`", "'").slice(0, 200)}\`\n\n${text.trim()}`,
  );
  return `Comments on the change:\n\n${parts.join("\n\n---\n\n")}`;
}
