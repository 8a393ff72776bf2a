import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router-dom";
import type { ListFilter } from "../services/workOrderService";
import { STATUSES, type Status } from "../types";

/** The list's filter as the address says it, so that a link carries it. */
export function useListFilter(): [ListFilter, (change: Partial<ListFilter>) => void] {
  const [params, setParams] = useSearchParams();
  const filter = useMemo<ListFilter>(
    () => ({
      status: params.getAll("status").filter((word): word is Status => (STATUSES as readonly string[]).includes(word)),
      repositoryUrl: params.get("repository") ?? "",
      q: params.get("q") ?? "",
      archived: params.has("archived"),
    }),
    [params],
  );
  const change = useCallback(
    (part: Partial<ListFilter>) => {
      setParams(
        (before) => {
          const next = new URLSearchParams(before);
          if (part.status) {
            next.delete("status");
            for (const status of part.status) next.append("status", status);
          }
          for (const [name, value] of [
            ["repository", part.repositoryUrl],
            ["q", part.q],
            ["archived", part.archived === undefined ? undefined : part.archived ? "1" : ""],
          ] as const) {
            if (value === undefined) continue;
            if (value) next.set(name, value);
            else next.delete(name);
          }
          return next;
        },
        { replace: true },
      );
    },
    [setParams],
  );
  return [filter, change];
}

export const isFiltered = (filter: ListFilter): boolean =>
  filter.status.length > 0 || filter.repositoryUrl !== "" || filter.q !== "" || filter.archived;
