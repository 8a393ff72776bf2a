/** Signing in and out. The token is traded for a cookie that no script can read; kept is only that somebody did. */
import { call } from "./client";

const SIGNED_IN = "awo-signed-in";

/** Raises ApiError where the server does not know the token. */
export async function signIn(token: string): Promise<void> {
  await call<void>("/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } });
  remember(true);
}

export async function signOut(): Promise<void> {
  await call<void>("/session", { method: "DELETE" });
  remember(false);
}

/** Whether somebody signed in with this browser and did not sign out again. The cookie may have ended since. */
export function isSignedIn(): boolean {
  try {
    return localStorage.getItem(SIGNED_IN) === "true";
  } catch {
    return false;
  }
}

function remember(signedIn: boolean) {
  try {
    if (signedIn) localStorage.setItem(SIGNED_IN, "true");
    else localStorage.removeItem(SIGNED_IN);
  } catch {
    // Without storage there is no "Sign out"; the cookie ends by itself.
  }
}
