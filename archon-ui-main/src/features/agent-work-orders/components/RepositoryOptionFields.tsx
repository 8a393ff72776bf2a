import { type ReactNode, useId } from "react";
import { useWorkflows } from "../hooks/useWorkOrders";
import { Field, Input, Select, Switch, Textarea } from "../host";
import {
  type FormField,
  type FormProblems,
  LABELS,
  type RepositoryForm,
  type SwitchField,
  type TextField,
} from "../utils/repositoryForm";
import { PairsField } from "./PairsField";
import { TrustSwitch } from "./TrustSwitch";

export interface FieldsProps {
  form: RepositoryForm;
  problems: FormProblems;
  set: (part: Partial<RepositoryForm>) => void;
  touch: (field: FormField) => void;
}

/** All options of a repository, in groups of what they are for. */
export function RepositoryOptionFields(props: FieldsProps) {
  const { form, problems, set } = props;
  return (
    <>
      <Group title="Defaults" open>
        <Text {...props} name="display_name" hint="What people call it; owner and name when left empty." />
        <Text {...props} name="base_branch" hint="Orders start from it when they name none." placeholder="main" />
        <Workflow {...props} />
        <Text {...props} name="model" hint="Of orders that name none; the server's own when left empty." />
        <Lines {...props} name="verify_command" hint="Shell command that checks a change before it is pushed." />
      </Group>
      <Group title="Limits" open>
        <Text {...props} name="max_concurrent" hint="0 pauses it; the server's own when left empty." numeric />
        <Text {...props} name="max_cost_usd" hint="The server's own when left empty." numeric />
        <Text {...props} name="quota_mb" hint="The server's own when left empty." numeric />
      </Group>
      <Group title="Checkout">
        <Toggle {...props} name="lfs" hint="Large files come with the checkout instead of their pointers." />
        <Toggle {...props} name="submodules" hint="They come with the checkout." />
        <Toggle {...props} name="sparse" hint="An order with a directory has only that part of the files." />
        <Toggle {...props} name="partial_clone" hint="The mirror has no file contents; they are fetched when needed." />
        <Toggle {...props} name="push_checkpoints" hint="To a hidden ref of the remote, for other servers." />
        <Text {...props} name="depth" hint="All of it when left empty." numeric />
        <Text {...props} name="prepared_checkouts" hint="Kept ready for the next order, 0 to 16." numeric />
      </Group>
      <Group title="Set-up and clean-up">
        <Lines {...props} name="setup_command" hint="Run in a new checkout." />
        <Lines
          {...props}
          name="setup_inputs"
          hint="Files it depends on, one a line; its result is kept while they stay."
        />
        <Lines {...props} name="cleanup_command" hint="Run when a checkout is removed." />
        <Text {...props} name="setup_timeout" hint="900 when left empty." numeric />
      </Group>
      <Group title="Environment and files">
        <PairsField
          field="environment"
          legend={LABELS.environment}
          hint="Of commands, checks and agent. No place for secrets: they are shown here."
          one="variable"
          name="Name"
          pairs={form.environment}
          problem={problems.environment}
          onChange={(environment) => set({ environment })}
        />
        <PairsField
          field="files"
          legend={LABELS.files}
          hint="Placed in each checkout, by path; never committed. No place for secrets: they are shown here."
          one="file"
          name="Path"
          pairs={form.files}
          problem={problems.files}
          onChange={(files) => set({ files })}
        />
      </Group>
      <TrustSwitch on={form.trusted} onChange={(trusted) => set({ trusted })} />
    </>
  );
}

function Group({ title, open, children }: { title: string; open?: boolean; children: ReactNode }) {
  return (
    <details open={open} className="rounded-lg border border-line p-3">
      <summary className="font-medium">{title}</summary>
      <div className="mt-3 grid gap-4 sm:grid-cols-2">{children}</div>
    </details>
  );
}

interface TextProps extends FieldsProps {
  name: TextField;
  hint: string;
  placeholder?: string;
  numeric?: boolean;
}

function Text({ form, problems, set, touch, name, hint, placeholder, numeric }: TextProps) {
  return (
    <Field label={LABELS[name]} optional hint={hint} problem={problems[name]}>
      {(control) => (
        <Input
          {...control}
          name={name}
          value={form[name]}
          placeholder={placeholder}
          inputMode={numeric ? "decimal" : undefined}
          autoComplete="off"
          onChange={(event) => set({ [name]: event.target.value })}
          onBlur={() => touch(name)}
        />
      )}
    </Field>
  );
}

function Lines({ form, problems, set, touch, name, hint }: TextProps) {
  return (
    <Field label={LABELS[name]} optional hint={hint} problem={problems[name]}>
      {(control) => (
        <Textarea
          {...control}
          name={name}
          value={form[name]}
          rows={2}
          spellCheck={false}
          className="min-h-14 font-mono text-code"
          onChange={(event) => set({ [name]: event.target.value })}
          onBlur={() => touch(name)}
        />
      )}
    </Field>
  );
}

function Toggle({ form, set, name, hint }: FieldsProps & { name: SwitchField; hint: string }) {
  const id = useId();
  return (
    <div className="flex items-start gap-3">
      <Switch
        id={id}
        name={name}
        checked={form[name]}
        aria-describedby={`${id}-hint`}
        onCheckedChange={(on) => set({ [name]: on })}
      />
      <div>
        <label htmlFor={id} className="font-medium text-sm">
          {LABELS[name]}
        </label>
        <p id={`${id}-hint`} className="text-muted text-xs">
          {hint}
        </p>
      </div>
    </div>
  );
}

const SERVERS_OWN = "-";

function Workflow({ form, problems, set }: FieldsProps) {
  const known = useWorkflows().data?.map((workflow) => workflow.name) ?? [];
  const names = form.workflow_type && !known.includes(form.workflow_type) ? [...known, form.workflow_type] : known;
  return (
    <Field label={LABELS.workflow_type} optional hint="Of orders that name none." problem={problems.workflow_type}>
      {(control) => (
        <Select
          {...control}
          value={form.workflow_type || SERVERS_OWN}
          onChange={(value) => set({ workflow_type: value === SERVERS_OWN ? "" : value })}
          options={[
            { value: SERVERS_OWN, label: "The server's own" },
            ...names.map((name) => ({ value: name, label: name })),
          ]}
        />
      )}
    </Field>
  );
}
