import { useId, useState } from "react";
import { useTest } from "../hooks/useAwoSettings";
import { asApiError, Button, Card, Checkbox, Field, Input, Problem } from "../host";
import type { SettingsPage, Subject, TestResult } from "../services/awoSettingsService";
import { TestReport } from "./TestReport";

const SUBJECTS: [subject: Subject, title: string, explanation: string][] = [
  ["github", "GitHub", "Whether the saved token is accepted, and what it may do."],
  ["claude", "Claude", "Whether the program runs and has a key that it can use."],
  ["database", "Database", "Whether work orders can be written and read back."],
  ["storage", "Storage", "Whether the server's folders can be written, and how much is free."],
];

/** One button for each thing that work orders lean on; it does the real thing. */
export function ConnectionTests({ page }: { page: SettingsPage }) {
  return (
    <section aria-label="Tests" className="flex flex-col gap-3">
      <h2 className="font-semibold">Tests</h2>
      <div className="grid gap-3 lg:grid-cols-2">
        {SUBJECTS.map(([subject, title, explanation]) => (
          <ConnectionTest
            key={subject}
            subject={subject}
            title={title}
            explanation={explanation}
            last={page.tests[subject]}
          />
        ))}
      </div>
    </section>
  );
}

interface ConnectionTestProps {
  subject: Subject;
  title: string;
  explanation: string;
  last: TestResult | undefined;
}

function ConnectionTest({ subject, title, explanation, last }: ConnectionTestProps) {
  const id = useId();
  const [repository, setRepository] = useState("");
  const [askModel, setAskModel] = useState(false);
  const test = useTest(subject);
  const error = test.error ? asApiError(test.error) : null;
  const run = () =>
    test.mutate({
      ...(subject === "github" && repository.trim() ? { repository_url: repository.trim() } : {}),
      ...(subject === "claude" && askModel ? { ask_model: true } : {}),
    });
  return (
    <Card as="section" aria-label={`Test of ${title}`} className="flex min-w-0 flex-col gap-3">
      <div className="flex items-start justify-between gap-3">
        <div className="min-w-0">
          <h3 className="font-medium">{title}</h3>
          <p className="text-muted text-sm">{explanation}</p>
        </div>
        <Button size="small" onClick={run} busy={test.isPending ? "Testing…" : undefined} aria-label={`Test ${title}`}>
          Test
        </Button>
      </div>
      {subject === "github" && (
        <Field label="Repository" optional hint="Whose rights are tested; only the token itself when left empty.">
          {(control) => (
            <Input
              {...control}
              value={repository}
              autoComplete="off"
              inputMode="url"
              placeholder="https://github.com/owner/name"
              onChange={(event) => setRepository(event.target.value)}
            />
          )}
        </Field>
      )}
      {subject === "claude" && (
        <div className="flex items-center gap-3 text-sm">
          <Checkbox id={id} checked={askModel} onCheckedChange={(on) => setAskModel(on === true)} />
          <label htmlFor={id}>Have the model say one word, which costs a little</label>
        </div>
      )}
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      {last ? <TestReport result={last} /> : <p className="text-muted text-sm">Not tested on this server yet.</p>}
    </Card>
  );
}
