/** The routes of settings, secrets, tests and clean-up, one function each. Keeps nothing, least of all a secret. */
import { call, type components } from "../host";

type Schemas = components["schemas"];
export type SettingsPage = Schemas["SettingsPage"];
export type Setting = Schemas["SettingView"];
export type Secret = Schemas["SecretView"];
export type Finding = Schemas["Finding"];
export type TestResult = Schemas["TestResult"];
export type Subject = TestResult["subject"];
export type Offer = Partial<Schemas["Offer"]>;
export type AuditEntry = Schemas["AuditEntry"];
export type AuditPage = Schemas["AuditPage"];
export type CleanupReport = Schemas["CleanupReport"];
/** New values by setting; null puts one back to what the other sources say. */
export type Changes = Record<string, unknown>;

const secretAt = (secret: Secret) => `/settings/secrets/${encodeURIComponent(secret.name)}`;

/** The address of the repository that a secret is for, or null when it is for all. */
export const repositoryUrlOf = (secret: Secret): string | null =>
  secret.repository ? `https://${secret.repository}` : null;

export const awoSettingsService = {
  read: (signal?: AbortSignal) => call<SettingsPage>("/settings", { signal }),
  /** All or nothing, and only if nobody changed anything since `version`; else 409 with `current` in its body. */
  save: (changes: Changes, version: string) =>
    call<SettingsPage>("/settings", { method: "PATCH", body: changes, headers: { "If-Match": `"${version}"` } }),
  saveSecret: (secret: Secret, value: string) =>
    call<Secret>(secretAt(secret), {
      method: "PUT",
      body: { value },
      query: { repository_url: repositoryUrlOf(secret) },
    }),
  removeSecret: (secret: Secret) =>
    call<Secret>(secretAt(secret), { method: "DELETE", query: { repository_url: repositoryUrlOf(secret) } }),
  /** With what is saved, or with what is offered; nothing of an offer is kept. */
  test: (subject: Subject, offer: Offer = {}) =>
    call<TestResult>(`/settings/test/${subject}`, { method: "POST", body: offer }),
  audit: (before: number | null, limit: number, signal?: AbortSignal) =>
    call<AuditPage>("/settings/audit", { query: { before, limit }, signal }),
  cleanUp: (dryRun: boolean) => call<CleanupReport>("/cleanup", { method: "POST", query: { dry_run: dryRun } }),
};
