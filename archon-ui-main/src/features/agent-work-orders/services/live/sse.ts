/** The wire format of server-sent events, read from pieces of any size. Pure: knows no network. */

export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

/**
 * A reader to be fed with decoded text; it calls `onFrame` for every whole frame, also for one with an id and no data,
 * and `onRetry` with the milliseconds of a `retry:` line. A frame that is not ended yet waits for the rest.
 */
export function createSseReader(onFrame: (frame: Frame) => void, onRetry: (milliseconds: number) => void = () => {}) {
  let rest = "";
  let id: string | null = null;
  let event = "";
  let data: string[] = [];

  function take(line: string) {
    if (line === "") {
      if (id !== null || data.length > 0) onFrame({ id, event: event || "message", data: data.join("\n") });
      id = null;
      event = "";
      data = [];
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: the heartbeat
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") data.push(value);
    else if (name === "event") event = value;
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^[0-9]+$/.test(value)) onRetry(Number(value));
  }

  return (piece: string) => {
    rest += piece;
    let from = 0;
    for (;;) {
      const end = nextLineEnd(rest, from);
      if (end === -1) break;
      take(rest.slice(from, end));
      from = rest[end] === "\r" && rest[end + 1] === "\n" ? end + 2 : end + 1;
    }
    rest = rest.slice(from);
  };
}

/** Where the line ends; -1 while it is not known: a CR at the very end may be half of a CRLF. */
function nextLineEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === "\n") return at;
    if (text[at] === "\r") return at + 1 < text.length ? at : -1;
  }
  return -1;
}
