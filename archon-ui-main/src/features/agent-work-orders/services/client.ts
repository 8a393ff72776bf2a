/** HTTP to `/api/awo`: JSON in and out, and errors as the server means them. Knows no React and no route. */

export const API = "/api/awo";

export interface FieldProblem {
  field: string;
  problem: string;
}

/** What went wrong, in the server's words where it had any. `status` 0: it could not be reached. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly nextAction: string;
  readonly fields: FieldProblem[];
  readonly retryAfter: number | null;
  /** The rest of the body: a 409 carries what is newer. */
  readonly body: unknown;

  constructor(told: {
    message: string;
    status: number;
    code: string;
    nextAction: string;
    fields?: FieldProblem[];
    retryAfter?: number | null;
    body?: unknown;
  }) {
    super(told.message);
    this.name = "ApiError";
    this.status = told.status;
    this.code = told.code;
    this.nextAction = told.nextAction;
    this.fields = told.fields ?? [];
    this.retryAfter = told.retryAfter ?? null;
    this.body = told.body;
  }
}

export interface CallOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  query?: Record<string, string | number | boolean | readonly string[] | null | undefined>;
  signal?: AbortSignal | undefined;
}

/** The decoded answer. Raises ApiError for everything that is no success; an abort stays an abort. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  return decode<T>(await send(path, options));
}

/** The response itself, for headers and for bodies that are no JSON. Raises like `call`. */
export async function send(path: string, options: CallOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json", ...options.headers };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  const name = userName();
  if (name) headers["X-Archon-User"] = name;
  let response: Response;
  try {
    response = await fetch(`${API}${path}${queryString(options.query)}`, {
      method: options.method ?? "GET",
      headers,
      credentials: "same-origin",
      ...(options.body !== undefined ? { body: JSON.stringify(options.body) } : {}),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError({
      message: "The server cannot be reached.",
      status: 0,
      code: "unreachable",
      nextAction: "Check that the server runs and that this machine can reach it; then try again.",
    });
  }
  if (!response.ok) {
    const error = await errorOf(response);
    if (response.status === 401) for (const tell of listeners) tell();
    throw error;
  }
  return response;
}

async function decode<T>(response: Response): Promise<T> {
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

/** The error that a response tells, or what can be said of one that tells none. */
export async function errorOf(response: Response): Promise<ApiError> {
  let body: unknown;
  try {
    body = await response.json();
  } catch {
    body = undefined;
  }
  const detail = isRecord(body) ? body.detail : undefined;
  const told = isRecord(detail) ? detail : {};
  const retryAfter = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  return new ApiError({
    status: response.status,
    message: text(told.error) ?? text(detail) ?? `The server answered ${response.status}.`,
    code: text(told.code) ?? "unknown",
    nextAction: text(told.next_action) ?? "Try again; if it stays, look at the server's log.",
    fields: Array.isArray(told.fields) ? told.fields.filter(isFieldProblem) : [],
    retryAfter: Number.isFinite(retryAfter) ? retryAfter : null,
    body,
  });
}

/** An ApiError for whatever was thrown. */
export function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError({
    message: "Something went wrong on this page.",
    status: -1,
    code: "page",
    nextAction: "Reload the page.",
    body: error,
  });
}

const USER = "archon-user";

/** Who is at the screen, as that person says; the server takes it on trust, for its records. Empty: nobody said. */
export function userName(): string {
  try {
    return localStorage.getItem(USER) ?? "";
  } catch {
    return "";
  }
}

/** Letters of plain ASCII, digits and `.@+-_`: what a header and the server's records carry. */
export const isUserName = (name: string): boolean => /^[\w .@+-]{0,80}$/.test(name);

export function setUserName(name: string): void {
  try {
    localStorage.setItem(USER, name.trim());
  } catch {
    // Without storage the records say "somebody".
  }
}

const listeners = new Set<() => void>();

/** Tells when the server asks who this is (401). */
export function onSignInNeeded(tell: () => void): () => void {
  listeners.add(tell);
  return () => listeners.delete(tell);
}

export function queryString(query: CallOptions["query"]): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined || value === "") continue;
    if (Array.isArray(value)) for (const one of value) params.append(name, one);
    else params.set(name, String(value));
  }
  const shown = params.toString();
  return shown ? `?${shown}` : "";
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const text = (value: unknown): string | undefined => (typeof value === "string" && value ? value : undefined);
const isFieldProblem = (value: unknown): value is FieldProblem =>
  isRecord(value) && typeof value.field === "string" && typeof value.problem === "string";
