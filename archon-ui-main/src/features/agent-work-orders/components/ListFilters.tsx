import { Archive, Filter, Search, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import { isFiltered } from "../hooks/useListFilter";
import { Button, Input, Menu, MenuCheckItem, MenuItem, MenuSeparator, useDebounced } from "../host";
import { type ListFilter, NO_FILTER } from "../services/workOrderService";
import { STATUSES } from "../types";
import { repositoryName } from "../utils/words";

interface ListFiltersProps {
  filter: ListFilter;
  onChange: (change: Partial<ListFilter>) => void;
  /** Addresses to choose from. */
  repositories: string[];
}

export function ListFilters({ filter, onChange, repositories }: ListFiltersProps) {
  return (
    <div className="flex flex-wrap items-center gap-2">
      <SearchBox q={filter.q} onChange={onChange} />
      <Menu
        align="start"
        trigger={
          <Button>
            <Filter size={16} aria-hidden className="hidden sm:block" />
            {filter.status.length === 0 ? "Any status" : filter.status.join(", ")}
          </Button>
        }
      >
        {STATUSES.map((status) => (
          <MenuCheckItem
            key={status}
            checked={filter.status.includes(status)}
            onCheckedChange={(checked) =>
              onChange({
                status: checked ? [...filter.status, status] : filter.status.filter((one) => one !== status),
              })
            }
          >
            {status}
          </MenuCheckItem>
        ))}
        <MenuSeparator />
        <MenuItem onSelect={() => onChange({ status: [] })}>Any status</MenuItem>
      </Menu>
      <Menu
        align="start"
        trigger={
          <Button className="max-w-60">
            <span className="truncate">
              {filter.repositoryUrl ? repositoryName(filter.repositoryUrl) : "Any repository"}
            </span>
          </Button>
        }
      >
        <MenuItem onSelect={() => onChange({ repositoryUrl: "" })}>Any repository</MenuItem>
        {repositories.map((url) => (
          <MenuItem key={url} onSelect={() => onChange({ repositoryUrl: url })} title={url}>
            <span className="truncate">{repositoryName(url)}</span>
          </MenuItem>
        ))}
      </Menu>
      <Button
        aria-pressed={filter.archived}
        className={filter.archived ? "border-accent bg-accent-soft hover:bg-accent-soft" : undefined}
        onClick={() => onChange({ archived: !filter.archived })}
      >
        <Archive size={16} aria-hidden />
        Archived
      </Button>
      {isFiltered(filter) && (
        <Button variant="ghost" onClick={() => onChange(NO_FILTER)}>
          <X size={16} aria-hidden />
          Clear
        </Button>
      )}
    </div>
  );
}

function SearchBox({ q, onChange }: { q: string; onChange: (change: Partial<ListFilter>) => void }) {
  const [text, setText] = useState(q);
  const settled = useDebounced(text, 250);
  const sent = useRef(q);
  useEffect(() => {
    if (settled === sent.current) return;
    sent.current = settled;
    onChange({ q: settled });
  }, [settled, onChange]);
  // The address was changed by something else: a link, the way back, or "Clear".
  useEffect(() => {
    if (q === sent.current) return;
    sent.current = q;
    setText(q);
  }, [q]);
  return (
    <div className="relative w-full min-w-40 sm:w-72">
      <Search
        size={16}
        aria-hidden
        className="-translate-y-1/2 pointer-events-none absolute top-1/2 left-3 text-muted"
      />
      <Input
        type="search"
        data-find
        aria-label="Find in requests"
        placeholder="Find in requests"
        maxLength={200}
        className="pl-9"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
    </div>
  );
}
