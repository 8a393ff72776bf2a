"""Servers that die and servers that are stopped: what they began is taken up by the next one on the same home."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import ENDS_WITHIN, Archon
from .conftest import Play, StartArchon
from .processes import command_lines, processes_of
from .remote import Remote
from .scripts import WRITES_HELLO, bash, executing, in_step, says

STEPS = ["create-branch", "planning", "execute", "commit", "create-pr"]


@pytest.fixture
def plays_until_the_gate(play: Play, remote: Remote) -> Callable[[], None]:
    """The agent plans, writes half of its work, leaves a process of its own session behind, and then hears nothing."""

    def start() -> None:
        play(
            in_step("planning", says("# The plan")),
            executing(
                bash("echo half > half.txt; setsid sleep 4721 > /dev/null 2>&1 & sleep 0.1"),
                says("Half is done.", gate=f"half-{remote.name}"),
            ),
        )

    return start


def goes_on(play: Play) -> None:
    play(in_step("planning", says("Nobody should ask for a plan again.")), executing(bash("cat half.txt > whole.txt")))


def test_a_server_that_was_killed_is_followed_by_one_that_goes_on_in_the_same_session(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote, plays_until_the_gate: Callable[[], None]
) -> None:
    plays_until_the_gate()
    first = start_archon()
    order = first.file(remote.url, workflow_type="agent_workflow_plan", selected_commands=STEPS)
    order.at_gate(f"half-{remote.name}")
    before = processes_of(order.id)
    assert any("sleep\x004721" in arguments for arguments in before.values())
    session, end = order.now()["agent_session_id"], order.now()["last_seq"]

    first.kill()
    goes_on(play)
    second = start_archon(first.home)

    # Before the new server answers, nothing of the old run is left, not even what hid in a session of its own.
    assert not before.keys() & processes_of(order.id).keys()
    order = second.order(order.id)
    later = order.follow(end)
    done = order.now()
    assert done["status"] == "completed", done
    # It went on from the last finished step: the plan was not made again.
    started = [event.payload["step_name"] for event in later if event.kind == "step_started"]
    assert started == ["execute", "verify", "commit", "create-pr"]
    assert done["attempt"] == 2
    [resumed] = [event.payload for event in later if event.kind == "agent_started"]
    assert (resumed["session_id"], resumed["resumed"]) == (session, True)
    assert done["agent_session_id"] == session
    # What the killed agent had written was not lost.
    assert remote.read(done["git_branch_name"], "half.txt") == "half"
    assert remote.read(done["git_branch_name"], "whole.txt") == "half"
    assert len(remote.pull_requests()) == 1
    assert any("interrupted" in name for name in order.artifacts())


def test_a_server_that_is_asked_to_stop_ends_its_streams_gives_its_order_back_and_is_gone_in_time(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote, plays_until_the_gate: Callable[[], None]
) -> None:
    plays_until_the_gate()
    first = start_archon()
    order = first.file(remote.url, workflow_type="agent_workflow_plan", selected_commands=STEPS)
    order.at_gate(f"half-{remote.name}")
    session, opened = order.now()["agent_session_id"], Barrier(4)
    streams = [f"/work-orders/{order.id}/events/stream"] * 2 + ["/events/stream"]
    with ThreadPoolExecutor() as pool:
        readers = [pool.submit(read_to_the_end, first, address, opened) for address in streams]
        opened.wait(timeout=20)

        took = first.terminate()

        # Every stream came to an ordinary end; a cut one would have raised.
        assert all(reader.result(timeout=5) for reader in readers)
    assert took < ENDS_WITHIN
    assert processes_of(order.id) == {}
    with closing(sqlite3.connect(first.home / "awo.db")) as database:
        held = database.execute("select status, worker_id, lease_token from agent_work_orders").fetchall()
    assert held == [("pending", None, None)]

    goes_on(play)
    order = start_archon(first.home).order(order.id)
    done = order.completed()
    assert done["attempt"] == 1
    assert {event.attempt for event in order.events()} == {1}
    assert {event.payload["session_id"] for event in order.events("agent_started")} == {session}
    assert [event.payload["step_name"] for event in order.events("step_started")].count("planning") == 1
    assert remote.read(done["git_branch_name"], "whole.txt") == "half"
    assert len(remote.pull_requests()) == 1


def test_an_order_that_keeps_killing_its_server_is_failed_in_the_end(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote
) -> None:
    gate = f"deadly-{remote.name}"
    play(executing(says("Never said.", gate=gate)))
    archon = start_archon()
    order = archon.file(remote.url)
    for attempt in (1, 2, 3):
        order.at_gate(gate, count=attempt)
        archon.kill()
        archon = start_archon(archon.home)
        order = archon.order(order.id)

    failed = order.failed("internal")

    assert failed["attempt"] == 3
    assert processes_of(order.id) == {}


def test_a_server_beside_a_living_one_leaves_its_orders_alone_and_can_cancel_them(
    start_archon: StartArchon, play: Play, remote: Remote
) -> None:
    gate = f"beside-{remote.name}"
    play(executing(bash("echo hello > hello.txt"), says("Never said.", gate=gate)))
    first = start_archon()
    order = first.file(remote.url)
    order.at_gate(gate)
    before, running = order.now(), processes_of(order.id)

    second = start_archon(first.home)

    seen = second.order(order.id)
    assert seen.now()["worker_id"] == before["worker_id"]
    assert processes_of(order.id).keys() >= running.keys()
    began = time.monotonic()
    assert seen.cancel().status_code == 202
    told = seen.until("order_finished")
    assert processes_of(order.id) == {}
    assert time.monotonic() - began < ENDS_WITHIN
    assert (told.payload["status"], told.attempt) == ("cancelled", 1)


def test_a_push_whose_answer_was_lost_is_found_and_its_pull_request_opened_once(
    start_archon: StartArchon, play: Play, remote: Remote, tmp_path: Path
) -> None:
    # The remote has taken the branch when its hook starts, and keeps the client waiting for its answer.
    answer, arrived = tmp_path / "answer", tmp_path / "arrived"
    hook = remote.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {arrived}\nwhile [ ! -e {answer} ]; do sleep 0.05; done\n")
    hook.chmod(0o755)
    play(WRITES_HELLO)
    first = start_archon()
    order = first.file(remote.url)
    order.eventually(arrived.exists)

    first.kill()
    answer.touch()
    order = start_archon(first.home).order(order.id)

    done = order.completed()
    branch = done["git_branch_name"]
    assert remote.branches() == sorted([branch, "main"])
    assert remote.git("rev-list", "--count", f"main..{branch}") == "1"
    assert len(remote.pull_requests()) == 1
    assert [event.payload["step_name"] for event in order.events("step_started")].count("execute") == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_clone_does_not_outlive_its_server_for_long(
    start_archon: StartArchon, stage: Stage, silent_host: str, how: signal.Signals
) -> None:
    hosts = f"{stage.git_host},{silent_host}"
    settings = {"AWO_ALLOWED_REPOSITORY_HOSTS": hosts, "AWO_INSECURE_REPOSITORY_HOSTS": hosts}
    archon = start_archon(**settings)
    order = archon.file(f"http://{silent_host}/story/silent")
    # git, and the helpers that it starts to speak with the host.
    order.eventually(lambda: len(git_with(silent_host)) >= 3)
    before = git_with(silent_host)

    os.kill(archon.process.pid, how)
    archon.process.wait(timeout=ENDS_WITHIN)
    if how == signal.SIGKILL:
        # Of what cannot be told any more, the next server takes care before it answers.
        archon = start_archon(archon.home, **settings)

    assert not before & git_with(silent_host)


def read_to_the_end(archon: Archon, address: str, opened: Barrier) -> list[str]:
    with archon.client.stream("GET", address, timeout=60) as stream:
        lines = stream.iter_lines()
        first = next(lines)
        opened.wait(timeout=20)
        return [first, *lines]


def git_with(host: str) -> set[int]:
    """The processes that speak with a host."""
    return {pid for pid, arguments in command_lines() if host in arguments}
