import { Check, Monitor, Moon, Sun } from "lucide-react";
import { type Theme, useTheme } from "@/features/shared/hooks/useTheme";
import { Button, Menu, MenuItem } from "@/features/ui/primitives";

const THEMES: { theme: Theme; label: string; icon: typeof Sun }[] = [
  { theme: "system", label: "As the system", icon: Monitor },
  { theme: "light", label: "Light", icon: Sun },
  { theme: "dark", label: "Dark", icon: Moon },
];

export function ThemeSwitch() {
  const [theme, setTheme] = useTheme();
  const Now = THEMES.find((one) => one.theme === theme)?.icon ?? Monitor;
  return (
    <Menu
      trigger={
        <Button variant="ghost" size="icon" aria-label={`Colours: ${theme}`} title="Colours">
          <Now size={18} aria-hidden />
        </Button>
      }
    >
      {THEMES.map(({ theme: one, label, icon: Icon }) => (
        <MenuItem key={one} onSelect={() => setTheme(one)}>
          <Icon size={16} aria-hidden />
          <span className="flex-1">{label}</span>
          {one === theme && <Check size={16} aria-label="chosen" />}
        </MenuItem>
      ))}
    </Menu>
  );
}
