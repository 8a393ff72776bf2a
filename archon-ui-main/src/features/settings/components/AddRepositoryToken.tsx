import { Plus } from "lucide-react";
import { useState } from "react";
import { Button, Dialog, Field, Input, urlProblem } from "../host";
import type { Secret } from "../services/awoSettingsService";
import { SecretForm } from "./ReplaceSecret";

/** A GitHub token that is for one repository alone and comes before the general one. */
export function AddRepositoryToken({ general, known }: { general: Secret; known: Secret[] }) {
  const [open, setOpen] = useState(false);
  return (
    <div>
      <Button size="small" onClick={() => setOpen(true)}>
        <Plus size={14} aria-hidden />
        Add a token for one repository…
      </Button>
      <Dialog
        open={open}
        onOpenChange={setOpen}
        title="Add a token for one repository"
        description="Orders of this repository use it in place of the general one. It is encrypted where it is kept, and never shown again."
      >
        <Form general={general} known={known} onClose={() => setOpen(false)} />
      </Dialog>
    </div>
  );
}

function Form({ general, known, onClose }: { general: Secret; known: Secret[]; onClose: () => void }) {
  const [url, setUrl] = useState("");
  const [left, setLeft] = useState(false);
  const repository = keyOf(url);
  const there = known.some((secret) => secret.repository?.toLowerCase() === repository.toLowerCase());
  const wrong = urlProblem(url) ?? (there ? "has a token of its own already; replace that one" : null);
  const secret: Secret = { ...general, repository, is_set: false, locked: false };
  return (
    <>
      <Field label="Repository" hint="https://host/owner/name" problem={(left && wrong) || undefined}>
        {(control) => (
          <Input
            {...control}
            autoFocus
            type="url"
            autoComplete="off"
            spellCheck={false}
            placeholder="https://github.com/owner/name"
            value={url}
            onChange={(event) => setUrl(event.target.value.trim())}
            onBlur={() => setLeft(url !== "")}
          />
        )}
      </Field>
      <SecretForm secret={secret} title="GitHub token" ready={wrong === null} focus={false} onClose={onClose} />
    </>
  );
}

/** "https://github.com/owner/name.git" as the server names it: "github.com/owner/name". */
const keyOf = (url: string): string => url.replace(/^https?:\/\//i, "").replace(/(\.git)?\/*$/, "");
