import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import {
  awoSettingsService,
  type Changes,
  type Offer,
  type SettingsPage,
  type Subject,
} from "../services/awoSettingsService";

export const settingsKeys = {
  page: ["awo-settings"] as const,
  audit: ["awo-settings-audit"] as const,
};

const AUDIT_PAGE = 50;

export function useAwoSettings() {
  return useQuery({ queryKey: settingsKeys.page, queryFn: ({ signal }) => awoSettingsService.read(signal) });
}

/** Makes a page that the server just told the one that is shown, and the audit be read anew. */
export function useNewerSettings() {
  const client = useQueryClient();
  return (page: SettingsPage | null) => {
    if (page) client.setQueryData(settingsKeys.page, page);
    else void client.invalidateQueries({ queryKey: settingsKeys.page });
    void client.invalidateQueries({ queryKey: settingsKeys.audit });
  };
}

/** Plain settings only: what a mutation was given stays in memory for a while, so no secret goes this way. */
export function useSaveSettings() {
  const newer = useNewerSettings();
  return useMutation({
    mutationFn: ({ changes, version }: { changes: Changes; version: string }) =>
      awoSettingsService.save(changes, version),
    onSuccess: newer,
  });
}

/** Tests what is saved; the result takes the place of the last one. */
export function useTest(subject: Subject) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (offer: Pick<Offer, "repository_url" | "ask_model">) => awoSettingsService.test(subject, offer),
    onSuccess: (result) =>
      client.setQueryData<SettingsPage>(
        settingsKeys.page,
        (page) => page && { ...page, tests: { ...page.tests, [subject]: result } },
      ),
  });
}

export function useAudit() {
  return useInfiniteQuery({
    queryKey: settingsKeys.audit,
    initialPageParam: null as number | null,
    queryFn: ({ pageParam, signal }) => awoSettingsService.audit(pageParam, AUDIT_PAGE, signal),
    getNextPageParam: (last) => last.next_before,
  });
}

export function useCleanUp() {
  return useMutation({ mutationFn: (dryRun: boolean) => awoSettingsService.cleanUp(dryRun) });
}
