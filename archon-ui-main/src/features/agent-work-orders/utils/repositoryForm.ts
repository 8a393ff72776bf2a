/** A repository's options as a form: every value as it is typed, what is wrong with it, and what to send. Pure. */
import type { RepositoryChange } from "../services/repositoryService";
import type { Repository, RepositoryOptions } from "../types";
import { commandProblem, fileProblem, variableProblem } from "./checkoutRules";
import { branchProblem, modelProblem, rangeProblem } from "./requestRules";

/** A name and its value; `id` tells rows apart while their names are being typed. */
export interface Pair {
  id: string;
  name: string;
  value: string;
}

/** Empty text means: the server's own. */
export interface RepositoryForm {
  display_name: string;
  base_branch: string;
  workflow_type: string;
  model: string;
  verify_command: string;
  max_concurrent: string;
  max_cost_usd: string;
  quota_mb: string;
  lfs: boolean;
  submodules: boolean;
  sparse: boolean;
  partial_clone: boolean;
  push_checkpoints: boolean;
  depth: string;
  prepared_checkouts: string;
  setup_command: string;
  /** One path a line. */
  setup_inputs: string;
  cleanup_command: string;
  setup_timeout: string;
  environment: Pair[];
  files: Pair[];
  trusted: boolean;
}

export type FormField = keyof RepositoryForm;
export type FormProblems = Partial<Record<FormField, string>>;
type FieldsOf<T> = { [K in FormField]: RepositoryForm[K] extends T ? K : never }[FormField];
export type TextField = FieldsOf<string>;
export type SwitchField = FieldsOf<boolean>;
export type PairsField = FieldsOf<Pair[]>;

const DEFAULT_SETUP_TIMEOUT = 900;

export const LABELS: Record<FormField, string> = {
  display_name: "Display name",
  base_branch: "Base branch",
  workflow_type: "Workflow",
  model: "Model",
  verify_command: "Check command",
  max_concurrent: "Orders at once",
  max_cost_usd: "Most an order may cost, in US dollars",
  quota_mb: "Most a checkout may hold, in MB",
  lfs: "Fetch Git LFS files",
  submodules: "Fetch submodules",
  sparse: "Only the order's directory on disk",
  partial_clone: "Partial mirror",
  push_checkpoints: "Share checkpoints",
  depth: "Depth of history, in commits",
  prepared_checkouts: "Prepared checkouts",
  setup_command: "Set-up command",
  setup_inputs: "Set-up inputs",
  cleanup_command: "Clean-up command",
  setup_timeout: "Longest set-up or clean-up, in seconds",
  environment: "Environment variables",
  files: "Files",
  trusted: "Trust this repository",
};

const written = (value: string | number | null | undefined): string => (value ?? "").toString();
const pairs = (values: Record<string, string>): Pair[] =>
  Object.entries(values).map(([name, value]) => ({ id: name, name, value }));

export function formOf({ display_name, options }: Pick<Repository, "display_name" | "options">): RepositoryForm {
  return {
    display_name: written(display_name),
    base_branch: written(options.base_branch),
    workflow_type: written(options.workflow_type),
    model: written(options.model),
    verify_command: written(options.verify_command),
    max_concurrent: written(options.max_concurrent),
    max_cost_usd: written(options.max_cost_usd),
    quota_mb: written(options.quota_mb),
    lfs: options.lfs,
    submodules: options.submodules,
    sparse: options.sparse,
    partial_clone: options.partial_clone,
    push_checkpoints: options.push_checkpoints,
    depth: written(options.depth),
    prepared_checkouts: written(options.prepared_checkouts),
    setup_command: written(options.setup_command),
    setup_inputs: options.setup_inputs.join("\n"),
    cleanup_command: written(options.cleanup_command),
    setup_timeout: written(options.setup_timeout),
    environment: pairs(options.environment),
    files: pairs(options.files),
    trusted: options.trusted,
  };
}

const lines = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

