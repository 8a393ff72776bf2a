"""How the server waits for its child processes."""

import subprocess
import sys

PROGRAM = """
import asyncio, threading
from src.server.main import _watch_children_without_threads

async def main():
    _watch_children_without_threads()
    child = await asyncio.create_subprocess_exec("sleep", "60")
    print(threading.active_count())
    child.kill()
    print(await child.wait())

with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:  # as uvicorn does: nobody is told of the loop
    runner.run(main())
"""


def test_a_child_process_costs_the_server_no_thread() -> None:
    said = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert said.stdout.split() == ["1", "-9"], said.stderr
