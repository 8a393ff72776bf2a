import { Lock } from "lucide-react";
import { useState } from "react";
import { useNewerSettings } from "../hooks/useAwoSettings";
import { type ApiError, asApiError, Button, Card, Confirm, Problem, RelativeTime, useToast } from "../host";
import { awoSettingsService, type Secret } from "../services/awoSettingsService";
import { ReplaceSecret } from "./ReplaceSecret";

const TITLES: Record<string, string> = {
  github_token: "GitHub token",
  anthropic_api_key: "Anthropic API key",
  claude_code_oauth_token: "Claude OAuth token",
};

const titleOf = (secret: Secret): string => {
  const title = TITLES[secret.name] ?? secret.name;
  return secret.repository ? `${title} for ${secret.repository}` : title;
};

/** One secret: that it is set, its end, who set it and when. It can be replaced and removed, never read. */
export function SecretRow({ secret }: { secret: Secret }) {
  const [replacing, setReplacing] = useState(false);
  const [removing, setRemoving] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const newer = useNewerSettings();
  const { showToast } = useToast();
  const title = titleOf(secret);

  const remove = async () => {
    setBusy(true);
    setError(null);
    try {
      await awoSettingsService.removeSecret(secret);
      newer(null);
      showToast(`${title} is removed.`, "success");
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setBusy(false);
      setRemoving(false);
    }
  };

  return (
    <Card as="section" aria-label={title} className="flex min-w-0 flex-col gap-2">
      <div className="flex flex-wrap items-start justify-between gap-3">
        <div className="min-w-0">
          <h3 className="break-words font-medium">{title}</h3>
          <State secret={secret} />
        </div>
        {!secret.locked && (
          <div className="flex gap-2">
            <Button
              size="small"
              onClick={() => setReplacing(true)}
              aria-label={`${secret.is_set ? "Replace" : "Set"} ${title}`}
            >
              {secret.is_set ? "Replace…" : "Set…"}
            </Button>
            {secret.is_set && (
              <Button size="small" onClick={() => setRemoving(true)} aria-label={`Remove ${title}`}>
                Remove…
              </Button>
            )}
          </div>
        )}
      </div>
      {secret.problem && <p className="break-words text-failed text-sm">{secret.problem}</p>}
      {error && <Problem message={error.message} nextAction={error.nextAction} />}
      <ReplaceSecret secret={secret} title={title} open={replacing} onClose={() => setReplacing(false)} />
      <Confirm
        open={removing}
        onOpenChange={setRemoving}
        title={`Remove the ${title}?`}
        confirm="Remove it"
        danger
        busy={busy ? "Removing…" : undefined}
        onConfirm={() => void remove()}
      >
        <p>Orders that need it fail from their next call on. It cannot be brought back from here.</p>
      </Confirm>
    </Card>
  );
}

function State({ secret }: { secret: Secret }) {
  if (!secret.is_set) return <p className="text-muted text-sm">Not set</p>;
  return (
    <p className="break-words text-muted text-sm">
      Set{secret.last_four && <> · ends in …{secret.last_four}</>}
      {secret.set_by && <> · by {secret.set_by}</>}
      {secret.set_at && (
        <>
          {" · "}
          <RelativeTime at={secret.set_at} />
        </>
      )}
      {secret.locked && (
        <span className="mt-1 flex items-center gap-1">
          <Lock size={14} aria-hidden className="shrink-0" />
          Set by {secret.env}; change it there.
        </span>
      )}
    </p>
  );
}
