import { useRef } from "react";
import { useSearchParams } from "react-router-dom";
import { useAwoSettings } from "../hooks/useAwoSettings";
import { useLeaveGuard } from "../hooks/useLeaveGuard";
import { type SettingsForm, useSettingsForm } from "../hooks/useSettingsForm";
import {
  asApiError,
  Button,
  Card,
  Confirm,
  Problem,
  plural,
  Skeleton,
  Tab,
  TabPanel,
  Tabs,
  TabsList,
  useToast,
} from "../host";
import type { SettingsPage } from "../services/awoSettingsService";
import { GROUPS, groupOf, labelOf, settingValue, shownValue } from "../utils/settingRules";
import { AddRepositoryToken } from "./AddRepositoryToken";
import { AuditPanel } from "./AuditPanel";
import { CleanupPanel } from "./CleanupPanel";
import { ConnectionTests } from "./ConnectionTests";
import { SecretRow } from "./SecretRow";
import { SettingRow } from "./SettingRow";

/** The settings of Agent Work Orders, drawn from what the server says of each of them. */
export function AgentWorkOrdersSettings() {
  const { data, error, refetch } = useAwoSettings();
  if (data) return <Loaded page={data} />;
  if (!error) return <Skeleton lines={5} />;
  const told = asApiError(error);
  return <Problem message={told.message} nextAction={told.nextAction} onRetry={() => void refetch()} />;
}

const CREDENTIALS = "credentials";
const CHANGES = "changes";
const SECTIONS = [{ id: CREDENTIALS, title: "Credentials" }, ...GROUPS, { id: CHANGES, title: "Changes" }] as const;

function Loaded({ page }: { page: SettingsPage }) {
  const [params, setParams] = useSearchParams();
  const asked = params.get("section");
  const section = SECTIONS.some(({ id }) => id === asked) ? (asked ?? CREDENTIALS) : CREDENTIALS;
  const form = useSettingsForm(page);
  const general = page.secrets.find(({ name, repository }) => name === "github_token" && !repository);
  const guard = useLeaveGuard(form.edited.length > 0);
  const root = useRef<HTMLDivElement>(null);
  const { showToast } = useToast();

  const show = (id: string) => setParams({ section: id }, { replace: true });
  const goTo = (name: string) => {
    show(groupOf(name));
    requestAnimationFrame(() => {
      const fields = root.current?.querySelectorAll<HTMLElement>("[aria-invalid=true]");
      fields?.[0]?.focus();
    });
  };
  const save = async (over = false) => {
    const [first] = form.wrong;
    if (first) return goTo(first.name);
    const { saved, refused } = await form.save(over);
    if (saved) showToast("Saved.", "success");
    else if (page.settings.some(({ name }) => name === refused)) goTo(refused ?? "");
  };

  return (
    <div ref={root} className="flex min-w-0 flex-col gap-4">
      <Notices page={page} />
      <Tabs value={section} onValueChange={show} className="flex min-w-0 flex-col gap-4">
        <TabsList aria-label="Sections of the settings">
          {SECTIONS.map(({ id, title }) => {
            const unsaved = form.edited.filter((setting) => groupOf(setting.name) === id).length;
            return (
              <Tab key={id} value={id}>
                {title}
                {unsaved > 0 && (
                  <span className="ml-1 text-accent">
                    <span aria-hidden>•</span>
                    <span className="sr-only">, {unsaved} unsaved</span>
                  </span>
                )}
              </Tab>
            );
          })}
        </TabsList>
        <TabPanel value={CREDENTIALS} className="flex flex-col gap-6">
          <section aria-label="Secrets" className="flex flex-col gap-3">
            <h2 className="font-semibold">Secrets</h2>
            {page.secrets.map((secret) => (
              <SecretRow key={`${secret.name} ${secret.repository ?? ""}`} secret={secret} />
            ))}
            {general && <AddRepositoryToken general={general} known={page.secrets} />}
          </section>
          <ConnectionTests page={page} />
        </TabPanel>
        {GROUPS.map(({ id, title }) => (
          <TabPanel key={id} value={id} className="flex flex-col gap-4">
            <Card as="section" aria-label={title} className="py-0 sm:py-1">
              {page.settings
                .filter((setting) => groupOf(setting.name) === id)
                .map((setting) => (
                  <SettingRow key={setting.name} setting={setting} form={form} />
                ))}
            </Card>
            {id === "retention" && <CleanupPanel />}
          </TabPanel>
        ))}
        <TabPanel value={CHANGES}>
          <AuditPanel />
        </TabPanel>
      </Tabs>
      {form.conflict && <Conflict form={form} onSave={() => void save(true)} />}
      {form.error && (
        <Problem message={form.error.message} nextAction={form.error.nextAction}>
          <ul className="list-inside list-disc text-muted">
            {form.error.fields.map(({ field, problem }) => (
              <li key={field}>
                {labelOf(field)} {problem}
              </li>
            ))}
          </ul>
        </Problem>
      )}
      <div role="status" className="sr-only">
        {form.edited.length > 0 && plural(form.edited.length, "unsaved change")}
      </div>
      {form.edited.length > 0 && <SaveBar form={form} onSave={() => void save()} />}
      <Confirm
        open={guard.asking}
        onOpenChange={(open) => open || guard.stay()}
        title={`Leave with ${plural(form.edited.length, "unsaved change")}?`}
        confirm="Discard and leave"
        cancel="Stay here"
        danger
        onConfirm={() => {
          form.discard();
          guard.leave();
        }}
      >
        <p>{form.edited.map((setting) => labelOf(setting.name)).join(", ")}</p>
      </Confirm>
    </div>
  );
}

