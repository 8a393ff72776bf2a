/** How the service is. */
import type { Health } from "../types";
import { ApiError, call } from "./client";

export const statusService = {
  /** A service that cannot work answers 503 and says why: that is an answer too. */
  health: async (signal?: AbortSignal): Promise<Health> => {
    try {
      return await call<Health>("/health", { signal });
    } catch (error) {
      if (error instanceof ApiError && error.status === 503 && isHealth(error.body)) return error.body;
      throw error;
    }
  },
};

const isHealth = (body: unknown): body is Health =>
  typeof body === "object" && body !== null && Array.isArray((body as Partial<Health>).checks);
