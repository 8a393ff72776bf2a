/** Terminal output as pieces of text with classes of our own colours. Pure. */
import Anser from "anser";

export interface Piece {
  text: string;
  className: string;
}

const COLOURS: Record<string, string> = {
  "ansi-red": "text-failed",
  "ansi-bright-red": "text-failed",
  "ansi-green": "text-completed",
  "ansi-bright-green": "text-completed",
  "ansi-yellow": "text-waiting",
  "ansi-bright-yellow": "text-waiting",
  "ansi-blue": "text-pending",
  "ansi-bright-blue": "text-pending",
  "ansi-cyan": "text-running",
  "ansi-bright-cyan": "text-running",
  "ansi-magenta": "text-accent",
  "ansi-bright-magenta": "text-accent",
  "ansi-bright-black": "text-muted",
};

/** Each line as a terminal leaves it: what stands after the last carriage return has overwritten what was before. */
export function settle(text: string): string {
  if (!text.includes("\r")) return text;
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.slice(line.replace(/\r+$/, "").lastIndexOf("\r") + 1).replace(/\r+$/, ""))
    .join("\n");
}

export function piecesOf(text: string): Piece[] {
  const settled = settle(text);
  if (!settled.includes("\u001b")) return [{ text: settled, className: "" }];
  return Anser.ansiToJson(settled, { use_classes: true, remove_empty: true, json: true }).map((part) => ({
    text: part.content,
    className: [COLOURS[part.fg ?? ""] ?? "", part.decorations.includes("bold") ? "font-semibold" : ""]
      .join(" ")
      .trim(),
  }));
}