function SaveBar({ form, onSave }: { form: SettingsForm; onSave: () => void }) {
  return (
    <div className="sticky bottom-(--bar) z-10 flex flex-wrap items-center justify-between gap-3 border-line border-t bg-ground py-3">
      <p className="min-w-0 flex-1 break-words text-sm">
        {plural(form.edited.length, "unsaved change")}: {form.edited.map((one) => labelOf(one.name)).join(", ")}
        {form.wrong.length > 0 && <span className="text-failed"> · {form.wrong.length} to correct first</span>}
      </p>
      <Button onClick={form.discard} disabled={form.saving}>
        Discard
      </Button>
      <Button variant="primary" onClick={onSave} busy={form.saving ? "Saving…" : undefined}>
        Save
      </Button>
    </div>
  );
}

/** Two people at once: both values, and the choice. */
function Conflict({ form, onSave }: { form: SettingsForm; onSave: () => void }) {
  return (
    <Problem
      message="Somebody else changed the settings meanwhile. The newer values are shown here; yours are not saved."
      nextAction="Take theirs one by one, or save yours on top of them."
    >
      <ul className="flex flex-col gap-2 text-sm">
        {form.edited.map((setting) => (
          <li key={setting.name} className="flex flex-wrap items-center gap-2">
            <span className="min-w-0 break-words">
              <span className="font-medium">{labelOf(setting.name)}</span>: now {shownValue(setting.value)}, yours{" "}
              {form.edits[setting.name] === null
                ? "a reset"
                : shownValue(settingValue(setting, form.edits[setting.name] ?? null))}
            </span>
            <Button
              size="small"
              aria-label={`Take theirs for ${labelOf(setting.name)}`}
              onClick={() => form.drop(setting.name)}
            >
              Take theirs
            </Button>
          </li>
        ))}
      </ul>
      <div>
        <Button size="small" busy={form.saving ? "Saving…" : undefined} onClick={onSave}>
          Save mine on top
        </Button>
      </div>
    </Problem>
  );
}

/** What stands above the single settings: sources that are broken or contradict each other, and what waits. */
function Notices({ page }: { page: SettingsPage }) {
  const waiting = page.settings.filter((setting) => setting.waits_for_restart);
  return (
    <>
      {page.problems.map((problem) => (
        <Problem
          key={problem}
          message={problem}
          nextAction="Correct what is named; the last good values stay in force."
        />
      ))}
      {(waiting.length > 0 || page.conflicts.length > 0) && (
        <Card edge="waiting" role="status" className="flex flex-col gap-1 text-sm">
          {waiting.length > 0 && (
            <p>Restart the server for: {waiting.map((setting) => labelOf(setting.name)).join(", ")}.</p>
          )}
          {page.conflicts.map((one) => (
            <p key={`${one.setting} ${one.loser_origin}`} className="break-words">
              {labelOf(one.setting)} is given twice: by the {one.winner} ({one.origin}), which wins, and by the{" "}
              {one.loser} ({one.loser_origin}).
            </p>
          ))}
        </Card>
      )}
    </>
  );
}
