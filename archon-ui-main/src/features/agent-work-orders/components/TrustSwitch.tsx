import { ShieldAlert } from "lucide-react";
import { useId, useState } from "react";
import { Card, Confirm, Switch } from "../host";
import { LABELS } from "../utils/repositoryForm";

/** Trust, with what it means: asked about before it is given, taken back at once. */
export function TrustSwitch({ on, onChange }: { on: boolean; onChange: (on: boolean) => void }) {
  const [asking, setAsking] = useState(false);
  const id = useId();
  return (
    <Card edge={on ? "failed" : "waiting"} className="flex flex-col gap-2">
      <div className="flex items-center gap-3">
        <Switch
          id={id}
          name="trusted"
          checked={on}
          aria-describedby={`${id}-warning`}
          onCheckedChange={(wanted) => (wanted ? setAsking(true) : onChange(false))}
        />
        <label htmlFor={id} className="font-medium">
          {LABELS.trusted}
        </label>
      </div>
      <p id={`${id}-warning`} className="flex items-start gap-2">
        <ShieldAlert size={18} aria-hidden className="mt-px shrink-0 text-failed" />
        <span>
          Warning: the agent then loads the repository's own CLAUDE.md, settings, hooks and commands. They run with the
          agent's rights and can read its model key, whoever wrote them.
        </span>
      </p>
      <Confirm
        open={asking}
        onOpenChange={setAsking}
        title="Trust what is in this repository?"
        confirm="Trust it"
        cancel="Leave it untrusted"
        danger
        onConfirm={() => {
          setAsking(false);
          onChange(true);
        }}
      >
        <p>
          Whoever can get a change into it, with a pull request for instance, can then run commands with the agent's
          rights and read its model key.
        </p>
        <p>It holds once the options are saved.</p>
      </Confirm>
    </Card>
  );
}
