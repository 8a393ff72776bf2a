"""Where the credentials are not: all that a run writes, streams, stores, starts or sends is searched for them."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon, Order
from .conftest import Play, StartArchon
from .processes import command_lines
from .remote import Remote
from .scripts import bash, executing, in_step, says


def forms_of(secret: str) -> set[str]:
    """The secret as it is and as programs encode it; of base64 what any text around it leaves of it."""
    forms = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.encode().hex(), secret[::-1]}
    for lead in range(3):
        forms.add(base64.b64encode(b"x" * lead + secret.encode()).decode()[4:-4])
    return forms


def found_in(texts: dict[str, str], stage: Stage) -> list[str]:
    """Names of the texts that hold a credential in any form."""
    needles = forms_of(stage.github_token) | forms_of(stage.anthropic_api_key)
    return [name for name, text in texts.items() if any(needle in text for needle in needles)]


def everything_told(order: Order) -> dict[str, str]:
    """What anybody can read of an order over HTTP."""
    texts = {f"event {event.seq}": json.dumps(event.payload) for event in order.events()}
    return {"order": json.dumps(order.now()), "diff": json.dumps(order.diff()), **texts, **order.artifacts()}


def files_below(*folders: Path) -> dict[str, str]:
    """Every file, byte by byte."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): path.read_bytes().decode("latin-1") for path in files}


@contextmanager
def sampled_command_lines() -> Iterator[set[str]]:
    """The arguments of everything that was seen running while the block ran."""
    seen: set[str] = set()
    done = threading.Event()

    def sample() -> None:
        while not done.wait(0.01):
            seen.update(arguments for _, arguments in command_lines())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_the_credentials_of_a_whole_order_are_nowhere(
    start_traced_archon: StartArchon, stage: Stage, play: Play, remote: Remote
) -> None:
    archon = start_traced_archon()
    play(
        in_step("planning", says("# The plan")),
        executing(bash("echo hello > hello.txt; git remote -v; git config --list; cat .git/config"), says("Done.")),
        in_step("prp-review", says("Well.")),
    )

    with sampled_command_lines() as arguments:
        order = archon.file(remote.url, workflow_type="agent_workflow_plan")
        order.completed()

    # The sample is worth something: it saw the agent and git at work.
    assert any("--output-format" in line for line in arguments)
    assert any(line.startswith("git\0") or "/git\0" in line for line in arguments)
    assert found_in({line: line for line in arguments}, stage) == []
    assert found_in(everything_told(order), stage) == []
    assert found_in({"log": archon.log}, stage) == []
    # Spans, database, artifacts, mirrors, checkouts, the agent's own home: whatever the server left on the disk.
    left = files_below(archon.home)
    assert any(path.endswith("awo.db") for path in left)
    assert any(path.endswith("spans.jsonl") and '"work order"' in text for path, text in left.items())
    assert any(path.endswith(".git/config") for path in left)
    assert found_in(left, stage) == []
    [pull_request] = remote.pull_requests()
    assert found_in({"pull request": f"{pull_request.title} {pull_request.body}"}, stage) == []


def test_the_agent_s_tools_see_no_credential_but_the_model_s(archon: Archon, play: Play, remote: Remote) -> None:
    play(executing(bash("env | cut -d= -f1 | sort"), says("Done.")))

    order = archon.file(remote.url)
    order.completed()

    [returned] = order.events("tool_returned")
    names = set(returned.payload["output"].split())
    assert {"PATH", "HOME", "AWO_RUN_ID", "ANTHROPIC_API_KEY"} <= names
    assert not {name for name in names if "GITHUB" in name or "SUPABASE" in name or "ARCHON" in name or "TOKEN" in name}


def test_an_agent_that_gives_its_key_away_is_masked_and_its_change_is_not_pushed(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote
) -> None:
    archon = start_archon()
    shown = 'env; printf %s "$ANTHROPIC_API_KEY" | base64 -w0; echo; printf "x:%s" "$ANTHROPIC_API_KEY" | base64 -w0'
    written = 'echo "key = $ANTHROPIC_API_KEY" > settings.ini; printf %s "$ANTHROPIC_API_KEY" | base64 -w0 > key.b64'
    play(executing(bash(shown), bash(written), says("I wrote the key down.")))

    order = archon.file(remote.url)
    failed = order.failed("policy")

    assert "settings.ini" in failed["error_message"]
    assert "key.b64" in failed["error_message"]
    [checked] = order.events("policy_checked")
    assert (checked.payload["passed"], len(checked.payload["problems"])) == (False, 2)
    # It was printed, and what is told of it is a mask.
    assert "ANTHROPIC_API_KEY=[REDACTED]" in order.events("tool_returned")[0].payload["output"]
    assert found_in(everything_told(order), stage) == []
    assert found_in({"log": archon.log}, stage) == []
    # On the disk it is where the agent alone put it: in its own home and its own checkout.
    left = files_below(archon.home)
    own = (f"/work-orders/{order.id}/home/", f"/repositories/{order.id}/")
    kept = {path: text for path, text in left.items() if not any(folder in path for folder in own)}
    assert any("/outputs/" in path for path in kept)
    assert any("awo.db" in path for path in kept)
    assert found_in(kept, stage) == []
    assert remote.branches() == ["main"]
    assert remote.pull_requests() == []
