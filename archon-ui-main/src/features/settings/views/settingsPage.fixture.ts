/** What a server says of its settings, for tests. */
import type { Secret, Setting, SettingsPage } from "../services/awoSettingsService";

/** A whole number from 1 to 200 unless told otherwise. */
export const setting = (name: string, more: Partial<Setting> = {}): Setting => ({
  name,
  env: `AWO_${name.toUpperCase()}`,
  kind: "integer",
  value: 5,
  default: 5,
  is_set: false,
  source: "default",
  origin: "",
  locked: false,
  over_http: true,
  live: true,
  waits_for_restart: false,
  secret: false,
  unit: "",
  description: `What ${name} is for.`,
  minimum: 1,
  maximum: 200,
  max_length: null,
  choices: null,
  problem: null,
  ...more,
});

export const secret = (name: string, more: Partial<Secret> = {}): Secret => ({
  name,
  env: name.toUpperCase(),
  repository: null,
  is_set: false,
  last_four: null,
  source: null,
  locked: false,
  set_by: null,
  set_at: null,
  problem: null,
  ...more,
});

export const TEXT = { kind: "text", minimum: null, maximum: null, value: null, default: null } as const;

/** Every sort of setting and secret; `more` is about `max_concurrent`. */
export const page = (version: string, more: Partial<Setting> = {}): SettingsPage => ({
  version,
  settings: [
    setting("max_concurrent", { source: "database", is_set: true, ...more }),
    setting("step_timeout", {
      unit: "seconds",
      locked: true,
      source: "environment",
      origin: "AGENT_TIMEOUT",
      value: 60,
    }),
    setting("github_api_url", { ...TEXT, over_http: false, source: "file", origin: "agent-settings.yaml:3" }),
    setting("work_order_dir", { ...TEXT, live: false, waits_for_restart: true }),
    setting("api_token", { ...TEXT, secret: true, over_http: false, is_set: true }),
    setting("push_checkpoints", { ...TEXT, kind: "boolean" }),
    setting("something_new", { kind: "boolean", value: false, default: false, minimum: null, maximum: null }),
  ],
  secrets: [
    secret("github_token", {
      is_set: true,
      last_four: "a1b2",
      source: "database",
      set_by: "Ana (no token, 127.0.0.1)",
      set_at: "2030-01-01T12:00:00Z",
    }),
    secret("anthropic_api_key", { is_set: true, locked: true, source: "environment" }),
    secret("claude_code_oauth_token"),
  ],
  conflicts: [],
  problems: [],
  tests: {},
});
