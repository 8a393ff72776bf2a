import { useQuery } from "@tanstack/react-query";
import { useDebounced } from "../host";
import { call } from "../services/client";
import { issueNumber } from "../utils/requestRules";

interface Issue {
  number: number;
  title: string;
  url: string;
}

/** An issue's title, asked for when one has stopped typing; idle without a repository or a number. */
export function useIssue(repositoryUrl: string | null, text: string) {
  const number = useDebounced(issueNumber(text), 400);
  const url = useDebounced(repositoryUrl, 400);
  return useQuery({
    queryKey: ["awo-issue", url, number],
    queryFn: ({ signal }) => call<Issue>("/issues", { query: { repository_url: url, number }, signal }),
    enabled: url !== null && url !== "" && number !== null,
    staleTime: 60_000,
    retry: false,
  });
}
