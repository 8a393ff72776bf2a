import { QueryClient } from "@tanstack/react-query";

/** What is known of an answer's error without knowing whose it is. */
const statusOf = (error: unknown): number => (error as { status?: number }).status ?? 0;

export const makeQueryClient = () =>
  new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        gcTime: 600_000,
        refetchOnWindowFocus: false,
        // What the server refused it will refuse again; what did not arrive may arrive.
        retry: (failures, error) => failures < 2 && !(statusOf(error) >= 400 && statusOf(error) < 500),
        retryDelay: (failures) => Math.min(500 * 2 ** failures, 5_000),
      },
    },
  });
