"""Clean-up over the API, and what the status says of the disk."""

import os
from pathlib import Path

import pytest

from src.agent_work_orders.api import GuardPolicy
from src.agent_work_orders.checkout import DiskVolume, Room
from src.agent_work_orders.domain.retention import Marks, Rules
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.worker.janitor import Janitor

from ..worker.yard import DAY
from .conftest import Bench, detail_of

pytestmark = pytest.mark.anyio
AT_ONCE = Rules(checkouts=DAY, artifacts=DAY, orders=90 * DAY, mirrors=DAY)


@pytest.fixture
def volume(bench: Bench, tmp_path: Path) -> DiskVolume:
    """The bench gets a disk and somebody who cleans it."""
    repositories = tmp_path / "repositories"
    room = Room(repositories, lambda: Marks(5_000, 1_000))
    volume = DiskVolume(repositories, bench.folder, lambda: Marks(5_000, 1_000), room)
    context = bench.app.state.agent_work_orders
    object.__setattr__(context.tools, "volume", volume)
    object.__setattr__(context, "cleaner", Janitor(context.tools, volume, lambda: AT_ONCE, "worker-1"))
    return volume


def orphan(bench: Bench) -> Path:
    """Files of an order that nobody knows any more, long ago."""
    folder = bench.folder / "wo-0123456789abcdef"
    (folder / "outputs").mkdir(parents=True)
    (folder / "outputs" / "1.jsonl").write_text("{}\n" * 5000)
    (folder / "metadata.json").write_text("{}")
    for path in (folder / "metadata.json", folder / "outputs", folder):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    return folder


async def test_a_dry_run_says_what_would_go_and_takes_nothing(bench: Bench, volume: DiskVolume) -> None:
    folder = orphan(bench)
    body = (await bench.client.post("/api/awo/cleanup", params={"dry_run": True})).json()
    (removed,) = body["removed"]
    assert (body["dry_run"], removed["kind"], removed["name"]) == (True, "artifacts", folder.name)
    assert removed["size_bytes"] == body["freed_bytes"] > 15_000
    assert removed["reason"] == "older than its retention"
    assert removed["used_at"].startswith("2001-09-09")
    assert folder.is_dir()


async def test_a_clean_up_takes_it_and_says_so(bench: Bench, volume: DiskVolume) -> None:
    folder = orphan(bench)
    body = (await bench.client.post("/api/awo/cleanup")).json()
    assert (body["dry_run"], body["removed_count"], body["problems"]) == (False, 1, [])
    assert not folder.exists()
    assert (await bench.client.post("/api/awo/cleanup/")).json()["removed"] == []


async def test_what_is_kept_against_a_rule_is_named_with_the_reason(bench: Bench, volume: DiskVolume) -> None:
    order_id = await bench.finished(Status.FAILED)
    (bench.folder / order_id / "outputs").mkdir(parents=True)
    object.__setattr__(
        bench.app.state.agent_work_orders,
        "cleaner",
        Janitor(bench.app.state.agent_work_orders.tools, volume, lambda: Rules(-DAY, -DAY, DAY, DAY), "worker-1"),
    )
    body = (await bench.client.post("/api/awo/cleanup", params={"dry_run": True})).json()
    (protected,) = body["protected"]
    assert (protected["name"], protected["reason"]) == (order_id, "its order failed less than a day ago")


async def test_a_second_clean_up_at_the_same_time_is_a_conflict(bench: Bench, volume: DiskVolume) -> None:
    with volume.alone() as ours:
        assert ours
        detail = detail_of(await bench.client.post("/api/awo/cleanup"), 409)
    assert "under way" in detail["error"]


async def test_a_foreign_page_cleans_nothing(bench: Bench, volume: DiskVolume) -> None:
    folder = orphan(bench)
    detail_of(await bench.client.post("/api/awo/cleanup", headers={"Origin": "https://evil.example"}), 403)
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token="0123456789abcdef")
    detail_of(await bench.client.post("/api/awo/cleanup"), 401)
    assert (await bench.client.get("/api/awo/cleanup")).status_code in (401, 405)
    assert folder.is_dir()


async def test_a_server_that_cleans_nothing_says_so(bench: Bench) -> None:
    detail_of(await bench.client.post("/api/awo/cleanup"), 503)


async def test_the_status_says_how_the_disk_stands_and_what_lies_on_it(bench: Bench, volume: DiskVolume) -> None:
    before = (await bench.client.get("/api/awo/status")).json()["disk"]
    assert (before["pressure"], before["low_bytes"], before["min_free_bytes"]) == ("ok", 5_000, 1_000)
    assert before["used_bytes"] is None
    order_id = await bench.finished(Status.COMPLETED)
    (bench.folder / order_id / "outputs").mkdir(parents=True)
    (bench.folder / order_id / "outputs/1.jsonl").write_bytes(bytes(100_000))
    await bench.client.post("/api/awo/cleanup")
    after = (await bench.client.get("/api/awo/status")).json()["disk"]
    assert after["used_bytes"]["artifacts"] > 100_000
    assert after["used_bytes"]["mirror"] == 0
