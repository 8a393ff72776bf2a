import { useState } from "react";
import { Button, Field, Textarea } from "../host";
import { LazyMarkdown } from "./LazyMarkdown";

interface RequestFieldProps {
  value: string;
  problem: string | undefined;
  onChange: (text: string) => void;
  onBlur: () => void;
}

/** What should be done, in words, and how it will read. */
export function RequestField({ value, problem, onChange, onBlur }: RequestFieldProps) {
  const [preview, setPreview] = useState(false);
  return (
    <div className="relative">
      <Button
        size="small"
        variant="ghost"
        aria-pressed={preview}
        className="absolute -top-1 right-0 pointer-coarse:-top-3"
        onClick={() => setPreview(!preview)}
      >
        {preview ? "Write" : "Preview"}
      </Button>
      <Field
        label="What should be done?"
        hint="In words, as you would tell a colleague; Markdown. Say how one can see that it is done."
        problem={problem}
      >
        {(control) => (
          <>
            <Textarea
              {...control}
              name="user_request"
              autoFocus
              required
              rows={8}
              hidden={preview}
              value={value}
              onChange={(event) => onChange(event.target.value)}
              onBlur={onBlur}
            />
            {preview && (
              <div className="min-h-44 rounded-lg border border-line bg-card px-3 py-2">
                {value.trim() ? (
                  <LazyMarkdown>{value}</LazyMarkdown>
                ) : (
                  <p className="text-muted">Nothing is written yet.</p>
                )}
              </div>
            )}
          </>
        )}
      </Field>
    </div>
  );
}
