import { useCallback, useRef } from "react";
import { readStored, useStored } from "../host";
import { CHOICES, type Choices, choicesOf, emptyDraft } from "../utils/draft";
import type { DraftField, RequestDraft } from "../utils/requestRules";

const DRAFT = "awo-new-draft";
const LAST_REPOSITORY = "awo-last-repository";
const KEY = "awo-new-key";
const choicesKey = (url: string) => `awo-choices:${url.toLowerCase()}`;

/** The request that is being written. It outlives a reload; the choices of its repository outlive the order. */
export function useDraft(given: Partial<RequestDraft>) {
  const start = useRef<RequestDraft | null>(null);
  if (start.current === null) {
    const url = given.repository_url ?? readStored("local", LAST_REPOSITORY, "");
    start.current = { ...emptyDraft, repository_url: url, ...rememberedFor(url), ...given };
  }
  const [draft, save, forget] = useStored<RequestDraft>("session", DRAFT, start.current);
  const [key, saveKey, forgetKey] = useStored("session", KEY, newKey());

  const change = useCallback(
    (part: Partial<RequestDraft>) => {
      const next = { ...draft, ...part };
      // Another repository brings its own last choices, as long as none was made here.
      if (part.repository_url !== undefined && CHOICES.every((name) => draft[name] === emptyDraft[name])) {
        Object.assign(next, rememberedFor(part.repository_url));
      }
      save(next);
      saveKey(key);
    },
    [draft, save, key, saveKey],
  );

  /** After it was filed: the words go, the choices stay. */
  const filed = useCallback(() => {
    try {
      localStorage.setItem(LAST_REPOSITORY, JSON.stringify(draft.repository_url));
      localStorage.setItem(choicesKey(draft.repository_url), JSON.stringify(choicesOf(draft)));
    } catch {
      // Without storage nothing is remembered, and nothing else is lost.
    }
    forget();
    forgetKey();
  }, [draft, forget, forgetKey]);

  return { draft, change, filed, key, renewKey: () => saveKey(newKey()) };
}

function rememberedFor(url: string): Partial<Choices> {
  const stored = url ? readStored<Partial<Choices>>("local", choicesKey(url), {}) : {};
  const known = Object.entries(stored).filter(([name]) =>
    (CHOICES as readonly DraftField[]).includes(name as DraftField),
  );
  return Object.fromEntries(known);
}

export const newKey = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
