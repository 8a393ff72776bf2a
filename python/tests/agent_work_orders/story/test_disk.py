"""The disk of a running server: orders wait for room and go on by themselves, and what is old goes by live settings."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ..checkout.git_host import git
from .archon import PYTHON_ROOT, Archon, Order, eventually
from .conftest import MakeRepository, Play, StartArchon
from .scripts import WRITES_HELLO, bash, executing, says
from .test_settings import change

Json = dict[str, Any]
DAY = 86_400 * 1_000_000


def grow_old(archon: Archon, order: Order, days: int) -> None:
    """As if the order had ended so many days ago."""
    with closing(sqlite3.connect(archon.home / "awo.db", timeout=10)) as db, db:
        moved = db.execute(
            "update agent_work_orders set finished_at = finished_at - ?, created_at = created_at - ? "
            "where agent_work_order_id = ?",
            (days * DAY, days * DAY, order.id),
        )
        assert moved.rowcount == 1


def clean(archon: Archon, *, dry_run: bool) -> Json:
    answer = archon.client.post("/cleanup", params={"dry_run": dry_run})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def disk(archon: Archon) -> Json:
    return dict(archon.client.get("/status").raise_for_status().json()["disk"])


def test_an_order_waits_for_room_and_goes_on_by_itself(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon()
    play(WRITES_HELLO)
    change(archon, disk_low_gb=900_000, disk_min_free_gb=800_000)
    order = archon.file(make_repository().url)
    waiting = order.until("order_waiting", reason="disk")
    assert "have to stay free" in waiting.payload["message"]
    assert waiting.payload["until"] is not None
    assert waiting.payload["next_action"]
    assert order.now()["status"] == "waiting"
    assert disk(archon)["pressure"] == "full"
    health = archon.client.get("/health").json()
    assert health["status"] == "degraded"
    assert [one["name"] for one in health["checks"] if not one["ok"] and one["name"] == "disk"]
    change(archon, disk_low_gb=0, disk_min_free_gb=0)
    order.completed()
    assert [event.payload["reason"] for event in order.events("order_resumed")] == ["There is room on the disk again."]
    assert disk(archon)["pressure"] == "ok"


def test_a_running_server_obeys_a_changed_retention_without_a_restart(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon()
    play(WRITES_HELLO)
    order = archon.file(make_repository().url)
    order.completed()
    grow_old(archon, order, days=8)
    change(archon, retention_days=30)
    assert clean(archon, dry_run=True)["removed"] == []
    change(archon, retention_days=7)
    planned = clean(archon, dry_run=True)
    assert [(one["kind"], one["name"]) for one in planned["removed"]] == [("checkout", order.id)]
    assert (archon.home / "repositories" / order.id).is_dir()
    done = clean(archon, dry_run=False)
    assert done["removed"] == planned["removed"]
    assert done["freed_bytes"] > 0
    assert not (archon.home / "repositories" / order.id).exists()
    (told,) = order.events("files_removed")
    assert (told.payload["what"], told.payload["size_bytes"]) == ("checkout", done["freed_bytes"])
    assert order.diff(), "what it did can still be read"
    assert disk(archon)["used_bytes"]["mirror"] > 0


def test_a_cleaning_leaves_an_order_alone_that_runs_meanwhile(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon(AWO_RETENTION_MAX_GB="0.000001", AWO_RETENTION_MAX_CHECKOUTS="0")
    play(executing({"gate": "cleaning", **bash("echo hello > hello.txt")}, says("Done.")))
    order = archon.file(make_repository().url)
    order.at_gate("cleaning")
    report = clean(archon, dry_run=False)
    assert order.id not in {one["name"] for one in report["removed"]}
    archon.stage.model.release("cleaning")
    assert order.completed()["github_pull_request_url"]


def test_the_command_cleans_beside_a_running_server_under_both_its_names(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon()
    play(WRITES_HELLO)
    order = archon.file(make_repository().url)
    order.completed()
    grow_old(archon, order, days=8)

    def run(module: str, *words: str) -> str:
        kept = ("PATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE")
        done = subprocess.run(
            [sys.executable, "-m", f"src.agent_work_orders.{module}", *words],
            cwd=PYTHON_ROOT, capture_output=True, text=True, check=False, timeout=60,
            env={**{name: os.environ[name] for name in kept if name in os.environ}, "ARCHON_HOME": str(archon.home)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    said = run("cleanup", "--dry-run")
    assert f"would go: checkout {order.id}" in said
    assert (archon.home / "repositories" / order.id).is_dir()
    report = json.loads(run("utils.cleanup", "--json"))
    assert [one["name"] for one in report["removed"]] == [order.id]
    assert not (archon.home / "repositories" / order.id).exists()
    eventually(lambda: order.events("files_removed"))
    assert "0 things" in run("utils.cleanup", "--dry-run")


def test_metadata_on_disk_is_laid_out_as_specified_and_tells_of_the_order(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon()
    play(WRITES_HELLO)
    order = archon.file(make_repository().url)
    order.completed()
    folder = archon.home / "work-orders" / order.id
    eventually(lambda: json.loads((folder / "metadata.json").read_text())["work_order"]["status"] == "completed")
    told = json.loads((folder / "metadata.json").read_text())
    now = order.now()
    for name in ("agent_work_order_id", "repository_url", "git_branch_name", "github_pull_request_url", "user_request"):
        assert told["work_order"][name] == now[name]
    assert [step["step_name"] for step in told["steps"]] == [step["step_name"] for step in now["steps"]]
    assert {path.name for path in folder.iterdir()} >= {"prompts", "outputs", "metadata.json"}
    for artifact in told["artifacts"]:
        assert (folder / artifact["path"]).stat().st_size == artifact["size_bytes"]


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A home whose repositories lie on a file system of their own, of a few megabytes."""
    repositories = tmp_path / "home" / "repositories"
    repositories.mkdir(parents=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(repositories)], check=False)
    if done.returncode:
        pytest.skip("NO FULL DISK WAS TESTED: nothing can be mounted here; run the tests as root")
    yield repositories
    subprocess.run(["umount", "--lazy", str(repositories)], check=True)


