import { useState } from "react";
import { type ApiError, asApiError, useStored } from "../host";
import type { Setting, SettingsPage } from "../services/awoSettingsService";
import { changesOf, type Edits, pending, problemOf } from "../utils/settingRules";
import { useNewerSettings, useSaveSettings } from "./useAwoSettings";

interface Draft {
  /** The version that was on the screen when the first of the edits was made. */
  version: string;
  edits: Edits;
}

const NOTHING: Draft = { version: "", edits: {} };

/** What was edited, what is wrong with it, and saving it. The draft outlives a reload; secrets are never part of it. */
export function useSettingsForm(page: SettingsPage) {
  const [draft, keep, forget] = useStored<Draft>("session", "awo-settings-draft", NOTHING);
  const [refused, setRefused] = useState<Record<string, string>>({});
  const [error, setError] = useState<ApiError | null>(null);
  const [conflict, setConflict] = useState(false);
  const saving = useSaveSettings();
  const newer = useNewerSettings();

  const edited = pending(page.settings, draft.edits);
  const problem = (setting: Setting): string | undefined => {
    const edit = draft.edits[setting.name];
    if (edit === undefined) return undefined;
    return refused[setting.name] ?? problemOf(setting, edit);
  };

  const edit = (name: string, text: string | null) => {
    const version = edited.length > 0 ? draft.version : page.version;
    keep({ version, edits: { ...draft.edits, [name]: text } });
    // What the server said was about the old value.
    setRefused((before) => without(before, name));
    setError(null);
  };
  const drop = (name: string) => {
    const edits = without(draft.edits, name);
    if (pending(page.settings, edits).length > 0) keep({ ...draft, edits });
    else discard();
  };
  const discard = () => {
    forget();
    setRefused({});
    setError(null);
    setConflict(false);
  };

  /**
   * Whether it is saved, and else the first setting that the server refused, if it named one. `over`: on top of what
   * others saved meanwhile, which is on the screen by now.
   */
  const save = async (over = false): Promise<{ saved: boolean; refused?: string | undefined }> => {
    setError(null);
    try {
      const version = over ? page.version : draft.version;
      await saving.mutateAsync({ changes: changesOf(page.settings, draft.edits), version });
      discard();
      return { saved: true };
    } catch (failure) {
      const told = asApiError(failure);
      const current = told.status === 409 ? currentOf(told.body) : null;
      if (current) {
        newer(current);
        setConflict(true);
        return { saved: false };
      }
      setRefused(Object.fromEntries(told.fields.map((one) => [one.field, one.problem])));
      setError(told);
      return { saved: false, refused: told.fields[0]?.field };
    }
  };

  return {
    edits: draft.edits,
    edited,
    problem,
    /** Wrong by the bounds. What the server alone refused may be right the next time: a folder that exists by then. */
    wrong: edited.filter((setting) => problemOf(setting, draft.edits[setting.name] ?? null)),
    edit,
    drop,
    discard,
    save,
    saving: saving.isPending,
    error,
    conflict: conflict && edited.length > 0,
  };
}

export type SettingsForm = ReturnType<typeof useSettingsForm>;

function currentOf(body: unknown): SettingsPage | null {
  if (typeof body !== "object" || body === null || !("current" in body)) return null;
  return body.current as SettingsPage;
}

function without<T>(all: Record<string, T>, name: string): Record<string, T> {
  const { [name]: _, ...rest } = all;
  return rest;
}
