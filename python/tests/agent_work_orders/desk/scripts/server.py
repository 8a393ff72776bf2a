"""As much of a server as obeys settings: a line of JSON each time that what it would do changes, until stdin ends."""

import json
import os
import sys

import anyio
from anyio import to_thread

from src.agent_work_orders.desk.live import LiveSettings
from src.agent_work_orders.host import HostSecrets, HostSettings


async def main() -> None:
    live, secrets = LiveSettings(os.environ, HostSettings()), HostSecrets()
    await live.open()
    async with anyio.create_task_group() as group:
        group.start_soon(live.run)
        group.start_soon(tell, live, secrets)
        await to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        group.cancel_scope.cancel()


async def tell(live: LiveSettings, secrets: HostSecrets) -> None:
    told = ""
    while True:
        now = live.current()
        token = await secrets.get("GITHUB_TOKEN")
        line = json.dumps(
            {"slots": now.max_concurrent, "model": now.claude_model, "token": token, "bad": live.problems}
            | {"retention": now.retention_days}
        )
        if line != told:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
            told = line
        await anyio.sleep(0.05)


if __name__ == "__main__":
    anyio.run(main)
