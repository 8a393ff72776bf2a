import { Plus, X } from "lucide-react";
import { useId, useRef } from "react";
import { Button, Input, Textarea } from "../host";
import type { Pair } from "../utils/repositoryForm";

interface PairsFieldProps {
  /** The name that server and form have for it. */
  field: string;
  legend: string;
  hint: string;
  /** What one line is called: "variable", "file". */
  one: string;
  name: string;
  pairs: Pair[];
  problem: string | undefined;
  onChange: (pairs: Pair[]) => void;
}

/** Names with their values, a line each. */
export function PairsField({ field, legend, hint, one, name, pairs, problem, onChange }: PairsFieldProps) {
  const id = useId();
  const made = useRef(0);
  const change = (which: string, part: Partial<Pair>) =>
    onChange(pairs.map((pair) => (pair.id === which ? { ...pair, ...part } : pair)));
  const add = () => {
    made.current += 1;
    onChange([...pairs, { id: `${id}-${made.current}`, name: "", value: "" }]);
  };
  return (
    <fieldset className="flex min-w-0 flex-col gap-2 sm:col-span-2" aria-describedby={`${id}-hint ${id}-problem`}>
      <legend className="mb-1 font-medium text-sm">{legend}</legend>
      <p id={`${id}-hint`} className="text-muted text-xs">
        {hint}
      </p>
      {pairs.map((pair, at) => (
        <div
          key={pair.id}
          className="grid grid-cols-[minmax(0,1fr)_auto] items-start gap-2 sm:grid-cols-[14rem_1fr_auto]"
        >
          <Input
            aria-label={`${name} of ${one} ${at + 1}`}
            aria-invalid={problem ? true : undefined}
            value={pair.name}
            autoComplete="off"
            spellCheck={false}
            className="font-mono text-code"
            onChange={(event) => change(pair.id, { name: event.target.value })}
          />
          <Textarea
            aria-label={`Value of ${one} ${at + 1}`}
            value={pair.value}
            rows={1}
            spellCheck={false}
            className="col-span-2 row-start-2 min-h-9 py-1.5 font-mono text-code sm:col-span-1 sm:row-start-1"
            onChange={(event) => change(pair.id, { value: event.target.value })}
          />
          <Button
            variant="ghost"
            size="icon"
            aria-label={`Remove ${one} ${at + 1}`}
            onClick={() => onChange(pairs.filter((other) => other.id !== pair.id))}
          >
            <X size={16} aria-hidden />
          </Button>
        </div>
      ))}
      {problem && (
        <p id={`${id}-problem`} role="alert" className="text-failed text-xs">
          {problem}
        </p>
      )}
      <div>
        <Button size="small" name={field} onClick={add}>
          <Plus size={14} aria-hidden />
          Add a {one}
        </Button>
      </div>
    </fieldset>
  );
}
