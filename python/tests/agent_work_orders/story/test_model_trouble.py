"""Models that refuse, are used up, overloaded, silent or cut short."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon
from .conftest import Play, StartArchon
from .processes import processes_of
from .remote import Remote
from .scripts import Json, bash, executing, says


def writes_then(trouble: Json) -> Json:
    """The agent has written its file when the trouble comes."""
    return executing(bash("echo hello > hello.txt"), says("Written.", **trouble))


def test_a_refused_key_fails_the_order_with_what_a_person_can_do_and_keeps_the_work(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(writes_then({"error": 401}))
    order = archon.file(remote.url)

    failed = order.failed("auth")

    assert "key" in failed["next_action"].lower()
    assert list(order.diff()) == ["hello.txt"]
    assert remote.branches() == ["main"]


def test_a_used_up_account_lets_the_order_wait_and_the_same_session_goes_on_when_it_is_free(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote
) -> None:
    first = start_archon()
    free_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    message = f"Usage limit reached|{int(free_at.timestamp())}"
    error = {"status": 429, "message": message, "headers": {"retry-after": "7200"}}
    play(writes_then({"error": error}))
    order = first.file(remote.url)
    waited = order.until("order_waiting")

    waiting = order.now()
    assert (waiting["status"], waiting["waiting_reason"]) == ("waiting", "usage_limit")
    assert datetime.fromisoformat(waiting["waiting_until"]) == free_at
    assert "by itself" in waited.payload["next_action"]
    assert waiting["worker_id"] is None
    assert processes_of(order.id) == {}
    assert list(order.diff()) == ["hello.txt"]

    # The hour goes by: the only clock that matters is in the database. It outlives the server, too.
    first.terminate()
    with closing(sqlite3.connect(first.home / "awo.db")) as database:
        database.execute("update agent_work_orders set waiting_until = ?", (int(datetime.now(UTC).timestamp() * 1e6),))
        database.commit()
    play(executing(says("I go on."), says("Never said.")))
    second = start_archon(first.home)
    order = second.order(order.id)
    done = order.completed()

    started = [event.payload for event in order.events("agent_started")]
    assert [one["resumed"] for one in started] == [False, True]
    assert {one["session_id"] for one in started} == {done["agent_session_id"]}
    assert done["attempt"] == 1
    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"
    assert len(remote.pull_requests()) == 1


def test_a_short_overload_is_waited_out_within_the_turn(archon: Archon, play: Play, remote: Remote) -> None:
    play(writes_then({"error": 529, "times": 1}))

    order = archon.file(remote.url)
    order.completed()

    assert order.events("order_waiting") == []


def test_an_overload_that_stays_lets_the_order_wait(start_archon: StartArchon, play: Play, remote: Remote) -> None:
    archon = start_archon()
    play(writes_then({"error": 529}))

    order = archon.file(remote.url)
    waited = order.until("order_waiting")

    assert waited.payload["reason"] == "usage_limit"
    assert "overloaded" in waited.payload["message"]
    # An order that waits can be cancelled.
    order.cancel()
    assert order.ended()["status"] == "cancelled"


def test_a_model_that_falls_silent_stalls_the_order_and_leaves_no_process(
    start_archon: StartArchon, play: Play, remote: Remote
) -> None:
    archon = start_archon(AWO_STALL_TIMEOUT="5")
    play(writes_then({"fault": "hang"}))

    order = archon.file(remote.url)
    order.failed("stalled")

    assert processes_of(order.id) == {}
    assert list(order.diff()) == ["hello.txt"]
    assert remote.branches() == ["main"]


def test_an_agent_that_works_for_too_long_is_timed_out_and_leaves_no_process(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(executing(bash("echo hello > hello.txt; setsid sleep 4713 & sleep 4714"), says("Never said.")))

    order = archon.file(remote.url, timeout_seconds=8)
    order.failed("timeout")

    assert processes_of(order.id) == {}
    assert list(order.diff()) == ["hello.txt"]


@pytest.mark.parametrize("fault", ["truncate", "disconnect"])
def test_an_answer_that_is_cut_short_is_asked_for_again(archon: Archon, play: Play, remote: Remote, fault: str) -> None:
    play(writes_then({"fault": {"kind": fault, "after_events": 3}, "times": 1}))

    archon.file(remote.url).completed()

    assert len(remote.pull_requests()) == 1
