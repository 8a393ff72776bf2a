/** Settings as a form has them: texts, their groups, and what the server's bounds say of them. Knows no setting's rules itself. */
import type { Changes, Setting } from "../services/awoSettingsService";

/** What was typed, by setting; null gives the setting back to the other sources. */
export type Edits = Record<string, string | null>;

export const GROUPS = [
  { id: "claude", title: "Claude", names: /^(claude_|anthropic_|allowed_programs)/ },
  { id: "limits", title: "Limits", names: /^(max_|step_timeout|stall_timeout)/ },
  { id: "retention", title: "Retention and disk", names: /^(retention_|disk_|order_quota|prepared_)/ },
  { id: "storage", title: "Storage", names: /^(home$|archive_|.*_dir$)/ },
  {
    id: "network",
    title: "Hosts and network",
    names: /^(host$|api_token$|github_api_url|agent_mcp_url|insecure_|allowed_(hosts|origins|repository_hosts))/,
  },
  { id: "advanced", title: "Advanced", names: /^/ },
] as const;

export type GroupId = (typeof GROUPS)[number]["id"];

/** The first group that wants it; what none of them knows is advanced. */
export const groupOf = (name: string): GroupId => GROUPS.find((group) => group.names.test(name))?.id ?? "advanced";

const CAPITALS = new Set(["api", "cli", "gb", "mb", "mcp", "s3", "url", "usd"]);

/** "max_cost_usd" as "Max cost USD". */
export function labelOf(name: string): string {
  const words = name
    .split("_")
    .map((word) => (CAPITALS.has(word) ? word.toUpperCase() : word.replace("github", "GitHub")));
  const label = words.join(" ");
  return label.charAt(0).toUpperCase() + label.slice(1);
}

export const editable = (setting: Setting): boolean => !setting.locked && setting.over_http && !setting.secret;

/** A value as it stands in a field; empty for none. */
export function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  return Array.isArray(value) ? value.join(", ") : String(value);
}

/** A value as a sentence has it. */
export const shownValue = (value: unknown): string => {
  if (value === true) return "yes";
  if (value === false) return "no";
  return textOf(value) || "not set";
};

/** "1 to 200 seconds", "more than 0, at most 10 GB", "at least 0", or empty. */
export function boundsOf({ minimum, above, maximum, max_length, unit }: Setting): string {
  const least = minimum ?? null;
  const under = above ?? null;
  const most = maximum ?? null;
  const told = unit ? ` ${unit}` : "";
  if (least !== null && most !== null) return `${number(least)} to ${number(most)}${told}`;
  if (under !== null && most !== null) return `more than ${number(under)}, at most ${number(most)}${told}`;
  if (under !== null) return `more than ${number(under)}${told}`;
  if (least !== null) return `at least ${number(least)}${told}`;
  if (most !== null) return `at most ${number(most)}${told}`;
  if (max_length) return `at most ${number(max_length)} characters`;
  return unit;
}

/** What the server would say of the text, as far as the bounds it gave can tell; reads on after the field's name. */
export function problemOf(setting: Setting, text: string | null): string | undefined {
  if (text === null) return undefined;
  const trimmed = text.trim();
  if (trimmed === "") return emptyProblem(setting);
  if (setting.choices && !setting.choices.includes(trimmed)) return `must be one of ${setting.choices.join(", ")}`;
  if (setting.max_length && trimmed.length > setting.max_length)
    return `must have at most ${number(setting.max_length)} characters`;
  if (setting.kind === "integer" && !/^[+-]?\d+$/.test(trimmed)) return "must be a whole number";
  if (setting.kind !== "integer" && setting.kind !== "number") return undefined;
  const value = Number(trimmed);
  if (!Number.isFinite(value)) return "must be a number";
  if (typeof setting.minimum === "number" && value < setting.minimum)
    return `must be at least ${number(setting.minimum)}`;
  if (typeof setting.above === "number" && value <= setting.above) return `must be more than ${number(setting.above)}`;
  if (typeof setting.maximum === "number" && value > setting.maximum)
    return `must be at most ${number(setting.maximum)}`;
  return undefined;
}

function emptyProblem(setting: Setting): string | undefined {
  if (setting.source === "file") return `has its value from ${setting.origin}; here it can only have another one`;
  if (setting.default === null) return undefined;
  return "must have a value; Reset gives it back its default";
}

/** The text as the value that the server wants. For texts without a problem. */
export function settingValue(setting: Setting, text: string | null): unknown {
  const trimmed = text?.trim() ?? "";
  if (trimmed === "") return null;
  if (setting.kind === "boolean") return trimmed === "true";
  if (setting.kind === "integer" || setting.kind === "number") return Number(trimmed);
  if (setting.kind === "list") {
    const parts = trimmed.split(",").map((part) => part.trim());
    return parts.filter(Boolean);
  }
  return trimmed;
}

/** Whether an edit would change what is there now. */
export function changes(setting: Setting, text: string | null): boolean {
  if (!editable(setting)) return false;
  if (text === null) return setting.source === "database";
  return text.trim() !== textOf(setting.value);
}

/** The edits that would change something, with their settings, in the server's order. */
export const pending = (settings: Setting[], edits: Edits): Setting[] =>
  settings.filter((setting) => {
    const edit = edits[setting.name];
    return edit !== undefined && changes(setting, edit);
  });

export const changesOf = (settings: Setting[], edits: Edits): Changes =>
  Object.fromEntries(pending(settings, edits).map((one) => [one.name, settingValue(one, edits[one.name] ?? null)]));

const number = (value: number): string => value.toLocaleString("en", { maximumFractionDigits: 6 });
