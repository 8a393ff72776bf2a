import { useEffect, useRef, useState } from "react";
import { useNewerSettings } from "../hooks/useAwoSettings";
import { type ApiError, asApiError, Button, Dialog, Field, Input, Problem, useToast } from "../host";
import {
  awoSettingsService,
  type Offer,
  repositoryUrlOf,
  type Secret,
  type TestResult,
} from "../services/awoSettingsService";
import { TestReport } from "./TestReport";

interface ReplaceSecretProps {
  secret: Secret;
  title: string;
  open: boolean;
  onClose: () => void;
}

/** Takes a new secret: paste, test, save. */
export function ReplaceSecret({ secret, title, open, onClose }: ReplaceSecretProps) {
  return (
    <Dialog
      open={open}
      onOpenChange={(next) => next || onClose()}
      title={`${secret.is_set ? "Replace" : "Set"} the ${title}`}
      description="It is encrypted where it is kept, used from the next call on, and never shown again."
    >
      <SecretForm secret={secret} title={title} onClose={onClose} />
    </Dialog>
  );
}

interface SecretFormProps extends Omit<ReplaceSecretProps, "open"> {
  /** Whether it is known what the secret is for. */
  ready?: boolean;
  /** Whether the field takes the focus at once. */
  focus?: boolean;
}

/** The value lives in the input alone, never in the page's state: it goes with the dialog, and when the page is hidden. */
export function SecretForm({ secret, title, onClose, ready = true, focus = true }: SecretFormProps) {
  const input = useRef<HTMLInputElement>(null);
  const [filled, setFilled] = useState(false);
  const [doing, setDoing] = useState<"test" | "save" | null>(null);
  const [tested, setTested] = useState<TestResult | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const newer = useNewerSettings();
  const { showToast } = useToast();

  useEffect(() => {
    const forget = () => {
      if (!document.hidden || !input.current) return;
      input.current.value = "";
      setFilled(false);
    };
    document.addEventListener("visibilitychange", forget);
    return () => document.removeEventListener("visibilitychange", forget);
  }, []);

  const attempt = async (what: "test" | "save", act: (value: string) => Promise<void>) => {
    const value = input.current?.value.trim();
    if (!value || doing || !ready) return;
    setDoing(what);
    setError(null);
    setTested(null);
    try {
      await act(value);
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setDoing(null);
    }
  };
  const test = () =>
    attempt("test", async (value) => {
      const url = repositoryUrlOf(secret);
      const offer: Offer = { [secret.name]: value, ...(url ? { repository_url: url } : {}) };
      setTested(await awoSettingsService.test(secret.name === "github_token" ? "github" : "claude", offer));
    });
  const save = () =>
    attempt("save", async (value) => {
      await awoSettingsService.saveSecret(secret, value);
      newer(null);
      showToast(`${title} is saved.`, "success");
      onClose();
    });

  return (
    <form
      className="flex flex-col gap-4"
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
    >
      <Field
        label={title}
        hint="What is pasted here is forgotten when this closes or the page is hidden."
        problem={error?.fields.find((field) => field.field === "value")?.problem}
      >
        {(control) => (
          <Input
            {...control}
            ref={input}
            type="password"
            autoComplete="off"
            spellCheck={false}
            autoFocus={focus}
            onChange={(event) => {
              setFilled(event.target.value.trim() !== "");
              setTested(null);
            }}
          />
        )}
      </Field>
      {tested && <TestReport result={tested} />}
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      <div className="flex flex-wrap justify-end gap-2">
        <Button
          disabled={!ready || !filled || doing !== null}
          busy={doing === "test" ? "Testing…" : undefined}
          onClick={test}
        >
          Test it
        </Button>
        <Button
          type="submit"
          variant="primary"
          disabled={!ready || !filled || doing !== null}
          busy={doing === "save" ? "Saving…" : undefined}
        >
          Save it
        </Button>
      </div>
    </form>
  );
}