def half_written(repositories: Path) -> list[str]:
    """What a writer of ours left that did not come to its end."""
    names = [path for path in repositories.rglob("*") if path.name.endswith((".tmp", ".lock")) and path.is_dir()]
    drafts = [path for path in repositories.glob(".mirrors/*.git/**/*") if path.name.startswith(("tmp_", "."))]
    return [path.name for path in names] + [path.name for path in drafts if path.is_file() and path.stat().st_size]


def test_an_agent_that_fills_the_disk_waits_and_the_others_go_on_when_there_is_room(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository, small_volume: Path
) -> None:
    archon = start_archon(AWO_DISK_LOW_GB="0", AWO_DISK_MIN_FREE_GB="0")
    play(
        executing(
            {"gate": "writing", **bash("head -c 100000000 /dev/zero > big.bin; echo hello > hello.txt")},
            says("I wrote what there was room for."),
            request="Fill",
        ),
        executing({"gate": "modest", **bash("echo hello > hello.txt")}, says("Done."), request="modest"),
    )
    remote = make_repository()
    modest = archon.file(remote.url, user_request="Be modest.")
    modest.at_gate("modest")
    greedy = archon.file(remote.url, user_request="Fill the disk.")
    greedy.at_gate("writing")
    archon.stage.model.release("writing")
    waiting = greedy.until("order_waiting", reason="disk")
    assert "full" in waiting.payload["message"]
    assert "goes on by itself" in waiting.payload["next_action"]
    assert greedy.now()["status"] == "waiting"
    assert "No space left" in next(event.payload for event in greedy.events("tool_returned"))["output"]
    archon.stage.model.release("modest")
    modest.until("order_waiting", reason="disk")
    (mirror,) = small_volume.glob(".mirrors/*.git")
    git(mirror, "fsck", "--full", "--no-dangling")
    assert half_written(small_volume) == []
    greedy.cancel().raise_for_status()
    greedy.delete().raise_for_status()
    assert modest.completed()["github_pull_request_url"]
    assert git(mirror, "fsck", "--full", "--no-dangling", "--strict") == ""