const RANGES: Partial<Record<TextField, { minimum?: number; maximum: number; exclusiveMinimum?: number }>> = {
  max_concurrent: { minimum: 0, maximum: 1_000 },
  max_cost_usd: { exclusiveMinimum: 0, maximum: 10_000 },
  quota_mb: { minimum: 1, maximum: 10_000_000 },
  depth: { minimum: 1, maximum: 1_000_000 },
  prepared_checkouts: { minimum: 0, maximum: 16 },
  setup_timeout: { minimum: 1, maximum: 86_400 },
};

export function formProblems(form: RepositoryForm): FormProblems {
  const found: FormProblems = {};
  const add = (field: FormField, problem: string | null) => {
    if (problem) found[field] = problem;
  };
  add("display_name", form.display_name.length > 100 ? "must be at most 100 characters" : null);
  add("base_branch", form.base_branch ? branchProblem(form.base_branch) : null);
  add("model", form.model ? modelProblem(form.model) : null);
  add("verify_command", commandProblem(form.verify_command, 2_000));
  add("setup_command", commandProblem(form.setup_command, 4_000));
  add("cleanup_command", commandProblem(form.cleanup_command, 4_000));
  for (const [field, range] of Object.entries(RANGES) as [TextField, (typeof RANGES)[TextField] & object][])
    add(field, form[field] ? rangeProblem(form[field], range, field !== "max_cost_usd") : null);
  add("setup_inputs", inputsProblem(lines(form.setup_inputs)));
  add("environment", pairsProblem(form.environment, 100, variableProblem));
  add("files", pairsProblem(form.files, 50, fileProblem));
  return found;
}

function inputsProblem(paths: string[]): string | null {
  if (paths.length > 50) return "must be at most 50 files";
  for (const path of paths) {
    const problem = fileProblem(path, "");
    if (problem) return `"${path}" ${problem}`;
  }
  return null;
}

type Rule = (name: string, value: string) => string | null;

function pairsProblem(all: Pair[], most: number, rule: Rule): string | null {
  if (all.length > most) return `must be at most ${most}`;
  const seen = new Set<string>();
  for (const { name, value } of all) {
    if (name === "") return "has a line without a name: name it or remove it";
    const problem = seen.has(name) ? "is there twice" : rule(name, value);
    if (problem) return `"${name}" ${problem}`;
    seen.add(name);
  }
  return null;
}

const record = (all: Pair[]): Record<string, string> =>
  Object.fromEntries(all.map(({ name, value }) => [name, value] as const));

/** What of a form the server is told, for one field. */
function sent(form: RepositoryForm, field: FormField): unknown {
  if (field === "environment" || field === "files") return record(form[field]);
  if (field === "setup_inputs") return lines(form.setup_inputs);
  const value = form[field];
  if (typeof value === "boolean") return value;
  if (field === "setup_timeout") return value === "" ? DEFAULT_SETUP_TIMEOUT : Number(value);
  if (value === "") return null;
  return field in RANGES ? Number(value) : value;
}

export const isChanged = (field: FormField, before: RepositoryForm, now: RepositoryForm): boolean =>
  JSON.stringify(sent(before, field)) !== JSON.stringify(sent(now, field));

export const changedFields = (before: RepositoryForm, now: RepositoryForm): FormField[] =>
  (Object.keys(LABELS) as FormField[]).filter((field) => isChanged(field, before, now));

/** Only what differs: what is not named stays as others have made it. */
export function changeOf(before: RepositoryForm, now: RepositoryForm): RepositoryChange {
  const change: RepositoryChange = {};
  const options: Record<string, unknown> = {};
  for (const field of changedFields(before, now)) {
    if (field === "display_name") change.display_name = now.display_name || null;
    else options[field] = sent(now, field);
  }
  if (Object.keys(options).length > 0) change.options = options as Partial<RepositoryOptions>;
  return change;
}

/** The form's field of a server's: `options.environment.PATH`, `body.options.depth`. */
export function formField(field: string): FormField | null {
  return field.split(".").find((part): part is FormField => part in LABELS) ?? null;
}

/** What a server says of one entry names the entry. */
export function entryProblem(field: string, problem: string): string {
  const entry = /(?:environment|files|setup_inputs)\.(.+)$/.exec(field)?.[1];
  return entry ? `"${entry}" ${problem}` : problem;
}
