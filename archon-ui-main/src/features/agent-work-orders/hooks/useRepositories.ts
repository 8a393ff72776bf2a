import {
  type InfiniteData,
  type QueryClient,
  useInfiniteQuery,
  useMutation,
  useQueryClient,
} from "@tanstack/react-query";
import { type RepositoryChange, repositoryService } from "../services/repositoryService";
import type { Repository, RepositoryPage } from "../types";
import { workOrderKeys } from "./keys";

type Pages = InfiniteData<RepositoryPage, string | null>;

/** The configured repositories, by key, page by page. */
export function useRepositories() {
  return useInfiniteQuery({
    queryKey: workOrderKeys.repositories,
    initialPageParam: null as string | null,
    queryFn: ({ pageParam, signal }) => repositoryService.list(pageParam, signal),
    getNextPageParam: (last) => last.next_cursor,
  });
}

/** Configures one; trying it is `useVerify`. */
export function useConfigure() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ url, displayName }: { url: string; displayName: string }) =>
      repositoryService.configure(url, displayName),
    onSuccess: () => listChanged(client),
  });
}

/** Tries whether one can be used, and keeps what came of it. */
export function useVerify() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => repositoryService.verify(id),
    onSuccess: (now) => replace(client, now),
  });
}

export function useChange(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ version, change }: { version: number; change: RepositoryChange }) =>
      repositoryService.change(id, version, change),
    onSuccess: (now) => replace(client, now),
  });
}

/** What is there now, for whoever edits what somebody else has changed. */
export function useReadAgain(id: string) {
  const client = useQueryClient();
  return async (): Promise<Repository> => {
    const now = await repositoryService.read(id);
    replace(client, now);
    return now;
  };
}

export function useForget(id: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (version: number) => repositoryService.forget(id, version),
    onSettled: () => listChanged(client),
  });
}

function replace(client: QueryClient, now: Repository) {
  client.setQueryData<Pages>(
    workOrderKeys.repositories,
    (data) =>
      data && {
        ...data,
        pages: data.pages.map((page) => ({
          ...page,
          repositories: page.repositories.map((one) => (one.repository_id === now.repository_id ? now : one)),
        })),
      },
  );
}

async function listChanged(client: QueryClient) {
  void client.invalidateQueries({ queryKey: ["awo-known-repositories"] });
  await client.invalidateQueries({ queryKey: workOrderKeys.repositories });
}
