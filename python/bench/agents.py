"""Stand-ins for the Claude Code program that the bench writes: they start at once and say just enough to be believed."""

import json
import sys
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


def starting(folder: Path, seconds: float = 0) -> Path:
    """Notes in `started/<run id>` when it started, in nanoseconds since 1970; then says a word and ends after a while.

    A shell, because it starts in a millisecond; noting the time costs it another, which is counted against us.
    """
    (folder / "started").mkdir()
    (folder / "said.jsonl").write_text(lines(init(), spoken("Hello."), result()))
    return _program(
        folder,
        "#!/bin/sh\n"
        f"case $1 in --version) echo '{VERSION}'; exit;; esac\n"
        f"date +%s%N >'{folder}/started/'\"$AWO_RUN_ID\"\n"
        + (f"sleep {seconds}\n" if seconds else "")
        + f"exec cat '{folder}/said.jsonl'\n",
    )


def started_at(folder: Path, order_id: str) -> float | None:
    """When the agent of an order started, in seconds since 1970; None as long as it has not."""
    for note in (folder / "started").glob(f"{order_id}.*"):
        if text := note.read_text().strip():
            return int(text) / 1e9
    return None


def trickling(folder: Path, count: int, pause: float) -> Path:
    """Says a line now and then, each with the time at which it was printed, in nanoseconds since 1970."""
    head, tail = lines(init()), lines(result())
    before, after = lines(spoken("@")).split("@")
    return _program(
        folder,
        f"#!{sys.executable} -SIE\n"
        "import sys, time\n"
        f"if '--version' in sys.argv: sys.exit(print({VERSION!r}))\n"
        "say = lambda text: (sys.stdout.write(text), sys.stdout.flush())\n"
        f"say({head!r})\n"
        f"for _ in range({count}):\n"
        f"    time.sleep({pause})\n"
        f"    say({before!r} + str(time.time_ns()) + {after!r})\n"
        f"say({tail!r})\n",
    )


def bursting(folder: Path, count: int) -> Path:
    """Prints so many lines, numbered from 0, as fast as a pipe-less `cat` can, and notes when it began."""
    (folder / "started").mkdir()
    # As long as what an agent says in a line, on average.
    words = "It reads the file again, line by line, and finds nothing that the tests would not have told it before."
    with (folder / "burst.jsonl").open("w") as file:
        file.write(lines(init()))
        file.writelines(lines(spoken(f"{number} {words}")) for number in range(count))
        file.write(lines(result()))
    return _program(
        folder,
        "#!/bin/sh\n"
        f"case $1 in --version) echo '{VERSION}'; exit;; esac\n"
        f"date +%s%N >'{folder}/started/'\"$AWO_RUN_ID\"\n"
        f"exec cat '{folder}/burst.jsonl'\n",
    )


def _program(folder: Path, text: str) -> Path:
    program = folder / "claude"
    program.write_text(text)
    program.chmod(0o755)
    return program
