import { useEffect } from "react";
import { useMediaQuery } from "./useMediaQuery";
import { useStored } from "./useStored";

export type Theme = "system" | "light" | "dark";

/** What the person wants and a way to change it; `index.html` reads the same key before the first paint. */
export function useTheme(): [Theme, (theme: Theme) => void] {
  const [stored, setTheme] = useStored<Theme>("local", "archon-theme", "system");
  const theme = stored === "light" || stored === "dark" ? stored : "system";
  const systemDark = useMediaQuery("(prefers-color-scheme: dark)");
  const dark = theme === "dark" || (theme === "system" && systemDark);
  useEffect(() => {
    document.documentElement.classList.toggle("dark", dark);
  }, [dark]);
  return [theme, setTheme];
}
