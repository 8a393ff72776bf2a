import { type FormEvent, useEffect, useRef, useState } from "react";
import { useChange, useReadAgain } from "../hooks/useRepositories";
import { Button, Card, Problem, plural, useToast } from "../host";
import { type ApiError, asApiError } from "../services/client";
import type { Repository } from "../types";
import {
  changedFields,
  changeOf,
  entryProblem,
  type FormField,
  type FormProblems,
  formField,
  formOf,
  formProblems,
  isChanged,
  LABELS,
  type RepositoryForm,
} from "../utils/repositoryForm";
import { RepositoryOptionFields } from "./RepositoryOptionFields";

interface RepositoryOptionsFormProps {
  repository: Repository;
  onDone: () => void;
}

/**
 * Edits a repository's options. Kept is only what was edited, over what was read; when somebody else saves first, the
 * edits move onto what is there now, and the person decides again.
 */
export function RepositoryOptionsForm({ repository, onDone }: RepositoryOptionsFormProps) {
  const [read, setRead] = useState(repository);
  const [edits, setEdits] = useState<Partial<RepositoryForm>>({});
  const [touched, setTouched] = useState<ReadonlySet<FormField>>(new Set());
  const [refused, setRefused] = useState<FormProblems>({});
  const [error, setError] = useState<ApiError | null>(null);
  const [newer, setNewer] = useState<FormField[] | null>(null);
  const change = useChange(repository.repository_id);
  const readAgain = useReadAgain(repository.repository_id);
  const form = useRef<HTMLFormElement>(null);
  const { showToast } = useToast();

  useEffect(() => form.current?.querySelector("input")?.focus(), []);

  const before = formOf(read);
  const now: RepositoryForm = { ...before, ...edits };
  const changed = changedFields(before, now);
  const wrong = formProblems(now);
  const shown: FormProblems = { ...refused };
  for (const field of touched) if (wrong[field]) shown[field] ??= wrong[field];

  const touch = (...fields: FormField[]) => setTouched((known) => new Set([...known, ...fields]));
  const set = (part: Partial<RepositoryForm>) => {
    setEdits((known) => ({ ...known, ...part }));
    setRefused((known) => Object.fromEntries(Object.entries(known).filter(([field]) => !(field in part))));
  };
  const focusFirst = (fields: string[]) =>
    requestAnimationFrame(() => {
      const all = [...(form.current?.querySelectorAll<HTMLElement>("[name]") ?? [])];
      const first = all.find((one) => fields.includes(one.getAttribute("name") ?? ""));
      for (let at = first?.parentElement; at; at = at.parentElement)
        if (at instanceof HTMLDetailsElement) at.open = true;
      first?.focus();
    });

  /** Somebody saved first: what they changed is shown, what was edited here stays. */
  const takeUp = async () => {
    const there = await readAgain();
    const theirs = changedFields(before, formOf(there));
    setEdits((known) =>
      Object.fromEntries(Object.entries(known).filter(([field]) => isChanged(field as FormField, before, now))),
    );
    setRead(there);
    setNewer(theirs);
  };

  const save = async (event: FormEvent) => {
    event.preventDefault();
    const fields = changed.filter((field) => wrong[field]);
    if (fields.length > 0) {
      touch(...fields);
      focusFirst(fields);
      return;
    }
    setError(null);
    setNewer(null);
    try {
      await change.mutateAsync({ version: read.version, change: changeOf(before, now) });
      showToast("Saved. It holds for the next order.", "success");
      onDone();
    } catch (failure) {
      const told = asApiError(failure);
      if (told.status === 409) {
        await takeUp().catch((another) => setError(asApiError(another)));
        return;
      }
      const problems: FormProblems = {};
      for (const { field, problem } of told.fields) {
        const name = formField(field);
        if (name) problems[name] ??= entryProblem(field, problem);
      }
      setRefused(problems);
      setError(told);
      focusFirst(Object.keys(problems));
    }
  };

  return (
    <form
      ref={form}
      noValidate
      aria-label={`Options of ${repository.owner}/${repository.name}`}
      className="flex flex-col gap-4"
      onSubmit={save}
    >
      <RepositoryOptionFields form={now} problems={shown} set={set} touch={touch} />
      {newer && <Newer repository={read} theirs={newer} mine={changed} />}
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      <div className="flex flex-wrap items-center justify-end gap-2">
        <span role="status" className="flex-1 text-muted text-xs">
          {changed.length > 0 && plural(changed.length, "unsaved change")}
        </span>
        <Button onClick={onDone}>{changed.length > 0 ? "Discard" : "Close"}</Button>
        <Button
          type="submit"
          variant="primary"
          disabled={changed.length === 0}
          busy={change.isPending ? "Saving…" : undefined}
        >
          Save options
        </Button>
      </div>
    </form>
  );
}

function Newer({ repository, theirs, mine }: { repository: Repository; theirs: FormField[]; mine: FormField[] }) {
  const names = (fields: FormField[]) => fields.map((field) => LABELS[field]).join(", ");
  const both = theirs.filter((field) => mine.includes(field));
  return (
    <Card edge="waiting" role="alert" className="flex flex-col gap-1">
      <p className="font-medium">
        {repository.changed_by ?? "Somebody"} saved this repository first, so nothing of yours is saved yet.
      </p>
      {theirs.length > 0 && <p>Changed there: {names(theirs)}.</p>}
      {both.length > 0 && <p>Yours would replace theirs: {names(both)}.</p>}
      <p className="text-muted">Your edits are kept, on top of what is there now. Look at them, then save again.</p>
    </Card>
  );
}
