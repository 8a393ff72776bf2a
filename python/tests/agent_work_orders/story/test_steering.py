"""People who change their minds: cancel, retry and delete, and what of an order is left afterwards."""

import sqlite3
import time
from contextlib import closing

from src.agent_work_orders.rehearsal import Stage

from .archon import ENDS_WITHIN, Archon, Order
from .conftest import Play, StartArchon
from .processes import command_lines, processes_of
from .remote import Remote
from .scripts import WRITES_HELLO, bash, executing, in_step, says

SLEEPS = executing(bash("echo hello > hello.txt; setsid sleep 4731 & sleep 4732"), says("Never said."))


def cancelled_within(order: Order, seconds: float) -> None:
    """Asks for the end; at the moment at which it is told, nothing of the order runs any more."""
    began = time.monotonic()
    end = order.now()["last_seq"]
    assert order.cancel().status_code == 202
    told = order.until("order_finished", after_seq=end)
    assert processes_of(order.id) == {}
    assert told.payload["status"] == "cancelled"
    assert time.monotonic() - began < seconds


def test_a_cancelled_order_ends_with_every_process_of_its_tools_and_can_be_taken_up_again(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(SLEEPS)
    order = archon.file(remote.url)
    order.runs("sleep 4731")
    order.runs("sleep 4732")

    cancelled_within(order, ENDS_WITHIN)

    cancelled = order.now()
    assert (cancelled["status"], cancelled["failure_class"]) == ("cancelled", None)
    assert order.steps() == [("create-branch", "completed"), ("execute", "cancelled")]
    assert list(order.diff()) == ["hello.txt"]
    assert remote.branches() == ["main"]
    # Asked again, nothing changes.
    assert order.cancel().status_code == 202
    assert order.now()["last_seq"] == cancelled["last_seq"]

    play(executing(bash("cat hello.txt"), says("It was there already.")))
    assert order.retry().json()["attempt"] == 2
    order.follow(cancelled["last_seq"])

    done = order.now()
    assert done["status"] == "completed", done
    assert done["agent_session_id"] == cancelled["agent_session_id"]
    assert [event.payload["step_name"] for event in order.events("step_started")].count("create-branch") == 1
    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"
    assert len(remote.pull_requests()) == 1


def test_an_order_that_waits_for_its_turn_is_cancelled_at_once(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote
) -> None:
    archon, gate = start_archon(AWO_MAX_CONCURRENT="1"), f"busy-{remote.name}"
    play(executing(says("Done.", gate=gate)))
    running = archon.file(remote.url)
    running.at_gate(gate)
    waiting = archon.file(remote.url)

    # Twice in a row, before anything can have happened.
    assert [waiting.cancel().status_code, waiting.cancel().status_code] == [202, 202]

    assert waiting.ended()["status"] == "cancelled"
    assert waiting.steps() == []
    assert waiting.events("order_claimed") == []
    assert running.now()["status"] == "running"
    # A cancel that comes while it runs, and comes twice, ends it once.
    running.cancel()
    cancelled_within(running, ENDS_WITHIN)
    assert len(running.events("order_finished")) == 1


def test_an_order_is_cancelled_while_its_repository_is_cloned(
    start_archon: StartArchon, stage: Stage, silent_host: str
) -> None:
    hosts = f"{stage.git_host},{silent_host}"
    archon = start_archon(AWO_ALLOWED_REPOSITORY_HOSTS=hosts, AWO_INSECURE_REPOSITORY_HOSTS=hosts)
    order = archon.file(f"http://{silent_host}/story/silent")
    order.eventually(lambda: any(silent_host in line for _, line in command_lines()))

    cancelled_within(order, ENDS_WITHIN)

    assert not any(silent_host in line for _, line in command_lines())


def test_a_retry_can_go_back_to_an_earlier_step_but_not_beyond_the_failed_one(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(executing(bash("touch broken"), says("Done.")), in_step("repair", says("I do not see it.")))
    order = archon.file(remote.url)
    failed = order.failed("verification")

    refused = order.retry(from_step=4)
    assert refused.status_code == 422
    assert refused.json()["detail"]["fields"][0]["field"] == "from_step"
    assert order.now()["last_seq"] == failed["last_seq"]

    play(executing(bash("rm broken; echo hello > hello.txt"), says("Now it is right.")))
    assert order.retry(from_step=2).status_code == 202
    later = order.follow(failed["last_seq"])

    assert order.now()["status"] == "completed", order.now()
    names = [event.payload["step_name"] for event in later if event.kind == "step_started"]
    assert names == ["execute", "verify", "commit", "create-pr"]
    branch = order.now()["git_branch_name"]
    assert remote.git("diff", "--name-only", f"main..{branch}") == "hello.txt"


def test_an_order_that_is_done_is_neither_cancelled_nor_retried_but_deleted_with_all_that_is_its_own(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    gate = f"delete-{remote.name}"
    play(executing(WRITES_HELLO["turns"][0], says("Written.", gate=gate)))
    order = archon.file(remote.url)
    order.at_gate(gate)
    refused = order.delete()
    assert refused.status_code == 409
    assert refused.json()["detail"]["next_action"]
    stage.model.release(gate)
    done = order.completed()
    assert order.cancel().status_code == 409
    assert order.retry().status_code == 409
    assert order.now() == done
    own = [path for path in archon.home.rglob("*") if order.id in path.name]
    assert own

    assert order.delete().status_code == 204

    for address in ("", "/events", "/events/stream", "/artifacts", "/diff"):
        assert archon.client.get(f"/work-orders/{order.id}{address}").status_code == 404
    assert (order.cancel().status_code, order.retry().status_code, order.delete().status_code) == (404, 404, 404)
    assert [path for path in archon.home.rglob("*") if order.id in path.name] == []
    assert rows_about(archon, order.id) == {}
    # What was pushed is the remote's.
    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"
    assert len(remote.pull_requests()) == 1


def rows_about(archon: Archon, order_id: str) -> dict[str, int]:
    """Number of rows of every table that names the order."""
    with closing(sqlite3.connect(f"file:{archon.home / 'awo.db'}?mode=ro", uri=True)) as database:
        tables = [name for (name,) in database.execute("select name from sqlite_master where type = 'table'")]
        counts = {}
        for table in tables:
            columns = [column[1] for column in database.execute(f"pragma table_info({table})")]
            if "agent_work_order_id" in columns:
                query = f"select count(*) from {table} where agent_work_order_id = ?"  # noqa: S608 - names of tables
                counts[table] = int(database.execute(query, (order_id,)).fetchone()[0])
    assert counts
    return {table: count for table, count in counts.items() if count}
