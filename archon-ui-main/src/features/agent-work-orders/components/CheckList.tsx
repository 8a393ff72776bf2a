import { CircleCheck, CircleX, TriangleAlert } from "lucide-react";

export interface Checked {
  name: string;
  ok: boolean;
  required: boolean;
  detail: string;
  next_action?: string | null;
}

const GOOD = { icon: CircleCheck, colour: "text-completed", word: "Good" };
const WARNING = { icon: TriangleAlert, colour: "text-waiting", word: "Warning" };
const WRONG = { icon: CircleX, colour: "text-failed", word: "Wrong" };

/** What was looked at, one by one, each with what a person can do about it. */
export function CheckList({ checks, label }: { checks: Checked[]; label: string }) {
  return (
    <ul aria-label={label} className="flex flex-col gap-2">
      {checks.map((check) => {
        const { icon: Icon, colour, word } = check.ok ? GOOD : check.required ? WRONG : WARNING;
        return (
          <li key={check.name} className="flex items-start gap-2">
            <Icon size={18} aria-hidden className={`mt-px shrink-0 ${colour}`} />
            <div className="min-w-0">
              <p className="break-words">
                <span className={`font-medium ${colour}`}>{word}:</span>{" "}
                <span className="font-medium">{check.name.replaceAll("_", " ")}</span>. {check.detail}
              </p>
              {check.next_action && <p className="break-words text-muted">{check.next_action}</p>}
            </div>
          </li>
        );
      })}
    </ul>
  );
}
