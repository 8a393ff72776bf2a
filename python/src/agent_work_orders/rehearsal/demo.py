"""`make demo`: starts the server in rehearsal mode, files one order and prints what happens until its pull request.

It uses the HTTP API and git like any client would; it reaches into nothing. KEEP=1 leaves the server running.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx

# What the server may see of this shell: a demo must not use a real key by accident.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "CLAUDE_CLI_PATH",
    "COVERAGE_PROCESS_START",
    "COVERAGE_PROCESS_CONFIG",
)
Process = subprocess.Popen[bytes]  # noqa: TID251 - the demo is a client with one child, and ends it itself
START_WITHIN = 30.0
ORDER_WITHIN = 180.0
WIDTH = 110


class DemoFailed(Exception):
    """The demo did not end as it should; the text says what to look at."""


def main() -> int:
    keep = os.environ.get("KEEP", "") not in ("", "0")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="awo-demo-", ignore_cleanup_errors=True) as home:
        try:
            with server(Path(home)) as (address, log):
                play(address, log)
                say(f"\nThe whole demo took {time.monotonic() - began:.1f} s.")
                if keep:
                    wait_for_the_end(address, Path(home))
        except DemoFailed as failure:
            print(f"\nThe demo failed: {failure}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            say("\nStopped.")
            return 130
    return 0


def play(address: str, log: Path) -> None:
    """One order from words to a pull request. Raises DemoFailed if it ends any other way."""
    with httpx.Client(base_url=f"{address}/api/awo", timeout=30) as client:
        rehearsal = client.get("/status").json()["rehearsal"]
        say("A rehearsal: model and GitHub's server are pretended; git, Claude Code and the tests are real.\n")
        body = {"repository_url": rehearsal["repository_url"], "user_request": rehearsal["request"]}
        answer = client.post("/work-orders", json=body)
        if answer.status_code != 202:
            raise DemoFailed(f"the order was refused: {answer.text}")
        order = answer.json()
        say(f"server       {address}")
        say(f"repository   {order['repository_url']}")
        say(f"request      {order['user_request']}")
        say(f"work order   {order['agent_work_order_id']}\n")
        follow(client, order["agent_work_order_id"])
        order = client.get(f"/work-orders/{order['agent_work_order_id']}").json()
        if order["status"] != "completed":
            raise DemoFailed(
                f"the order is {order['status']} ({order['failure_class']}): {order['error_message']} "
                f"{order['next_action'] or ''}\nThe server's log ends like this:\n{tail_of(log)}"
            )
        show_steps(order)
        show_evidence(client, order)
        show_commits(order)
        show_pull_request(order, rehearsal["github_api_url"])


def follow(client: httpx.Client, order_id: str) -> None:
    """Prints the events as they come, until the stream ends by itself."""
    heading("Live events")
    began, kind = time.monotonic(), ""
    with client.stream("GET", f"/work-orders/{order_id}/events/stream", timeout=ORDER_WITHIN) as stream:
        for line in stream.iter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                say(f"{time.monotonic() - began:6.1f} s  {kind:<20} {cut(sentence(event), WIDTH - 31)}")


def sentence(event: dict[str, Any]) -> str:
    """One line for an event, in the words a person wants first."""
    payload = event["payload"]
    match event["kind"]:
        case "tool_used":
            given = payload["input"]
            return f"{payload['tool']}  {given.get('command') or given.get('file_path') or json.dumps(given)}"
        case "tool_returned":
            return ("error: " if payload["is_error"] else "") + str(payload["output"]).strip()
        case "agent_spoke":
            return str(payload["text"])
        case "usage_counted":
            return used(payload)
        case "step_started":
            return str(payload["step_name"])
        case "step_finished":
            return f"{payload['step_name']}: {payload['status']} in {payload['duration_seconds']:.1f} s"
        case "check_run":
            return f"{payload['command']}: exit code {payload['exit_code']} on {payload['commit'][:12]}"
        case "order_finished":
            return f"{payload['status']}: {payload['summary']}"
    return "  ".join(str(value) for value in payload.values() if value not in (None, [], ""))


def used(counted: dict[str, Any]) -> str:
    tokens = f"{counted['input_tokens']:,} tokens in, {counted['output_tokens']:,} out"
    return f"{tokens}, {counted['cost_usd']:.4f} US dollars"


def show_steps(order: dict[str, Any]) -> None:
    heading("Steps")
    for step in order["steps"]:
        say(
            f"{step['step_order']}  {step['step_name']:<15} {step['status']:<10} {step['duration_seconds']:6.1f} s"
            f"  {cut(step['output'] or '', 60)}"
        )
    say(f"   {used(order)} (scripted numbers)")


def show_evidence(client: httpx.Client, order: dict[str, Any]) -> None:
    heading("Evidence")
    page = client.get(f"/work-orders/{order['agent_work_order_id']}/events", params={"kind": "check_run"}).json()
    if not page["events"]:
        raise DemoFailed("the server ran no check.")
    evidence = page["events"][-1]["payload"]
    say(f"the server ran `{evidence['command']}` ({evidence['source']}) on commit {evidence['commit'][:12]}:")
    say(f"exit code {evidence['exit_code']} in {evidence['duration_seconds']:.1f} s; its output ends with")
    for line in evidence["output_tail"].strip().splitlines()[-4:]:
        say(f"    {cut(line, WIDTH - 4)}")


def show_commits(order: dict[str, Any]) -> None:
    heading("Pushed commits (git log of the remote)")
    with tempfile.TemporaryDirectory() as empty:
        clean = {"PATH": os.environ["PATH"], "HOME": empty, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}

        def git(*arguments: str) -> str:
            done = subprocess.run(
                ["git", *arguments], cwd=empty, env=clean, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise DemoFailed(f"git {arguments[0]} of the remote failed: {done.stderr.strip()}")
            return done.stdout.rstrip()

        git("clone", "--quiet", "--bare", "--", order["repository_url"], "remote.git")
        reach = f"{order['base_branch']}..{order['git_branch_name']}"
        log = git("--git-dir=remote.git", "log", "--stat", "--format=%h %an: %s", reach)
    if not log:
        raise DemoFailed("the remote has no new commit on the branch.")
    say(log)


def show_pull_request(order: dict[str, Any], api: str) -> None:
    heading("Pull request (as the forge holds it)")
    owner, name = urlsplit(order["repository_url"]).path.strip("/").split("/")
    number = order["github_pull_request_url"].rsplit("/", 1)[-1]
    found = httpx.get(f"{api}/repos/{owner}/{name}/pulls/{number}", timeout=10).json()
    if found.get("state") != "open":
        raise DemoFailed(f"the forge has no open pull request: {found}")
    say(f"#{found['number']} {found['title']}   ({found['head']['ref']} into {found['base']['ref']}, {found['state']})")
    say(f"{found['html_url']}\n")
    for line in found["body"].splitlines()[:24]:
        say(f"    {cut(line, WIDTH - 4)}")


def wait_for_the_end(address: str, home: Path) -> None:
    api = f"{address}/api/awo"
    heading("Left running: what to try next")
    say(f'file an order    curl -s {api}/work-orders --json \'{{"repository_url": …, "user_request": "…"}}\'')
    say(f"list orders      curl -s {api}/work-orders")
    say(f"watch one        curl -N {api}/work-orders/wo-…/events/stream")
    say(f"read its diff    curl -s -H 'Accept: text/x-diff' {api}/work-orders/wo-…/diff")
    say(f"every route      {address}/docs")
    say(f"its files        {home}\n\nCtrl-C stops the server and removes its files.")
    signal.pause()


@contextmanager
def server(home: Path) -> Iterator[tuple[str, Path]]:
    """The real server as its own process, in rehearsal mode; its address and its log."""
    port, log = free_port(), home / "server.log"
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {
        "ARCHON_AWO_ENABLED": "true",
        "AWO_REHEARSAL": "1",
        "ARCHON_HOME": str(home / "archon"),
        "ARCHON_SERVER_PORT": str(port),
        "HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "src.server.main"]
    with log.open("wb") as sink, start(command, environment, sink) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until_healthy(address, process, log)
            yield address, log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()


def start(command: list[str], environment: dict[str, str], sink: IO[bytes]) -> Process:
    return Process(command, env=environment, stdout=sink, stderr=sink)


def wait_until_healthy(address: str, process: Process, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed(f"the server ended at its start:\n{tail_of(log)}")
        try:
            health = httpx.get(f"{address}/api/awo/health", timeout=10).json()
        except (httpx.TransportError, ValueError):
            time.sleep(0.05)
            continue
        if broken := [check for check in health["checks"] if check["required"] and not check["ok"]]:
            raise DemoFailed(" ".join(f"{check['detail']} {check['next_action']}" for check in broken))
        return
    raise DemoFailed(f"the server did not answer within {START_WITHIN:.0f} s:\n{tail_of(log)}")


def free_port() -> int:
    """8181 if it is free, else any."""
    for port in (8181, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoFailed("no port is free on this machine.")


def heading(text: str) -> None:
    say(f"\n── {text} " + "─" * max(0, WIDTH - len(text) - 4))


def cut(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def tail_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
