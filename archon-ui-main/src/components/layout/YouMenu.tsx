import { Check, CircleUser, LogOut, Monitor, Moon, PenLine, Search, Sun } from "lucide-react";
import { useState } from "react";
import { asApiError, isUserName, setUserName, userName } from "@/features/agent-work-orders/services/client";
import { isSignedIn, signOut } from "@/features/agent-work-orders/services/session";
import { useCommands } from "@/features/shared/hooks/useCommands";
import { type Theme, useTheme } from "@/features/shared/hooks/useTheme";
import { Button, Dialog, Field, Input, Menu, MenuItem, MenuSeparator, useToast } from "@/features/ui/primitives";
import { openPalette } from "./Palette";

const THEMES: { theme: Theme; label: string; icon: typeof Sun }[] = [
  { theme: "system", label: "Colours as the system", icon: Monitor },
  { theme: "light", label: "Light", icon: Sun },
  { theme: "dark", label: "Dark", icon: Moon },
];

/** Who is at the screen, and in which colours. */
export function YouMenu() {
  const [theme, setTheme] = useTheme();
  const [name, setName] = useState(userName);
  const [naming, setNaming] = useState(false);
  const { showToast } = useToast();
  const leave = async () => {
    try {
      await signOut();
      // Nothing that was read stays on the screen.
      location.reload();
    } catch (failure) {
      const { message, nextAction } = asApiError(failure);
      showToast(`You are still signed in. ${message} ${nextAction}`, "error", 12_000);
    }
  };
  useCommands([
    { id: "name", group: "You", label: "Say who you are…", run: () => setNaming(true) },
    ...THEMES.filter((one) => one.theme !== theme).map(({ theme: one, label }) => ({
      id: `colours ${one}`,
      group: "You",
      label: one === "system" ? label : `${label} colours`,
      run: () => setTheme(one),
    })),
    ...(isSignedIn() ? [{ id: "leave", group: "You", label: "Sign out", run: () => void leave() }] : []),
  ]);
  return (
    <>
      <Menu
        trigger={
          <Button variant="ghost" size="icon" aria-label="You and your colours" title={name || "You and your colours"}>
            <CircleUser size={18} aria-hidden />
          </Button>
        }
      >
        <MenuItem onSelect={() => setNaming(true)}>
          <PenLine size={16} aria-hidden />
          {name ? `You are ${name}` : "Say who you are…"}
        </MenuItem>
        <MenuItem className="sm:hidden" onSelect={openPalette}>
          <Search size={16} aria-hidden />
          Find anything…
        </MenuItem>
        <MenuSeparator />
        {THEMES.map(({ theme: one, label, icon: Icon }) => (
          <MenuItem key={one} onSelect={() => setTheme(one)}>
            <Icon size={16} aria-hidden />
            <span className="flex-1">{label}</span>
            {one === theme && <Check size={16} aria-label="chosen" />}
          </MenuItem>
        ))}
        {isSignedIn() && (
          <>
            <MenuSeparator />
            <MenuItem onSelect={() => void leave()}>
              <LogOut size={16} aria-hidden />
              Sign out
            </MenuItem>
          </>
        )}
      </Menu>
      {naming && (
        <NameDialog
          name={name}
          onClose={() => setNaming(false)}
          onSave={(next) => {
            setUserName(next);
            setName(next.trim());
            setNaming(false);
          }}
        />
      )}
    </>
  );
}

interface NameDialogProps {
  name: string;
  onClose: () => void;
  onSave: (name: string) => void;
}

function NameDialog({ name, onClose, onSave }: NameDialogProps) {
  const [typed, setTyped] = useState(name);
  const wrong = !isUserName(typed);
  return (
    <Dialog
      open
      onOpenChange={(open) => open || onClose()}
      title="Who are you?"
      description="Your answers, messages and changes of settings carry this name. It is kept in this browser alone."
    >
      <form
        className="flex flex-col gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!wrong) onSave(typed);
        }}
      >
        <Field
          label="Name"
          problem={wrong ? "may have 80 plain letters, digits, spaces and . @ + - _ at most" : undefined}
        >
          {(control) => (
            <Input
              {...control}
              autoFocus
              autoComplete="name"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
        <Button type="submit" variant="primary" disabled={wrong}>
          Save
        </Button>
      </form>
    </Dialog>
  );
}
