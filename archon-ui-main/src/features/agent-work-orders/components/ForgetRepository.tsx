import { useState } from "react";
import { useForget } from "../hooks/useRepositories";
import { Button, Confirm, Problem, useToast } from "../host";
import { asApiError } from "../services/client";
import type { Repository } from "../types";

/** Forgets what is configured, after asking; orders are not touched. */
export function ForgetRepository({ repository }: { repository: Repository }) {
  const [asking, setAsking] = useState(false);
  const forget = useForget(repository.repository_id);
  const { showToast } = useToast();
  const name = `${repository.owner}/${repository.name}`;
  const error = forget.error ? asApiError(forget.error) : null;

  const confirmed = async () => {
    try {
      await forget.mutateAsync(repository.version);
      setAsking(false);
      showToast(`${name} is no longer configured. Its orders stay.`, "success");
    } catch {
      // The dialog shows it, and the list is read again.
    }
  };

  return (
    <>
      <Button
        size="small"
        onClick={() => {
          forget.reset();
          setAsking(true);
        }}
      >
        Forget…
      </Button>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title={`Forget ${name}?`}
        confirm="Forget it"
        busy={forget.isPending ? "Forgetting…" : undefined}
        danger
        onConfirm={() => void confirmed()}
      >
        <p>Its defaults, limits, set-up and trust are removed.</p>
        <p>Its work orders stay, with their branches and files, and so does its token in the settings.</p>
        {error && <Problem message={error.message} nextAction={error.nextAction} />}
      </Confirm>
    </>
  );
}
