import { useCallback, useState } from "react";

/**
 * State that outlives a reload. `session` ends with the tab and is for drafts; `local` stays and is for choices.
 * Never for a secret: storage can be read by every script of the page.
 */
export function useStored<T>(kind: "local" | "session", key: string, initial: T): [T, (value: T) => void, () => void] {
  const [value, setValue] = useState<T>(() => read(kind, key, initial));
  const save = useCallback(
    (next: T) => {
      setValue(next);
      try {
        storageOf(kind).setItem(key, JSON.stringify(next));
      } catch {
        // Storage that is full or forbidden costs the memory of a choice, nothing else.
      }
    },
    [kind, key],
  );
  const forget = useCallback(() => {
    setValue(initial);
    try {
      storageOf(kind).removeItem(key);
    } catch {
      // As above.
    }
  }, [kind, key, initial]);
  return [value, save, forget];
}

export function read<T>(kind: "local" | "session", key: string, initial: T): T {
  try {
    const text = storageOf(kind).getItem(key);
    return text === null ? initial : (JSON.parse(text) as T);
  } catch {
    return initial;
  }
}

const storageOf = (kind: "local" | "session") => (kind === "local" ? localStorage : sessionStorage);
