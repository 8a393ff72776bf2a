import { useEffect, useRef } from "react";

/** Something that the palette can do for the page that offers it. */
export interface Command {
  id: string;
  group: string;
  label: string;
  /** The key that does the same, where there is one. */
  keys?: string;
  run: () => void;
}

const sources = new Set<() => Command[]>();

/** Offers commands for as long as the component is there. */
export function useCommands(commands: Command[]): void {
  const latest = useRef(commands);
  latest.current = commands;
  useEffect(() => {
    const source = () => latest.current;
    sources.add(source);
    return () => void sources.delete(source);
  }, []);
}

/** What can be done now, whoever offers it. */
export const commandsNow = (): Command[] => [...sources].flatMap((source) => source());
