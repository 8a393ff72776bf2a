/** The routes of configured repositories, one function each. */
import type { Repository, RepositoryOptions, RepositoryPage } from "../types";
import { call } from "./client";

/** What is to be different; what is not named stays, and null gives an option its default. */
export interface RepositoryChange {
  display_name?: string | null;
  options?: Partial<RepositoryOptions>;
}

const at = (id: string) => `/repositories/${encodeURIComponent(id)}`;
const asRead = (version: number) => ({ "If-Match": `"${version}"` });

export const repositoryService = {
  list: (cursor: string | null, signal?: AbortSignal) =>
    call<RepositoryPage>("/repositories", { query: { limit: 100, cursor }, signal }),
  read: (id: string) => call<Repository>(at(id)),
  configure: (url: string, displayName: string) =>
    call<Repository>("/repositories", {
      method: "POST",
      body: { repository_url: url, ...(displayName ? { display_name: displayName } : {}) },
    }),
  /** 409 when somebody changed it since `version` was read. */
  change: (id: string, version: number, change: RepositoryChange) =>
    call<Repository>(at(id), { method: "PATCH", body: change, headers: asRead(version) }),
  /** Does the real thing; what is found to be wrong is an answer too. */
  verify: (id: string) => call<Repository>(`${at(id)}/verify`, { method: "POST" }),
  forget: (id: string, version: number) => call<void>(at(id), { method: "DELETE", headers: asRead(version) }),
};
