import { memo } from "react";
import { cn } from "../host";
import { piecesOf } from "../utils/terminal";

/** What a program printed, with its colours. */
export const TerminalText = memo(function TerminalText({ text, className }: { text: string; className?: string }) {
  return (
    <pre className={cn("whitespace-pre-wrap break-words font-mono text-code", className)}>
      {piecesOf(text).map((piece, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one text never move
        <span key={at} className={piece.className}>
          {piece.text}
        </span>
      ))}
    </pre>
  );
});
