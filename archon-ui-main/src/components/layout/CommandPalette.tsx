import * as Dialog from "@radix-ui/react-dialog";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Command } from "cmdk";
import { useRef, useState } from "react";
import { useNavigate } from "react-router-dom";
import { StatusBadge } from "@/features/agent-work-orders/components/StatusBadge";
import { workOrderKeys } from "@/features/agent-work-orders/hooks/keys";
import { NO_FILTER, workOrderService } from "@/features/agent-work-orders/services/workOrderService";
import { headline, repositoryName } from "@/features/agent-work-orders/utils/words";
import { commandsNow, type Command as Offered } from "@/features/shared/hooks/useCommands";
import { useDebounced } from "@/features/shared/hooks/useDebounced";
import { Key } from "@/features/ui/primitives";
import { useOpener } from "@/features/ui/primitives/opener";
import { portalHome } from "@/features/ui/primitives/portal";
import { PATHS } from "@/paths";
import { NAVIGATION } from "@/routes";

interface CommandPaletteProps {
  open: boolean;
  onOpenChange: (open: boolean) => void;
}

/** Goes anywhere and does anything by a few letters: what this page offers, the pages, the orders. */
export default function CommandPalette({ open, onOpenChange }: CommandPaletteProps) {
  const opener = useOpener(open);
  const chosen = useRef<(() => void) | null>(null);
  return (
    <Dialog.Root open={open} onOpenChange={onOpenChange}>
      <Dialog.Portal container={portalHome()}>
        <Dialog.Overlay className="fixed inset-0 z-40 animate-fade-in bg-black/60" />
        <Dialog.Content
          aria-describedby={undefined}
          onCloseAutoFocus={(event) => {
            // The focus is back where it was before anything is done: a dialog that opens now returns it there.
            opener.onCloseAutoFocus(event);
            const run = chosen.current;
            chosen.current = null;
            run?.();
          }}
          className="fixed inset-x-3 top-[10vh] z-50 mx-auto flex max-h-[70dvh] max-w-160 animate-fade-in flex-col overflow-hidden rounded-lg border border-line bg-card text-ink"
        >
          <Dialog.Title className="sr-only">Find anything</Dialog.Title>
          <Choices
            onChoose={(run) => {
              chosen.current = run;
              onOpenChange(false);
            }}
          />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

const SHOWN_ORDERS = 6;
const ITEM =
  "flex min-h-10 cursor-pointer items-center gap-3 rounded-md px-3 text-sm data-[selected=true]:bg-accent-soft pointer-coarse:min-h-11";
const GROUP =
  "[&_[cmdk-group-heading]]:px-3 [&_[cmdk-group-heading]]:pt-2 [&_[cmdk-group-heading]]:pb-1 [&_[cmdk-group-heading]]:text-muted [&_[cmdk-group-heading]]:text-xs";

function Choices({ onChoose }: { onChoose: (run: () => void) => void }) {
  const [text, setText] = useState("");
  const navigate = useNavigate();
  const search = text.trim();
  const go = (path: string) => () => navigate(path);
  const pages: Offered[] = NAVIGATION.map(({ path, label, key }) => ({
    id: path,
    group: "Go to",
    label,
    keys: path === PATHS.newWorkOrder ? "c" : `g ${key}`,
    run: go(path),
  }));
  const groups = new Map<string, Offered[]>();
  for (const one of [...commandsNow(), ...pages].filter(matching(search)))
    groups.set(one.group, [...(groups.get(one.group) ?? []), one]);
  // What the page itself offers comes first, who one is comes last.
  const [you, others] = [groups.get("You") ?? [], [...groups].filter(([group]) => group !== "You")];
  const orders = useOrders(search);
  const nothing = groups.size === 0 && orders.found.length === 0;
  return (
    <Command label="Find anything" shouldFilter={false} loop className="flex min-h-0 flex-col">
      <Command.Input
        autoFocus
        value={text}
        onValueChange={setText}
        placeholder="Where to, which order, or what to do?"
        className="min-h-12 border-line border-b bg-transparent px-4 text-base outline-none"
      />
      <Command.List label="Choices" className="min-h-0 overflow-y-auto p-1">
        {others.map(([group, commands]) => (
          <Group key={group} heading={group} commands={commands} onChoose={onChoose} />
        ))}
        {orders.found.length > 0 && (
          <Command.Group heading={search ? "Work orders with these words" : "Newest work orders"} className={GROUP}>
            {orders.found.map((order) => (
              <Command.Item
                key={order.agent_work_order_id}
                value={order.agent_work_order_id}
                className={ITEM}
                onSelect={() => onChoose(go(PATHS.workOrder.replace(":id", order.agent_work_order_id)))}
              >
                <span className="min-w-0 flex-1">
                  <span className="block truncate">{headline(order.user_request)}</span>
                  <span className="block truncate text-muted text-xs">{repositoryName(order.repository_url)}</span>
                </span>
                <StatusBadge order={order} className="text-xs" />
              </Command.Item>
            ))}
          </Command.Group>
        )}
        {you.length > 0 && <Group heading="You" commands={you} onChoose={onChoose} />}
        {nothing && (
          <p className="px-3 py-6 text-center text-muted" role="status">
            {orders.looking ? "Looking…" : `Nothing has “${search}” in its name.`}
          </p>
        )}
      </Command.List>
    </Command>
  );
}

interface GroupProps {
  heading: string;
  commands: Offered[];
  onChoose: (run: () => void) => void;
}

function Group({ heading, commands, onChoose }: GroupProps) {
  return (
    <Command.Group heading={heading} className={GROUP}>
      {commands.map(({ id, label, keys, run }) => (
        <Command.Item key={id} value={id} className={ITEM} onSelect={() => onChoose(run)}>
          <span className="min-w-0 flex-1 truncate">{label}</span>
          {keys && (
            <span aria-hidden className="hidden sm:inline">
              <Key>{keys}</Key>
            </span>
          )}
        </Command.Item>
      ))}
    </Command.Group>
  );
}

/** Every word that was typed is in the label or its group, in whatever order. */
function matching(search: string): (command: Offered) => boolean {
  const words = search.toLowerCase().split(/\s+/);
  return ({ label, group }) => words.every((word) => `${label} ${group}`.toLowerCase().includes(word));
}

/** Orders with the words in their request, or the one whose identifier was pasted. */
function useOrders(search: string) {
  const settled = useDebounced(search, 150);
  const isId = /^wo-[0-9a-f]{4,}$/i.test(settled);
  const { data, isFetching } = useQuery({
    queryKey: [...workOrderKeys.all, "palette", settled],
    queryFn: async ({ signal }) => {
      if (isId) return [await workOrderService.read(settled.toLowerCase(), signal)];
      const page = await workOrderService.list({ ...NO_FILTER, q: settled }, null, SHOWN_ORDERS, signal);
      return page.work_orders;
    },
    placeholderData: keepPreviousData,
    staleTime: 5_000,
    retry: false,
  });
  const looking = isFetching || settled !== search;
  // Until the server answers: what of the last answer fits the new words.
  const fits = ({ user_request }: { user_request: string }) =>
    user_request.toLowerCase().includes(search.toLowerCase());
  return { found: (data ?? []).filter((order) => !looking || fits(order)), looking };
}
