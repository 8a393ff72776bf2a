"""Clean-up over real repositories and a real store: what goes, what stays, and what is written down."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import pytest

from src.agent_work_orders.domain.errors import FailureClass, NotFound, WrongState
from src.agent_work_orders.domain.retention import Kind
from src.agent_work_orders.domain.status import Status, WaitingReason
from src.agent_work_orders.domain.work_order import WorkOrder, new_order_id
from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.worker.janitor import Janitor

from ..checkout.conftest import SAMPLE
from ..checkout.git_host import GitHost, git
from ..fakes import FlakyStore
from .yard import DAY, Yard, gone, kept, nearly_full, open_yard

pytestmark = pytest.mark.anyio


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    server = GitHost(tmp_path / "host")
    server.create("sample", SAMPLE)
    yield server
    server.close()


@pytest.fixture
async def yard(tmp_path: Path, host: GitHost) -> AsyncIterator[Yard]:
    async with open_yard(tmp_path / "home", host) as yard:
        yield yard


async def test_each_kind_goes_when_its_own_time_is_over(yard: Yard) -> None:
    order = await yard.completed()
    order_id = order.agent_work_order_id
    yard.pass_days(6)
    assert gone(await yard.clean()) == set()
    yard.pass_days(2)
    assert gone(await yard.clean()) == {(Kind.CHECKOUT, order_id)}
    assert not yard.checkout(order).exists()
    assert (yard.artifacts(order) / "prompts/1.md").is_file()
    assert (await yard.checkouts.diff(order, yard.repository())).files, "what it did can still be read"
    yard.pass_days(24)
    assert gone(await yard.clean()) == {(Kind.ARTIFACTS, order_id)}
    assert not yard.artifacts(order).exists()
    assert [(one.what, one.reason) for one in await yard.removals(order)] == [
        (Kind.CHECKOUT, "older than its retention"),
        (Kind.ARTIFACTS, "older than its retention"),
    ]
    yard.pass_days(60)
    assert gone(await yard.clean()) == {(Kind.ORDER, order_id)}
    with pytest.raises(NotFound):
        await yard.store.get(order_id)
    assert git(yard.mirror(), "for-each-ref", "refs/awo") == ""
    assert not (yard.mirror() / "awo" / order_id).exists()
    assert yard.trash() == []


async def test_what_is_removed_is_measured_before_and_the_event_says_so(yard: Yard) -> None:
    order = await yard.completed()
    yard.pass_days(8)
    planned = await yard.clean(dry_run=True)
    assert yard.checkout(order).exists()
    assert await yard.removals(order) == []
    done = await yard.clean()
    assert [one.model_dump() for one in planned.removed] == [one.model_dump() for one in done.removed]
    assert planned.freed_bytes == done.freed_bytes > 10_000
    assert (await yard.removals(order))[0].size_bytes == done.freed_bytes
    assert done.used_bytes[Kind.MIRROR] > 10_000
    assert done.used_bytes[Kind.CHECKOUT] == 0


async def test_nothing_is_done_to_an_order_that_runs(yard: Yard) -> None:
    run = await yard.running()
    await run.changes()
    yard.rules = replace(yard.rules, max_bytes=1, max_checkouts=0)
    nearly_full(yard, short_of=10**12)
    yard.pass_days(1000)
    report = await yard.clean()
    assert gone(report) == set()
    assert kept(report)[Kind.CHECKOUT, run.claim.order_id] == "its order is running"
    assert (run.checkout.root / "work.txt").read_text() == "changed\n"
    assert (await run.checkout.checkpoint("again", "Again")).changed


@pytest.mark.parametrize("reason", list(WaitingReason), ids=str)
async def test_nothing_is_done_to_an_order_that_waits(yard: Yard, reason: WaitingReason) -> None:
    order = await yard.waiting(reason)
    yard.rules = replace(yard.rules, max_bytes=1, max_checkouts=0)
    nearly_full(yard, short_of=10**12)
    yard.pass_days(1000)
    report = await yard.clean()
    assert gone(report) == set()
    assert kept(report)[Kind.CHECKOUT, order.agent_work_order_id] == "its order is waiting"
    assert kept(report)[Kind.MIRROR, yard.mirror().name] == "orders have work in it"
    assert (yard.checkout(order) / "sample/work.txt").is_file()


async def test_nothing_is_done_to_an_order_whose_commits_no_remote_has(yard: Yard) -> None:
    order = await yard.failed()
    yard.rules = replace(yard.rules, max_bytes=1, max_checkouts=0)
    nearly_full(yard, short_of=10**12)
    yard.pass_days(1000)
    report = await yard.clean()
    assert gone(report) == set()
    order_id = order.agent_work_order_id
    assert {kind: why for (kind, name), why in kept(report).items() if name == order_id} == dict.fromkeys(
        (Kind.CHECKOUT, Kind.ARTIFACTS, Kind.ORDER), "it has commits that no remote has"
    )
    assert (yard.checkout(order) / "sample/work.txt").is_file()
    assert (yard.artifacts(order) / "prompts/1.md").is_file()
    assert (await yard.checkouts.diff(order, yard.repository())).files


async def test_what_a_remote_has_by_another_way_is_no_reason_to_keep_it(yard: Yard, host: GitHost) -> None:
    order = await yard.failed()
    head = git(yard.mirror(), "rev-parse", f"refs/awo/{order.agent_work_order_id}/head")
    yard.pass_days(8)
    assert gone(await yard.clean()) == set()
    # A person fetched it by hand and pushed more on top of it.
    git(host.bare(), "fetch", "--quiet", str(yard.mirror()), head)
    git(host.bare(), "update-ref", "refs/heads/rescued", head)
    host.commit("sample", {"more.txt": "more\n"}, "rescued")
    yard.fetched_at_most = yard.fetched_at_most * 0
    await yard.completed()
    assert (Kind.CHECKOUT, order.agent_work_order_id) in gone(await yard.clean())


async def test_work_that_was_in_no_checkpoint_is_saved_before_it_could_be_lost(yard: Yard) -> None:
    run = await yard.running()
    (run.checkout.root / "unsaved.txt").write_text("the disk was full when this should have been saved\n")
    order = await run.ends(Status.FAILED, FailureClass.DISK)
    yard.pass_days(8)
    report = await yard.clean()
    assert gone(report) == set()
    assert kept(report)[Kind.CHECKOUT, order.agent_work_order_id] == "it has commits that no remote has"
    diff = await yard.checkouts.diff(order, yard.repository())
    assert [file.path for file in diff.files] == ["unsaved.txt"]


async def test_a_failure_of_today_is_kept_however_little_room_there_is(yard: Yard) -> None:
    order = await yard.failed(changed=False)
    yard.rules = replace(yard.rules, max_bytes=1, max_checkouts=0)
    yard.pass_days(0.9)
    report = await yard.clean()
    assert gone(report) == set()
    assert "less than a day ago" in kept(report)[Kind.CHECKOUT, order.agent_work_order_id]
    yard.pass_days(0.2)
    assert (Kind.CHECKOUT, order.agent_work_order_id) in gone(await yard.clean())


async def test_the_least_recently_used_go_first_when_there_are_too_many(yard: Yard) -> None:
    orders = []
    for _ in range(4):
        orders.append(await yard.completed())
        yard.pass_days(0.5)
    yard.rules = replace(yard.rules, max_checkouts=2)
    report = await yard.clean()
    assert gone(report) == {(Kind.CHECKOUT, order.agent_work_order_id) for order in orders[:2]}
    assert report.removed[0].name == orders[0].agent_work_order_id
    assert all(yard.checkout(order).is_dir() for order in orders[2:])


async def test_the_least_recently_used_go_first_when_everything_is_too_large(yard: Yard) -> None:
    orders = []
    for _ in range(3):
        orders.append(await yard.completed())
        yard.pass_days(0.5)
    used = sum((await yard.clean()).used_bytes.values())
    yard.rules = replace(yard.rules, max_bytes=used - 1)
    (removed,) = (await yard.clean()).removed
    assert (removed.name, removed.reason) == (
        orders[0].agent_work_order_id,
        "more bytes than may be kept; this was used least recently",
    )


async def test_a_disk_that_is_nearly_full_is_relieved_early_and_no_more_than_needed(yard: Yard) -> None:
    first, second = await yard.completed(), None
    yard.pass_days(0.5)
    second = await yard.completed()
    yard.pass_days(0.5)
    nearly_full(yard, short_of=1000)
    report = await yard.clean()
    assert [one.name for one in report.removed] == [first.agent_work_order_id]
    assert "nearly full" in report.removed[0].reason
    assert yard.checkout(second).is_dir()


async def test_what_is_not_ours_is_not_touched_whatever_its_name(yard: Yard, tmp_path: Path) -> None:
    await yard.completed()
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "thesis.txt").write_text("years of work")
    strangers = [yard.repositories / name for name in ("my-project", "wo-notes", "wo-" + "g" * 16, "WO-" + "0" * 16)]
    strangers += [yard.work_orders / name for name in ("reports", new_order_id(), "wo-")]
    strangers += [yard.repositories / new_order_id(), yard.repositories / ".mirrors" / "mine"]
    for stranger in strangers:
        stranger.mkdir(parents=True)
        (stranger / "file.txt").write_text("mine")
    links = [yard.repositories / new_order_id(), yard.work_orders / new_order_id()]
    for link in links:
        link.symlink_to(outside)
    yard.rules = replace(yard.rules, max_bytes=1, max_checkouts=0)
    nearly_full(yard, short_of=10**12)
    yard.pass_days(5000)
    await yard.clean()
    await yard.clean()
    assert all((stranger / "file.txt").read_text() == "mine" for stranger in strangers)
    assert all(link.is_symlink() for link in links)
    assert (outside / "thesis.txt").read_text() == "years of work"


async def test_links_in_what_is_removed_lead_nowhere(yard: Yard, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/thesis.txt").write_text("years of work")
    order = await yard.completed()
    farm = yard.checkout(order) / "sample" / "farm"
    farm.mkdir()
    for number in range(200):
        (farm / f"{number}").symlink_to(outside if number % 2 else outside / "deep")
    (farm / "self").symlink_to(farm)
    (yard.artifacts(order) / "outputs" / "out").symlink_to(outside)
    yard.pass_days(31)
    before = (outside.stat().st_mode, (outside / "deep").stat().st_mode)
    report = await yard.clean()
    assert {kind for kind, _ in gone(report)} == {Kind.CHECKOUT, Kind.ARTIFACTS}
    assert report.problems == []
    assert yard.trash() == []
    assert (outside / "deep/thesis.txt").read_text() == "years of work"
    assert (outside.stat().st_mode, (outside / "deep").stat().st_mode) == before


async def test_directories_that_their_owner_closed_are_opened_and_removed(yard: Yard) -> None:
    order = await yard.completed()
    closed = yard.checkout(order) / "sample" / "closed"
    (closed / "inner").mkdir(parents=True)
    (closed / "inner/file").write_text("x")
    (closed / "inner").chmod(0)
    closed.chmod(0o500)
    yard.checkout(order).chmod(0o500)
    yard.pass_days(8)
    report = await yard.clean()
    assert (gone(report), report.problems) == ({(Kind.CHECKOUT, order.agent_work_order_id)}, [])
    assert yard.trash() == []


async def test_files_of_orders_nobody_knows_wait_for_their_time_and_keep_their_work(yard: Yard) -> None:
    done, unsaved = await yard.completed(), await yard.failed()
    for order in (done, unsaved):
        await yard.store.delete(order.agent_work_order_id)
    yard.rules = replace(yard.rules, max_bytes=1)
    yard.pass_days(6)
    assert gone(await yard.clean()) == set()
    yard.pass_days(94)
    report = await yard.clean()
    assert gone(report) == {(kind, done.agent_work_order_id) for kind in (Kind.CHECKOUT, Kind.ARTIFACTS, Kind.ORDER)}
    assert kept(report)[Kind.CHECKOUT, unsaved.agent_work_order_id] == "it has commits that no remote has"
    assert (yard.checkout(unsaved) / "sample/work.txt").is_file()


async def test_a_mirror_goes_when_no_order_needs_it_and_nobody_has_used_it(yard: Yard) -> None:
    order = await yard.completed()
    mirror = yard.mirror()
    yard.pass_days(91)
    assert (Kind.ORDER, order.agent_work_order_id) in gone(await yard.clean())
    assert kept(await yard.clean())[Kind.MIRROR, mirror.name] == "it was used within the last two hours"
    long_ago = mirror.stat().st_mtime - 40 * 86_400
    for path in (mirror, mirror / "awo", mirror / "awo/fetched.json"):
        os.utime(path, (long_ago, long_ago))
    assert gone(await yard.clean()) == {(Kind.MIRROR, mirror.name)}
    assert not mirror.exists()
    again = await yard.completed()
    assert (yard.checkout(again) / "sample/work.txt").is_file(), "the next order clones it anew"


async def test_an_order_that_is_taken_up_again_in_the_last_moment_stays(yard: Yard) -> None:
    order = await yard.failed(changed=False)
    yard.pass_days(8)
    janitor, look = yard.janitor(), yard.volume.put_aside

    async def put_aside(*given: object) -> object:
        await yard.store.retry(order.agent_work_order_id, None)
        return await look(*given)  # type: ignore[arg-type]  # passed on as it came

    yard.volume.put_aside = put_aside  # type: ignore[method-assign,assignment]  # the moment before the rename
    assert gone(await janitor.clean(dry_run=False)) == set()
    assert yard.checkout(order).is_dir()
    assert yard.trash() == []


async def test_two_servers_never_clean_one_disk_at_once(yard: Yard) -> None:
    await yard.completed()
    yard.pass_days(8)
    with yard.another_volume().alone() as theirs:
        assert theirs
        with pytest.raises(WrongState, match="under way"):
            await yard.clean()
        assert len((await yard.clean(dry_run=True)).removed) == 1
    assert len((await yard.clean()).removed) == 1


async def test_old_orders_are_one_servers_duty(yard: Yard) -> None:
    order = await yard.completed()
    yard.pass_days(91)
    assert await yard.store.take_duty("janitor", "server-2", DAY)
    assert {kind for kind, _ in gone(await yard.clean())} == {Kind.CHECKOUT, Kind.ARTIFACTS}
    yard.pass_days(1.1)
    assert gone(await yard.clean()) == {(Kind.ORDER, order.agent_work_order_id)}


async def test_an_archived_order_is_not_forgotten(yard: Yard) -> None:
    order = await yard.completed()
    await yard.store.archive(order.agent_work_order_id)
    yard.pass_days(1000)
    await yard.clean()
    assert (await yard.store.get(order.agent_work_order_id)).archived_at is not None


async def test_orders_that_wait_for_room_go_on_when_there_is_some(yard: Yard) -> None:
    order, other = await yard.waiting(WaitingReason.DISK), await yard.waiting(WaitingReason.APPROVAL)
    janitor = yard.janitor()
    space, _ = yard.volume.space()
    yard.marks = replace(yard.marks, min_free_bytes=space.free_bytes + 10**9, low_bytes=space.free_bytes + 2 * 10**9)
    await janitor.look()
    assert (await yard.store.get(order.agent_work_order_id)).status is Status.WAITING
    yard.marks = replace(yard.marks, min_free_bytes=0, low_bytes=0)
    await yard.janitor().look()
    assert (await yard.store.get(order.agent_work_order_id)).status is Status.PENDING
    assert (await yard.store.get(other.agent_work_order_id)).status is Status.WAITING


async def test_metadata_of_an_order_that_ended_without_a_run_is_made_true(yard: Yard) -> None:
    order = await yard.waiting()
    await yard.store.cancel(order.agent_work_order_id)
    await yard.clean()
    assert '"status": "cancelled"' in (yard.artifacts(order) / "metadata.json").read_text()


async def test_a_checkpoint_on_a_hidden_ref_of_the_remote_is_not_lost_with_the_disk(yard: Yard) -> None:
    run = await yard.running()
    await run.checkout.share(await run.changes(), None)
    order = await run.ends(Status.FAILED, FailureClass.VERIFICATION)
    yard.pass_days(8)
    assert gone(await yard.clean()) == {(Kind.CHECKOUT, order.agent_work_order_id)}


async def test_a_mirror_in_pieces_protects_its_orders_and_the_rest_goes(yard: Yard, host: GitHost) -> None:
    host.create("other", SAMPLE)
    broken, free = await yard.failed("other"), await yard.completed()
    for piece in yard.mirror("other").glob("objects/**/*"):
        if piece.is_file():
            piece.chmod(0o600)
            piece.write_bytes(b"rubbish")
    yard.pass_days(8)
    report = await yard.clean()
    assert gone(report) == {(Kind.CHECKOUT, free.agent_work_order_id)}
    assert "damaged" in kept(report)[Kind.CHECKOUT, broken.agent_work_order_id]
    assert (yard.checkout(broken) / "other/work.txt").is_file()


async def test_drafts_of_dead_clones_and_what_was_made_beforehand_go_by_their_own_times(yard: Yard) -> None:
    await yard.completed()
    name = yard.mirror().name.removesuffix(".git")
    draft = yard.repositories / ".mirrors" / f".{name}.0123abcd.tmp"
    (draft / ".git").mkdir(parents=True)
    ready = yard.repositories / ".ready" / name / "0001-aa"
    (ready / "tree").mkdir(parents=True)
    kept_set_up = yard.repositories / ".setup" / name / "abc.tar"
    kept_set_up.parent.mkdir(parents=True)
    kept_set_up.write_bytes(bytes(1000))
    assert gone(await yard.clean()) == set()
    yard.pass_days(2)
    assert gone(await yard.clean()) == {(Kind.LEFTOVER, draft.name)}
    yard.rules = replace(yard.rules, max_bytes=10**9)
    nearly_full(yard, short_of=1)
    report = await yard.clean()
    assert report.removed[0].kind in (Kind.PREPARED, Kind.CACHE)
    nearly_full(yard, short_of=10**12)
    await yard.clean()
    assert not ready.exists()
    assert not kept_set_up.exists()


async def test_two_servers_that_clean_at_once_remove_each_thing_once(yard: Yard) -> None:
    orders = [await yard.completed() for _ in range(5)]
    yard.pass_days(31)
    reports: list[set[tuple[Kind, str]]] = []

    async def clean(worker_id: str) -> None:
        with suppress(WrongState):
            janitor = Janitor(yard.tools, yard.another_volume(), lambda: yard.rules, worker_id, clock=yard.clock)
            reports.append(gone(await janitor.clean(dry_run=False)))

    async with anyio.create_task_group() as group:
        for number in range(4):
            group.start_soon(clean, f"server-{number}")
    removed = [one for report in reports for one in report]
    assert sorted(removed) == sorted(
        (kind, order.agent_work_order_id) for order in orders for kind in (Kind.ARTIFACTS, Kind.CHECKOUT)
    )
    for order in orders:
        assert sorted(one.what for one in await yard.removals(order)) == [Kind.ARTIFACTS, Kind.CHECKOUT]
    assert yard.trash() == []


async def test_a_store_that_is_away_lets_nothing_be_removed(yard: Yard, caplog: pytest.LogCaptureFixture) -> None:
    order = await yard.completed()
    yard.pass_days(8)
    store = FlakyStore(cast(SqliteStore, yard.store))
    store.away = lambda name: name == "find"
    tools = replace(yard.tools, store=cast(Store, store))

    async def look() -> None:
        await Janitor(tools, yard.volume, lambda: yard.rules, "server-1", yard.clock).look()

    await look()
    assert "Nothing can be cleaned up: The database is away." in caplog.text
    assert yard.checkout(order).is_dir()
    store.away = lambda name: name == "remark"
    await look()
    assert not yard.checkout(order).exists()
    assert await yard.removals(order) == []
    assert [name.split("~")[0] for name in yard.trash()] == ["checkout"], "it waits until its removal is written down"
    store.away = lambda name: False
    await look()
    assert [one.what for one in await yard.removals(order)] == [Kind.CHECKOUT]
    assert yard.trash() == []


async def test_a_janitor_waits_a_little_after_the_start_and_after_a_failure(yard: Yard) -> None:
    order = await yard.completed()
    yard.pass_days(8)
    patient = Janitor(yard.tools, yard.volume, lambda: yard.rules, "server-1", yard.clock, first_after=DAY)
    await patient.look()
    assert yard.checkout(order).is_dir()
    store = FlakyStore(cast(SqliteStore, yard.store))
    store.away = lambda name: name == "find"
    tools = replace(yard.tools, store=cast(Store, store))
    refused = Janitor(tools, yard.volume, lambda: yard.rules, "server-1", yard.clock)
    await refused.look()
    store.away = lambda name: False
    await refused.look()
    assert yard.checkout(order).is_dir()
    assert store.calls.count("find") == 1


def hidden(host: GitHost, order: WorkOrder) -> str:
    return git(host.bare(), "for-each-ref", "--format=%(objectname)", f"refs/awo/{order.agent_work_order_id}/head")


async def shared_and_failed(yard: Yard, *, pushed: bool) -> WorkOrder:
    run = await yard.running()
    commit = await run.changes()
    await run.checkout.share(commit, None)
    if pushed:
        await run.checkout.push(commit, None)
    return await run.ends(Status.FAILED, FailureClass.VERIFICATION)


async def test_a_hidden_ref_goes_with_its_order_unless_the_work_is_nowhere_else(yard: Yard, host: GitHost) -> None:
    pushed, only_there = await shared_and_failed(yard, pushed=True), await shared_and_failed(yard, pushed=False)
    yard.pass_days(8)
    assert {name for _, name in gone(await yard.clean())} == {
        one.agent_work_order_id for one in (pushed, only_there)
    }, "their checkouts go: the remote has their work"
    assert hidden(host, pushed)
    yard.pass_days(90)
    planned, asked = await yard.clean(dry_run=True), len(host.requests)
    assert {kind for kind, _ in gone(planned)} == {Kind.ARTIFACTS, Kind.ORDER}
    assert len(host.requests) == asked
    report = await yard.clean()
    assert gone(report) == gone(planned)
    assert report.problems == []
    assert hidden(host, pushed) == ""
    assert hidden(host, only_there), "nobody else has this work"


async def test_a_hidden_ref_of_an_order_that_nobody_knows_goes_too(yard: Yard, host: GitHost) -> None:
    order = await shared_and_failed(yard, pushed=True)
    await yard.store.delete(order.agent_work_order_id)  # as another server's clean-up does, which has another disk
    yard.pass_days(91)
    assert (Kind.ORDER, order.agent_work_order_id) in gone(await yard.clean())
    assert hidden(host, order) == ""


async def test_a_remote_that_is_away_keeps_no_order_from_going_and_is_reported(yard: Yard, host: GitHost) -> None:
    orders = [await shared_and_failed(yard, pushed=True) for _ in range(2)]
    yard.pass_days(91)
    host.close()
    report = await yard.clean()
    assert {(Kind.ORDER, order.agent_work_order_id) for order in orders} <= gone(report)
    (problem,) = report.problems
    assert "hidden ref" in problem
    assert yard.repository().key in problem
    assert git(yard.mirror(), "for-each-ref", "refs/awo") == ""


async def test_many_removals_are_written_down_in_few_requests_each_as_an_event_of_its_own(yard: Yard) -> None:
    orders = [await yard.completed() for _ in range(6)]
    yard.pass_days(31)
    store = FlakyStore(cast(SqliteStore, yard.store))
    tools = replace(yard.tools, store=cast(Store, store))
    report = await Janitor(tools, yard.volume, lambda: yard.rules, "server-1", yard.clock).clean(dry_run=False)
    assert report.removed_count == 12
    assert store.calls.count("remark") == 1
    for order in orders:
        assert sorted(one.what for one in await yard.removals(order)) == [Kind.ARTIFACTS, Kind.CHECKOUT]
