import { describe, expect, test } from "vitest";
import { createSseReader, type Frame } from "./sse";

const WIRE =
  'retry: 2000\n\nid: 7\nevent: agent_spoke\ndata: {"a":1}\ndata: two\n\n: still here\n\nid: 8\n\ndata:no id\n\nid: 9\nevent: cut';

function read(pieces: string[]): { frames: Frame[]; retries: number[] } {
  const frames: Frame[] = [];
  const retries: number[] = [];
  const feed = createSseReader(
    (frame) => frames.push(frame),
    (wait) => retries.push(wait),
  );
  for (const piece of pieces) feed(piece);
  return { frames, retries };
}

const WHOLE: Frame[] = [
  { id: "7", event: "agent_spoke", data: '{"a":1}\ntwo' },
  { id: "8", event: "message", data: "" },
  { id: null, event: "message", data: "no id" },
];

describe("server-sent events", () => {
  test("are read whole; what is cut waits for the rest", () => {
    expect(read([WIRE])).toEqual({ frames: WHOLE, retries: [2000] });
  });

  test("are the same wherever the pieces are cut", () => {
    for (let at = 1; at < WIRE.length; at += 1) {
      expect(read([WIRE.slice(0, at), WIRE.slice(at)]).frames).toEqual(WHOLE);
    }
    expect(read([...WIRE]).frames).toEqual(WHOLE);
  });

  test("may end their lines as Windows does, also across pieces", () => {
    const windows = WIRE.replaceAll("\n", "\r\n");
    expect(read([windows]).frames).toEqual(WHOLE);
    expect(read([...windows]).frames).toEqual(WHOLE);
  });
});
