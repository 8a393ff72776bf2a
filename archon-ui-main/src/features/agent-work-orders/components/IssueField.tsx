import { useIssue } from "../hooks/useIssue";
import { Field, Input, safeHref } from "../host";
import { asApiError } from "../services/client";

interface IssueFieldProps {
  value: string;
  /** Null while there is no usable address. */
  repositoryUrl: string | null;
  problem: string | undefined;
  onChange: (text: string) => void;
  onBlur: () => void;
}

/** The issue that the order is about, with its title as a fact: it is never put into the request unasked. */
export function IssueField({ value, repositoryUrl, problem, onChange, onBlur }: IssueFieldProps) {
  const issue = useIssue(problem ? null : repositoryUrl, value);
  const href = safeHref(issue.data?.url);
  return (
    <Field
      label="GitHub issue"
      optional
      hint="Its text is given to the agent, and the pull request closes it."
      problem={problem}
      fact={
        issue.isFetching ? (
          "Looking it up…"
        ) : issue.data && value ? (
          <span className="text-completed">
            ✓ #{issue.data.number}{" "}
            {href ? (
              <a href={href} target="_blank" rel="noreferrer" className="underline">
                {issue.data.title}
              </a>
            ) : (
              issue.data.title
            )}
          </span>
        ) : issue.error && value ? (
          <span className="text-waiting">{asApiError(issue.error).message} It can be filed all the same.</span>
        ) : undefined
      }
    >
      {(control) => (
        <Input
          {...control}
          name="github_issue_number"
          inputMode="numeric"
          autoComplete="off"
          placeholder="#42"
          className="max-w-60"
          value={value}
          onChange={(event) => onChange(event.target.value)}
          onBlur={onBlur}
        />
      )}
    </Field>
  );
}
