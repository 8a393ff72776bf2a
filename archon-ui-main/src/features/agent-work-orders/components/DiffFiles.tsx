import { Checkbox, CopyButton, cn, plural, Select } from "../host";
import type { BranchDiff, FileChange } from "../types";

const Counts = ({ file }: { file: Pick<FileChange, "additions" | "deletions"> }) => (
  <span className="tabular shrink-0 text-xs">
    <span className="text-completed">+{file.additions}</span> <span className="text-failed">−{file.deletions}</span>
  </span>
);

interface DiffFilesProps {
  diff: BranchDiff;
  wide: boolean;
  isViewed: (file: FileChange) => boolean;
  onGo: (path: string) => void;
  split: boolean;
  /** Null where there is no room for two sides. */
  onSplit: ((split: boolean) => void) | null;
}

/** The changed files: a list beside the lines, or a choice above them where there is no room. */
export function DiffFiles({ diff, wide, isViewed, onGo, split, onSplit }: DiffFilesProps) {
  const sides = onSplit && (
    <label htmlFor="side-by-side" className="flex shrink-0 items-center gap-2 text-xs">
      <Checkbox id="side-by-side" checked={split} onCheckedChange={(on) => onSplit(on === true)} />
      Side by side
    </label>
  );
  if (!wide) {
    return (
      <div className="flex items-center gap-2 border-line border-b p-2">
        <Select
          aria-label="Go to a file"
          value=""
          placeholder={plural(diff.files.length, "file")}
          onChange={onGo}
          options={diff.files.map((file) => ({
            value: file.path,
            label: file.path,
            hint: `+${file.additions} −${file.deletions}${isViewed(file) ? " · viewed" : ""}`,
          }))}
          className="min-w-0 flex-1"
        />
        <Counts file={diff} />
        {sides}
      </div>
    );
  }
  return (
    <nav aria-label="Changed files" className="w-64 shrink-0 overflow-y-auto border-line border-r p-2">
      {sides && <div className="px-2 pt-1 pb-2">{sides}</div>}
      <p className="flex justify-between px-2 py-1 text-muted text-xs">
        {plural(diff.files.length, "file")} <Counts file={diff} />
      </p>
      <ul>
        {diff.files.map((file) => (
          <li key={file.path}>
            <button
              type="button"
              title={file.path}
              onClick={() => onGo(file.path)}
              className={cn(
                "flex min-h-7 w-full items-center justify-between gap-2 rounded-md px-2 text-left hover:bg-sunk focus-visible:-outline-offset-2",
                isViewed(file) && "text-muted",
              )}
            >
              <span className="min-w-0">
                <span className="block truncate">{file.path.split("/").at(-1)}</span>
                {file.path.includes("/") && (
                  <span className="block truncate text-muted text-xs">
                    {file.path.slice(0, file.path.lastIndexOf("/"))}
                  </span>
                )}
              </span>
              <Counts file={file} />
            </button>
          </li>
        ))}
      </ul>
    </nav>
  );
}

interface DiffFileHeadProps {
  file: FileChange;
  viewed: boolean;
  onViewed: () => void;
}

export function DiffFileHead({ file, viewed, onViewed }: DiffFileHeadProps) {
  const id = `viewed-${file.path}`;
  return (
    <div className="flex h-11 items-center gap-3 border-line border-y bg-sunk px-3">
      <h2 className="flex min-w-0 flex-1 items-center gap-1 font-mono text-code">
        <span className="truncate" title={file.path}>
          {file.old_path && file.old_path !== file.path && <span className="text-muted">{file.old_path} → </span>}
          {file.path}
        </span>
        <CopyButton text={file.path} label="Copy the path" />
      </h2>
      {file.status !== "modified" && <span className="text-muted text-xs">{file.status}</span>}
      <Counts file={file} />
      <label htmlFor={id} className="flex items-center gap-2 text-xs">
        <Checkbox id={id} checked={viewed} onCheckedChange={onViewed} />
        viewed
      </label>
    </div>
  );
}
