import { CircleAlert, CircleCheck, CircleX } from "lucide-react";
import { RelativeTime } from "../host";
import type { Finding, TestResult } from "../services/awoSettingsService";

/** What a test found, check by check, each with what to do about it. */
export function TestReport({ result }: { result: TestResult }) {
  return (
    <div className="flex flex-col gap-2 text-sm">
      <p role="status" className="text-muted">
        {result.ok ? "All that is needed works" : "Something that is needed does not work"}
        {result.offered && ", with the value that is not saved yet"} · <RelativeTime at={result.at} /> · took{" "}
        {(result.took_ms / 1000).toFixed(1)} s
      </p>
      <ul className="flex flex-col gap-2">
        {result.checks.map((check) => (
          <li key={`${check.name} ${check.detail}`} className="flex min-w-0 gap-2">
            <Mark check={check} />
            <div className="min-w-0 break-words">
              <p>
                <span className="font-medium">{check.name}</span>: {check.detail}
              </p>
              {check.next_action && <p className="text-muted">→ {check.next_action}</p>}
            </div>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Mark({ check }: { check: Finding }) {
  const [Icon, colour, word] = check.ok
    ? ([CircleCheck, "text-completed", "works"] as const)
    : check.required
      ? ([CircleX, "text-failed", "fails"] as const)
      : ([CircleAlert, "text-waiting", "warning"] as const);
  return (
    <span className={`flex shrink-0 items-start gap-1 ${colour}`}>
      <Icon size={16} aria-hidden className="mt-0.5" />
      <span className="text-xs leading-5">{word}</span>
    </span>
  );
}
