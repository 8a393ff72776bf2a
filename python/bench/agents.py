"""Stand-ins for the Claude Code program: they start at once and say just enough to be believed."""

import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

VERSION = "2.1.330 (Claude Code)"


def init() -> dict[str, Any]:
    return {
        "type": "system",
        "subtype": "init",
        "session_id": "00000000-0000-4000-8000-000000000000",
        "model": "bench",
        "claude_code_version": VERSION.split()[0],
    }


def spoken(text: str) -> dict[str, Any]:
    message = {"id": "msg", "role": "assistant", "model": "bench", "content": [{"type": "text", "text": text}]}
    return {"type": "assistant", "message": message, "parent_tool_use_id": None, "session_id": init()["session_id"]}


def result() -> dict[str, Any]:
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "Done.",
        "session_id": init()["session_id"],
        "num_turns": 1,
        "total_cost_usd": 0.0,
        "modelUsage": {},
        "permission_denials": [],
        "terminal_reason": "completed",
    }


def lines(*entries: dict[str, Any]) -> str:
    return "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)


class Starts:
    """Hears of agents that start. They say it into a named pipe, which costs a shell no process of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "started"
        os.mkfifo(self.path)
        # Also open for writing, so that neither side ever waits for the other to open it.
        self._pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""

    def wait(self, seconds: float) -> tuple[str, float]:
        """The order whose agent started, and when that was heard, in seconds since 1970. TimeoutError if none does."""
        heard_at = time.time()
        while b"\n" not in self._rest:
            if not select.select([self._pipe], [], [], seconds)[0]:
                raise TimeoutError("no agent started")
            heard_at = time.time()
            self._rest += os.read(self._pipe, 1 << 16)
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode().partition(".")[0], heard_at

    def close(self) -> None:
        os.close(self._pipe)


def starting(folder: Path, starts: Starts, seconds: float = 0) -> Path:
    """Says that it started before anything else; then says a word and ends after a while.

    A shell, because it starts in less than a millisecond.
    """
    (folder / "said.jsonl").write_text(lines(init(), spoken("Hello."), result()))
    return _program(
        folder,
        _head(starts) + (f"sleep {seconds}\n" if seconds else "") + f"exec cat '{folder}/said.jsonl'\n",
    )


def trickling(folder: Path, count: int, pause: float) -> Path:
    """Says a line now and then, each with the time at which it was printed, in nanoseconds since 1970."""
    return _speaking(folder, count, f"time.sleep({pause})", "str(time.time_ns())")


def talking(folder: Path, count: int, pause: float, stops: tuple[int, ...] = ()) -> Path:
    """Says a paragraph now and then, as long as what an agent says in a line on average, or twice that.

    After each of the `stops`, which count lines, it is silent until it may `go_on`. A paragraph begins with its number.
    """
    words = "It reads the file again, line by line, and finds nothing that the tests had not told it before. " * 3
    wait = (
        f"while number in {stops} and not os.path.exists(f'{folder}/after-{{number}}'): time.sleep(0.01)\n"
        f"    time.sleep({pause})"
    )
    return _speaking(folder, count, wait, f"str(number) + {' ' + words!r}")


def go_on(folder: Path, stop: int) -> None:
    """Lets the agent that stopped there say more."""
    (folder / f"after-{stop}").touch()


def working(folder: Path, count: int, seconds: float) -> Path:
    """Says so many lines in about that time, and leaves a change with a check of its own that passes."""
    makefile = "test:\n\ttrue\n"
    return _speaking(
        folder, count, f"time.sleep({seconds} / {count})", "str(number)", f"open('Makefile', 'w').write({makefile!r})"
    )


def _speaking(folder: Path, count: int, wait: str, words: str, at_last: str = "pass") -> Path:
    """Says so many lines of `words`, each after it did what `wait` says, and then does something; all in Python."""
    head, tail = lines(init()), lines(result())
    before, after = lines(spoken("@")).split("@")
    return _program(
        folder,
        f"#!{sys.executable} -SIE\n"
        "import os, sys, time\n"
        f"if '--version' in sys.argv: sys.exit(print({VERSION!r}))\n"
        "say = lambda text: (sys.stdout.write(text), sys.stdout.flush())\n"
        f"say({head!r})\n"
        f"for number in range({count}):\n"
        f"    {wait}\n"
        f"    say({before!r} + {words} + {after!r})\n"
        f"{at_last}\n"
        f"say({tail!r})\n",
    )


def bursting(folder: Path, starts: Starts, count: int) -> Path:
    """Says that it started, then prints so many lines, numbered from 0, as fast as `cat` can."""
    # As long as what an agent says in a line, on average.
    words = "It reads the file again, line by line, and finds nothing that the tests would not have told it before."
    with (folder / "burst.jsonl").open("w") as file:
        file.write(lines(init()))
        file.writelines(lines(spoken(f"{number} {words}")) for number in range(count))
        file.write(lines(result()))
    return _program(folder, _head(starts) + f"exec cat '{folder}/burst.jsonl'\n")


def _head(starts: Starts) -> str:
    return f"#!/bin/sh\ncase $1 in --version) echo '{VERSION}'; exit;; esac\necho \"$AWO_RUN_ID\" >'{starts.path}'\n"


def _program(folder: Path, text: str) -> Path:
    program = folder / "claude"
    program.write_text(text)
    program.chmod(0o755)
    return program
