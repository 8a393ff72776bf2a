"""All is lost but a backup; and an order that is put away and comes back. Server and tools are processes."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.checkout.refs import refs_below

from ..archive.s3_server import ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY, client_of
from .archon import PASSED_ON, PYTHON_ROOT, Archon, Order, eventually
from .conftest import Play, StartArchon
from .remote import Remote
from .scripts import WRITES_HELLO, bash, executing, says


def run_backup(home: Path, *arguments: str) -> str:
    """What the program says; it has to end well."""
    environment = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "ARCHON_HOME": str(home),
        "HOME": str(home.parent),
    }
    done = subprocess.run(
        [sys.executable, "-m", "src.agent_work_orders.backup", *arguments],
        cwd=PYTHON_ROOT, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def all_of(order: Order) -> dict[str, Any]:
    return {
        "order": order.now(),
        "events": order.events(),
        "artifacts": order.artifacts(),
        "diff": order.diff(),
    }


def branches(home: Path) -> Mapping[str, str]:
    """What all mirrors keep of orders."""
    return {
        name: commit
        for mirror in (home / "repositories" / ".mirrors").glob("*.git")
        for name, commit in refs_below(mirror, "refs/awo/").items()
    }


@contextmanager
def load(archon: Archon, remote: Remote) -> Iterator[list[str]]:
    """Orders that are filed and cancelled all the while."""
    filed: list[str] = []
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            order = archon.file(remote.url, priority=9)
            filed.append(order.id)
            order.cancel()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield filed
    finally:
        stop.set()
        thread.join()


@pytest.mark.timeout(300)  # servers, and programs that start anew, on a machine that may be busy
def test_a_backup_under_load_brings_everything_back(
    start_archon: StartArchon, play: Play, remote: Remote, tmp_path: Path
) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup.tar.gz"
    first = start_archon(home, AWO_MAX_CONCURRENT="1")
    play(WRITES_HELLO)
    done = [first.file(remote.url) for _ in range(2)]
    for order in done:
        order.completed()
    play(executing(bash("echo half > half.txt"), says("Half is done.", gate=f"half-{remote.name}")))
    running, waiting = first.file(remote.url), first.file(remote.url)
    running.at_gate(f"half-{remote.name}")
    before, kept = {order.id: all_of(order) for order in done}, branches(home)
    journal = running.events()

    with load(first, remote) as filed:
        said = run_backup(home, "create", "--to", str(backup))
    assert filed
    assert "WARNING: the backup holds" in said
    assert backup.stat().st_mode & 0o777 == 0o600
    assert "is whole" in run_backup(home, "verify", str(backup))

    first.kill()
    shutil.rmtree(home)
    assert "every order was read back" in run_backup(home, "restore", str(backup))
    assert {name: branches(home).get(name) for name in kept} == kept
    play(WRITES_HELLO)
    second = start_archon(home)
    for order_id, was in before.items():
        assert all_of(second.order(order_id)) == was
    again = second.order(running.id)
    assert again.completed()["attempt"] == 2
    assert again.events()[: len(journal)] == journal
    second.order(waiting.id).completed()


@pytest.mark.timeout(300)  # servers, and programs that start anew, on a machine that may be busy
def test_a_backup_that_is_killed_leaves_no_file_and_the_next_one_is_whole(
    start_archon: StartArchon, play: Play, remote: Remote, tmp_path: Path
) -> None:
    archon = start_archon()
    play(WRITES_HELLO)
    archon.file(remote.url).completed()
    large = archon.home / "config" / "large"
    large.write_bytes(os.urandom(1 << 20) * 40)
    to = tmp_path / "to"
    arguments = ["-m", "src.agent_work_orders.backup", "create", "--to", str(to)]
    environment = {"PATH": os.environ["PATH"], "ARCHON_HOME": str(archon.home), "HOME": str(tmp_path)}
    with subprocess.Popen(  # noqa: TID251 - this block is the child's scope
        [sys.executable, *arguments], cwd=PYTHON_ROOT, env=environment
    ) as process:
        eventually(lambda: list(to.glob(".awo-backup/.*.partial")), within=60)
        process.kill()
    assert list(to.glob("*.tar.gz")) == []
    run_backup(archon.home, "create", "--to", str(to))
    (made,) = to.glob("*.tar.gz")
    assert "is whole: 1 work orders" in run_backup(archon.home, "verify", str(made))
    assert [path.name for path in (to / ".awo-backup").iterdir()] == ["lock"]


def test_an_order_is_put_away_and_comes_back(start_archon: StartArchon, play: Play, remote: Remote) -> None:
    archon = start_archon()
    play(WRITES_HELLO)
    order = archon.file(remote.url)
    order.completed()
    was, kept = all_of(order), branches(archon.home)

    archived = archon.client.post(f"/work-orders/{order.id}/archive").raise_for_status().json()
    assert archived["archived_at"]
    assert archon.orders() == []
    assert not (archon.home / "work-orders" / order.id).exists()
    assert branches(archon.home) == {}
    assert (archon.home / "archive" / f"{order.id}.tar.gz").exists()
    assert order.retry().status_code == 409

    archon.client.post(f"/work-orders/{order.id}/unarchive").raise_for_status()
    assert [one["agent_work_order_id"] for one in archon.orders()] == [order.id]
    back = all_of(order)
    assert {**back, "order": None} == {**was, "order": None}
    assert branches(archon.home) == kept


def test_a_bucket_takes_an_order_from_one_server_to_another(
    start_archon: StartArchon, play: Play, remote: Remote, s3_endpoint: str, tmp_path: Path
) -> None:
    bucket = {
        "AWO_ARCHIVE_S3_BUCKET": BUCKET,
        "AWO_ARCHIVE_S3_ENDPOINT": s3_endpoint,
        "AWO_ARCHIVE_S3_PREFIX": tmp_path.name,
        "AWO_ARCHIVE_S3_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWO_ARCHIVE_S3_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }
    here, there = start_archon(tmp_path / "here", **bucket), start_archon(tmp_path / "there", **bucket)
    play(WRITES_HELLO)
    order = here.file(remote.url)
    order.completed()
    was, kept = all_of(order), branches(here.home)
    here.client.post(f"/work-orders/{order.id}/archive").raise_for_status()
    found = client_of(s3_endpoint).list_objects_v2(Bucket=BUCKET, Prefix=tmp_path.name)
    assert [one["Key"] for one in found["Contents"]] == [f"{tmp_path.name}/{order.id}.tar.gz"]

    there.client.post(f"/work-orders/{order.id}/unarchive").raise_for_status()
    assert all_of(there.order(order.id)) == was
    assert branches(there.home) == kept
    for archon in (here, there):
        assert SECRET_ACCESS_KEY not in archon.log
