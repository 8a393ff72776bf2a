import { ChevronDown, ChevronUp, CircleAlert } from "lucide-react";
import { type FindState, ROW_KINDS } from "../hooks/useFind";
import { Button, count, Input, Select } from "../host";

interface FindBarProps {
  find: FindState;
  onNextBad: () => void;
  onPause: () => void;
}

export function FindBar({ find, onNextBad, onPause }: FindBarProps) {
  return (
    <div className="flex flex-wrap items-center gap-2 border-line border-b p-2">
      <Input
        ref={find.input}
        type="search"
        data-find
        aria-label="Find in the transcript"
        placeholder="Find"
        className="w-auto min-w-24 flex-1 sm:max-w-64"
        value={find.text}
        onChange={(event) => {
          onPause();
          find.setText(event.target.value);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") event.shiftKey ? find.previous() : find.next();
          else if (event.key === "Escape") find.clear();
          else return;
          event.preventDefault();
        }}
      />
      {find.text && (
        <span className="flex items-center gap-1">
          <span className="tabular text-muted text-xs" role="status">
            {find.found === 0 ? "none" : `${count(find.place + 1)} of ${count(find.found)}`}
          </span>
          <Button variant="ghost" size="icon" className="size-7" aria-label="Previous match" onClick={find.previous}>
            <ChevronUp size={16} aria-hidden />
          </Button>
          <Button variant="ghost" size="icon" className="size-7" aria-label="Next match" onClick={find.next}>
            <ChevronDown size={16} aria-hidden />
          </Button>
        </span>
      )}
      <Select
        aria-label="Kind of line"
        value={find.kind}
        onChange={find.setKind}
        options={ROW_KINDS}
        className="max-w-44"
      />
      <Button variant="ghost" size="small" onClick={onNextBad} title="Next error (e)">
        <CircleAlert size={14} aria-hidden />
        <span className="hidden sm:inline">Next error</span>
      </Button>
    </div>
  );
}
