import { Lock } from "lucide-react";
import { useId } from "react";
import type { SettingsForm } from "../hooks/useSettingsForm";
import { Button, cn, Field, Input, Select, Switch } from "../host";
import type { Setting } from "../services/awoSettingsService";
import { boundsOf, editable, labelOf, shownValue, textOf } from "../utils/settingRules";

interface SettingRowProps {
  setting: Setting;
  form: SettingsForm;
}

/** One setting as the server describes it: to be changed, or with the reason why not here. */
export function SettingRow({ setting, form }: SettingRowProps) {
  return (
    <div className="border-line border-b py-3 last:border-b-0">
      {editable(setting) ? <Editable setting={setting} form={form} /> : <Fixed setting={setting} />}
    </div>
  );
}

function Editable({ setting, form }: SettingRowProps) {
  const { name } = setting;
  const edit = form.edits[name];
  const changed = form.edited.includes(setting);
  const text = edit === undefined ? textOf(setting.value) : edit === null ? textOf(setting.default) : edit;
  const resets = edit === null && changed;
  return (
    <Field
      label={
        <>
          {labelOf(name)}
          {changed && <span className="ml-2 font-normal text-accent">{resets ? "will be reset" : "unsaved"}</span>}
        </>
      }
      hint={<Facts setting={setting} />}
      problem={form.problem(setting)}
    >
      {(control) => (
        <div className="flex flex-wrap items-center gap-2">
          <Control
            setting={setting}
            text={text}
            onChange={(next) => form.edit(name, next)}
            control={{ ...control, name }}
          />
          {changed && (
            <Button size="small" variant="ghost" onClick={() => form.drop(name)} aria-label={`Undo ${labelOf(name)}`}>
              Undo
            </Button>
          )}
          {setting.source === "database" && !resets && (
            <Button
              size="small"
              variant="ghost"
              onClick={() => form.edit(name, null)}
              aria-label={`Reset ${labelOf(name)}`}
            >
              Reset
            </Button>
          )}
        </div>
      )}
    </Field>
  );
}

interface ControlledProps {
  setting: Setting;
  text: string;
  onChange: (text: string) => void;
  control: { id: string; name: string; "aria-describedby": string | undefined; "aria-invalid": boolean | undefined };
}

const NOT_SET = "not-set";

function Control({ setting, text, onChange, control }: ControlledProps) {
  const { kind, choices } = setting;
  if (kind === "boolean" && setting.default !== null)
    return (
      <Switch
        {...control}
        checked={text === "true"}
        onCheckedChange={(checked: boolean) => onChange(String(checked))}
      />
    );
  const values = choices ?? (kind === "boolean" ? ["true", "false"] : null);
  if (values) {
    const options = values.map((value) => ({
      value,
      label: kind === "boolean" ? shownValue(value === "true") : value,
    }));
    const all = setting.default === null ? [{ value: NOT_SET, label: "not set" }, ...options] : options;
    const { name: _, ...trigger } = control;
    return (
      <Select
        {...trigger}
        className="w-full sm:w-72"
        value={text || NOT_SET}
        options={all}
        onChange={(value) => onChange(value === NOT_SET ? "" : value)}
      />
    );
  }
  const isNumber = kind === "integer" || kind === "number";
  return (
    <>
      <Input
        {...control}
        className={cn(isNumber ? "tabular w-36" : "w-full sm:w-96")}
        inputMode={kind === "integer" ? "numeric" : isNumber ? "decimal" : "text"}
        autoComplete="off"
        spellCheck={false}
        placeholder={setting.default === null ? "not set" : textOf(setting.default)}
        value={text}
        onChange={(event) => onChange(event.target.value)}
      />
      {isNumber && setting.unit && <span className="text-muted text-sm">{setting.unit}</span>}
    </>
  );
}

/** A setting that cannot be changed here: its value as text, and where it can be. Who goes by keyboard gets to it too. */
function Fixed({ setting }: { setting: Setting }) {
  const id = useId();
  const value = setting.secret ? (setting.is_set ? "set, never shown" : "not set") : shownValue(setting.value);
  return (
    <div
      role="group"
      tabIndex={0}
      aria-labelledby={`${id}-name`}
      aria-describedby={`${id}-value ${id}-why ${id}-facts`}
      className="flex min-w-0 flex-col gap-1"
    >
      <p id={`${id}-name`} className="font-medium text-sm">
        {labelOf(setting.name)}
      </p>
      <p id={`${id}-value`} className="flex min-w-0 items-center gap-2 text-sm">
        <Lock size={14} aria-hidden className="shrink-0 text-muted" />
        <span className="min-w-0 break-words">
          {value}
          {setting.unit && setting.value !== null && ` ${setting.unit}`}
        </span>
      </p>
      <p id={`${id}-why`} className="break-words text-muted text-xs">
        {setting.locked
          ? `Set by ${setting.origin || setting.env}; change it there.`
          : `Out of reach of this page, because of what it decides; set ${setting.env} on the server.`}
      </p>
      <p id={`${id}-facts`} className="text-muted text-xs">
        <Facts setting={setting} />
      </p>
    </div>
  );
}

const CHIP = "mr-1 inline-block rounded border border-line px-1 text-ink";

function Facts({ setting }: { setting: Setting }) {
  const bounds = boundsOf(setting);
  return (
    <>
      <span className="block max-w-prose break-words">
        {setting.description.split("`").map((part, at) =>
          // Every second part stood between backticks.
          // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one sentence never move
          at % 2 ? <code key={at}>{part}</code> : part,
        )}
        {bounds && ` (${bounds})`}
      </span>
      <span className="mt-1 block break-words">
        <span className={CHIP}>{setting.source}</span>
        <span className={CHIP}>{setting.live ? "live" : "after restart"}</span>
        {setting.waits_for_restart && (
          <span className="mr-1 inline-block text-waiting">changed; the server still works with the old value</span>
        )}
        <code className="font-mono">{setting.env}</code>
        {setting.source === "file" && ` · ${setting.origin}`}
      </span>
      {setting.problem && <span className="block text-failed">Passed over: {setting.problem}</span>}
    </>
  );
}
