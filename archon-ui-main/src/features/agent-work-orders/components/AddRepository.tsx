import { type FormEvent, useState } from "react";
import { useConfigure } from "../hooks/useRepositories";
import { Button, Dialog, Field, Input, Problem, useDebounced } from "../host";
import { asApiError } from "../services/client";
import type { Repository } from "../types";
import { urlProblem } from "../utils/requestRules";

interface AddRepositoryProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
  known: Repository[];
  onAdded: (repository: Repository) => void;
}

const NAME_PROBLEM = "must be at most 100 characters";
const TYPING = 400;

const plainUrl = (url: string): string => url.toLowerCase().replace(/(\.git)?\/*$/, "");

/** Configures a repository by its address. What is wrong with it is said as soon as the typing rests. */
export function AddRepository({ open, onOpenChange, known, onAdded }: AddRepositoryProps) {
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Add a repository"
      description="It is verified at once: its address, its token and what an order needs."
    >
      <AddForm known={known} onAdded={onAdded} />
    </Dialog>
  );
}

function AddForm({ known, onAdded }: Pick<AddRepositoryProps, "known" | "onAdded">) {
  const [url, setUrl] = useState("");
  const [name, setName] = useState("");
  const [tried, setTried] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);
  const rested = useDebounced(url, TYPING) === url;
  const configure = useConfigure();
  const there = known.some((one) => plainUrl(one.repository_url) === plainUrl(url));
  const wrong = urlProblem(url) ?? (there ? "is configured already; change what is there instead" : null);
  const error = configure.error ? asApiError(configure.error) : null;
  const nameWrong = name.length > 100 ? NAME_PROBLEM : undefined;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (wrong || nameWrong) return;
    try {
      onAdded(await configure.mutateAsync({ url, displayName: name.trim() }));
    } catch (failure) {
      setRefused(asApiError(failure).fields.find((one) => one.field.endsWith("repository_url"))?.problem ?? null);
    }
  };

  return (
    <form noValidate className="flex flex-col gap-4" onSubmit={submit}>
      <Field
        label="Address"
        hint="https://host/owner/name"
        problem={refused ?? ((tried || (rested && url !== "") ? wrong : null) || undefined)}
      >
        {(control) => (
          <Input
            {...control}
            type="url"
            required
            autoComplete="off"
            spellCheck={false}
            placeholder="https://github.com/owner/name"
            value={url}
            onChange={(event) => {
              setUrl(event.target.value.trim());
              setRefused(null);
              if (error) configure.reset();
            }}
          />
        )}
      </Field>
      <Field label="Display name" optional hint="Owner and name when left empty." problem={nameWrong}>
        {(control) => (
          <Input {...control} autoComplete="off" value={name} onChange={(event) => setName(event.target.value)} />
        )}
      </Field>
      {error && !refused && <Problem message={error.message} nextAction={error.nextAction} />}
      <div className="flex justify-end">
        <Button type="submit" variant="primary" busy={configure.isPending ? "Adding…" : undefined}>
          Add and verify
        </Button>
      </div>
    </form>
  );
}
