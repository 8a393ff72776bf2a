import { useId } from "react";
import { useKnownRepositories } from "../hooks/useKnownRepositories";
import { Field, Input } from "../host";

interface RepositoryFieldProps {
  value: string;
  problem: string | undefined;
  onChange: (url: string) => void;
  onBlur: () => void;
}

/** A repository's address: one that is known here, or any other. */
export function RepositoryField({ value, problem, onChange, onBlur }: RepositoryFieldProps) {
  const { data } = useKnownRepositories();
  const list = useId();
  const known = data?.urls.some((url) => url.toLowerCase() === value.toLowerCase().replace(/(\.git)?\/*$/, ""));
  return (
    <Field
      label="Repository"
      hint="https://host/owner/name; those that are known here are offered as you type."
      problem={problem}
      fact={!problem && known ? <span className="text-completed">✓ Known here.</span> : undefined}
    >
      {(control) => (
        <>
          <Input
            {...control}
            name="repository_url"
            type="url"
            required
            list={list}
            autoComplete="off"
            spellCheck={false}
            placeholder="https://github.com/owner/name"
            value={value}
            onChange={(event) => onChange(event.target.value)}
            onBlur={onBlur}
          />
          <datalist id={list}>
            {data?.urls.map((url) => (
              <option key={url} value={url} />
            ))}
            {data?.rehearsal && <option value={data.rehearsal.repository_url}>The sample repository</option>}
          </datalist>
        </>
      )}
    </Field>
  );
}
