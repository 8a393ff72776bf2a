"""A disk that will take no more: the run waits and goes on where it was, with all its work; and an order's quota."""

import errno
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import DiskVolume, Room
from src.agent_work_orders.domain.errors import DiskFull, FailureClass, StepFailed
from src.agent_work_orders.domain.retention import Marks
from src.agent_work_orders.domain.status import Status, WaitingReason
from src.agent_work_orders.ports import AgentTurn
from src.agent_work_orders.workflow import disk_trouble
from src.agent_work_orders.workflow.disk_trouble import disk_failure

from ..fakes import Bench, Tell, open_bench, raises, writes

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path) as bench:
        repositories = tmp_path / "repositories"
        room = Room(repositories, lambda: Marks(0, 0))
        volume = DiskVolume(repositories, bench.tools.work_orders_dir, lambda: Marks(0, 0), room)
        bench.tools = replace(bench.tools, volume=volume)
        yield bench


async def test_an_order_waits_while_the_disk_is_full_and_goes_on_where_it_was(bench: Bench) -> None:
    order_id = await bench.file()
    bench.agent.script = [
        writes(),
        raises(OSError(errno.ENOSPC, "No space left on device")),
        writes(hello_txt="hello\n"),
    ]
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.waiting_reason) == (Status.WAITING, WaitingReason.DISK)
    assert order.waiting_until is not None
    assert order.error_message == "The disk is full."
    metadata = json.loads((bench.folder(order_id) / "metadata.json").read_text())
    assert (metadata["work_order"]["status"], metadata["work_order"]["waiting_reason"]) == ("waiting", "disk")
    done = [step.step_name for step in await bench.steps(order_id) if step.success]
    assert done == ["create-branch", "planning"]
    await bench.store.resume(order_id, "There is room on the disk again.")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 1)
    assert len(bench.agent.turns) == 4, "what was done is not done again"


async def test_a_checkpoint_that_found_no_room_is_made_when_there_is_some(bench: Bench) -> None:
    order_id = await bench.file()

    async def fills_the_disk(turn: AgentTurn, tell: Tell) -> None:
        await writes(hello_txt="hello\n")(turn, tell)
        bench.checkouts.opened[order_id].broken = DiskFull()

    bench.agent.script = [writes(), fills_the_disk, writes(hello_txt="hello\n")]
    await bench.run()
    assert (await bench.order(order_id)).waiting_reason is WaitingReason.DISK
    bench.checkouts.opened[order_id].broken = None
    await bench.store.resume(order_id, "There is room on the disk again.")
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert bench.forge.opened


async def test_an_order_that_fills_the_disk_again_and_again_fails_at_last(bench: Bench) -> None:
    order_id = await bench.file()
    bench.agent.script = [raises(OSError(errno.ENOSPC, "No space left on device"))]
    for _ in range(disk_trouble.MOST_WAITS):
        await bench.run()
        assert (await bench.order(order_id)).status is Status.WAITING
        await bench.store.resume(order_id, "There is room on the disk again.")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.DISK)


async def test_what_a_program_makes_of_a_full_disk_is_a_full_disk(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = await bench.file()
    bench.agent.script = [raises(StepFailed(FailureClass.AGENT, "It ended with code 1.", next_action="Read."))]
    monkeypatch.setattr(disk_trouble, "NOTHING_LEFT", 10**18)  # as if the volume had nothing left
    await bench.run()
    order = await bench.order(order_id)
    assert order.waiting_reason is WaitingReason.DISK
    assert order.error_message == "The disk is full. It ended with code 1."


def test_only_a_full_disk_is_waited_for() -> None:
    assert isinstance(disk_failure(OSError(errno.EDQUOT, "quota")), DiskFull)
    closed = disk_failure(OSError(errno.EROFS, "Read-only file system"))
    assert (closed.failure_class, isinstance(closed, DiskFull)) == (FailureClass.DISK, False)
    with pytest.raises(OSError, match="a bug"):
        disk_failure(OSError(errno.EBADF, "a bug"))


async def test_an_order_that_holds_more_than_it_may_fails_in_the_middle_of_a_turn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk_trouble, "MEASURE_EVERY", 0.01)
    order_id = await bench.file()

    async def goes_on_writing(turn: AgentTurn, tell: Tell) -> None:
        (turn.cwd / "huge.bin").write_bytes(bytes(3_000_000))
        await bench.stopping.wait()

    bench.limits = replace(bench.limits, order_quota_mb=2)
    bench.agent.script = [writes(), goes_on_writing]
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.DISK)
    assert order.error_message is not None
    assert order.error_message.startswith("The order's files hold 3 MB; they may hold 2 MB")
    assert "AWO_ORDER_QUOTA_MB" in (order.next_action or "")
    assert bench.agent.running == 0
    assert bench.checkouts.opened[order_id].labels, "what it made is kept"


async def test_an_order_that_held_too_much_at_the_end_of_its_turn_fails_too(bench: Bench) -> None:
    order_id = await bench.file()

    async def writes_at_once(turn: AgentTurn, tell: Tell) -> None:
        (turn.cwd / "huge.bin").write_bytes(bytes(3_000_000))

    bench.limits = replace(bench.limits, order_quota_mb=2)
    bench.agent.script = [writes(), writes_at_once]
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.DISK)
    assert order.cost_usd > 0, "the turn is paid for all the same"


async def test_metadata_tells_of_a_run_from_its_start_on(bench: Bench) -> None:
    order_id = await bench.file()
    seen: list[str] = []

    async def looks(turn: AgentTurn, tell: Tell) -> None:
        seen.append(json.loads((bench.folder(order_id) / "metadata.json").read_text())["work_order"]["status"])

    bench.agent.script = [writes(), looks, writes(hello_txt="hello\n")]
    await bench.run()
    assert seen == ["running"]
    ended = json.loads((bench.folder(order_id) / "metadata.json").read_text())
    assert ended["work_order"]["status"] == "completed"
    assert {artifact["path"].split("/")[0] for artifact in ended["artifacts"]} == {"prompts", "outputs"}
    mtime = (bench.folder(order_id) / "metadata.json").stat().st_mtime
    assert abs(mtime - (await bench.order(order_id)).updated_at.timestamp()) < timedelta(milliseconds=2).total_seconds()
