import { useEffect, useState } from "react";
import { Button, Dialog, Field, Input, Problem } from "../host";
import { type ApiError, asApiError, onSignInNeeded } from "../services/client";
import { signIn } from "../services/session";

/**
 * Asks for the server's token when the server does. The token is traded once for a cookie that no script can read;
 * it is kept nowhere in the page.
 */
export function SignIn() {
  const [open, setOpen] = useState(false);
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  useEffect(() => onSignInNeeded(() => setOpen(true)), []);

  const close = (next: boolean) => {
    setOpen(next);
    setToken("");
    setError(null);
  };

  const submit = async () => {
    setBusy(true);
    setError(null);
    try {
      await signIn(token.trim());
      close(false);
      location.reload();
    } catch (failure) {
      setError(asApiError(failure));
    } finally {
      setBusy(false);
    }
  };

  return (
    <Dialog
      open={open}
      onOpenChange={close}
      title="Sign in"
      description="This server is protected by a token. It is traded for a cookie that ends after a week, or when you sign out."
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Field label="Token" hint="The value of AWO_API_TOKEN on the server.">
          {(control) => (
            <Input
              {...control}
              autoFocus
              type="password"
              autoComplete="off"
              value={token}
              onChange={(event) => setToken(event.target.value)}
            />
          )}
        </Field>
        {error && <Problem message={error.message} nextAction={error.nextAction} />}
        <Button type="submit" variant="primary" disabled={!token.trim()} busy={busy ? "Signing in…" : undefined}>
          Sign in
        </Button>
      </form>
    </Dialog>
  );
}
