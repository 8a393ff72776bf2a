"""The requests that our documents show, sent as they stand there: by curl itself, to a real server and real orders."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ..documents import Shown, program_of, shown_commands
from .archon import Archon, Order
from .conftest import Play
from .remote import Remote
from .scripts import WRITES_HELLO
from .test_conversation import answer, asks

REQUESTS = [shown for shown in shown_commands() if program_of(shown.words) == "curl"]
# What a reader puts his own in place of.
EXAMPLE_REPOSITORY = re.compile(r"https://github\.com/you/\w+")
EXAMPLE_ORDER = "wo-…"
EXAMPLE_SEQ = '"seq": 17'

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="NOT TESTED: curl is not installed here")


@pytest.mark.parametrize("shown", REQUESTS, ids=str)
def test_a_request_does_what_its_document_says(
    shown: Shown, archon: Archon, play: Play, remote: Remote, tmp_path: Path
) -> None:
    play(WRITES_HELLO)
    text = EXAMPLE_REPOSITORY.sub(remote.url, shown.text).replace("github_pat_…", archon.stage.github_token)
    order = None
    if EXAMPLE_ORDER in text:
        order = archon.file(remote.url, requires_approval=["push"])
        asked = asks(order, "push")
        if "/events/stream" in text:  # one that has ended, or curl would follow it for ever
            assert answer(order, "approve", asked).status_code == 202
            order.completed()
        text = text.replace(EXAMPLE_ORDER, order.id).replace(EXAMPLE_SEQ, f'"seq": {asked["seq"]}')
    assert "…" not in text, "say here what a reader puts there"

    status, said = typed(text, archon, tmp_path)

    assert 200 <= status < 300, said
    came_true(text, said, order, remote)


def typed(text: str, archon: Archon, home: Path) -> tuple[int, str]:
    """The line as a shell takes it; curl's own file says where this server really is. Status and body."""
    address = archon.address.removeprefix("http://")
    (home / ".curlrc").write_text(f'connect-to = "127.0.0.1:8181:{address}"\nwrite-out = "\\n%{{http_code}}"\n')
    run = subprocess.run(
        ["bash", "-c", text],
        env={"PATH": "/usr/bin:/bin", "CURL_HOME": str(home), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    said, _, status = run.stdout.rpartition("\n")
    return int(status), said


def came_true(text: str, said: str, order: Order | None, remote: Remote) -> None:
    """What the document goes on to say."""
    if order is None:
        if "/settings/secrets/" not in text:
            assert '"agent_work_order_id":' in said
            assert remote.url in said
    elif "/events/stream" in text:
        assert said.rstrip().splitlines()[-2:][0].startswith(("event: order_finished", "data:", "id:"))
        assert "event: order_finished" in said
    elif "/approve" in text:
        assert order.completed()["github_pull_request_url"]
    elif "/reject" in text:
        order.failed("policy")
        assert remote.branches() == ["main"]
    elif "/messages" in text:
        assert [one["text"] for one in order.client.get(f"/work-orders/{order.id}/messages").json()["messages"]]
    else:
        assert order.id in said
