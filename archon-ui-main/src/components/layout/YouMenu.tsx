import { Check, CircleUser, Monitor, Moon, PenLine, Sun } from "lucide-react";
import { useState } from "react";
import { isUserName, setUserName, userName } from "@/features/agent-work-orders/services/client";
import { type Theme, useTheme } from "@/features/shared/hooks/useTheme";
import { Button, Dialog, Field, Input, Menu, MenuItem, MenuSeparator } from "@/features/ui/primitives";

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
        <MenuSeparator />
        {THEMES.map(({ theme: one, label, icon: Icon }) => (
          <MenuItem key={one} onSelect={() => setTheme(one)}>
            <Icon size={16} aria-hidden />
            <span className="flex-1">{label}</span>
            {one === theme && <Check size={16} aria-label="chosen" />}
          </MenuItem>
        ))}
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
