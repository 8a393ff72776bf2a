"""The first clone of a repository: it brings its order's files along, and may begin before the order asks for them."""

import os
import stat
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.checkout.expected import AT_ONCE, Expected
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.work_order import WorkOrder

from .conftest import SAMPLE, Opener, a_server, an_order, mirror_of
from .git_host import GitHost, git
from .processes import commands_with, until
from .test_pool import ready, running
from .test_speed import counting_git

pytestmark = pytest.mark.anyio


def drafts(volume: Path) -> list[Path]:
    return list(volume.glob(".mirrors/.*.tmp"))


async def no_token() -> str | None:
    return None


def expect(
    checkouts: GitCheckouts,
    host: GitHost,
    order: WorkOrder | None = None,
    name: str = "sample",
    token: Callable[[], Awaitable[str | None]] = no_token,
    **options: Any,
) -> None:
    checkouts.expect(order or an_order(), host.repository(name), token, options=RepositoryOptions(**options))


# --- what it brings along


async def test_the_files_that_come_with_the_clone_are_a_checkout_like_any_other(host: GitHost, volume: Path) -> None:
    commit = host.create(files={**SAMPLE, "bin/run": "#!/bin/sh\n", "empty/.keep": ""})
    open_checkout = Opener(host, a_server(host, volume, timedelta(hours=1)))
    first, second = await open_checkout(branch="awo/first"), await open_checkout(branch="awo/second")
    assert (first.base_commit, first.base_branch, first.resumed, first.prepared) == (commit, "main", False, False)
    assert git(first.root, "rev-parse", "HEAD", "--abbrev-ref", "HEAD").split() == [commit, "awo/first"]
    assert git(first.root, "status", "--porcelain") == ""
    assert git(first.root, "config", "--list", "--local") == git(second.root, "config", "--list", "--local")

    def layout(root: Path) -> dict[str, int]:
        return {str(path.relative_to(root)): path.lstat().st_mode for path in root.rglob("*") if path.is_file()}

    here, there = layout(first.root), layout(second.root)
    assert {name.replace("second", "first"): mode for name, mode in there.items()} == here
    assert [stat.S_IMODE(path.stat().st_mode) for path in (first.root, first.root / ".git")] == [0o700, 0o700]
    # Neither the clone's own index nor its branch is left in the mirror.
    mirror = mirror_of(volume)
    assert not (mirror / "index").exists()
    assert git(mirror, "for-each-ref", "--format=%(refname)", "refs/heads") == ""


async def test_nothing_is_read_anew_to_save_what_was_brought_along(host: GitHost, volume: Path, tmp_path: Path) -> None:
    host.create(files=SAMPLE)
    program, log = counting_git(tmp_path)
    checkout = await Opener(host, a_server(host, volume, git=program))()
    assert log.read_text().split() == ["clone"]
    assert not (await checkout.checkpoint("one", "One")).changed
    (checkout.root / "README.md").write_text("changed\n")
    saved = await checkout.checkpoint("two", "Two")
    assert [file.path for file in (await checkout.diff(saved.commit)).files] == ["README.md"]


@pytest.mark.parametrize(
    ("order", "options"),
    [
        (an_order(base_branch="main"), {}),
        (an_order(working_subdir="src"), {"sparse": True}),
        (an_order(), {"partial_clone": True}),
    ],
    ids=["of a branch by its name", "of a directory alone", "without contents"],
)
async def test_who_wants_other_files_reads_them_from_the_mirror(
    host: GitHost, volume: Path, tmp_path: Path, order: WorkOrder, options: dict[str, Any]
) -> None:
    host.create(files=SAMPLE)
    git(host.bare(), "config", "uploadpack.allowFilter", "true")
    git(host.bare(), "config", "uploadpack.allowAnySHA1InWant", "true")
    program, log = counting_git(tmp_path)
    checkouts = a_server(host, volume, git=program)
    checkout = await checkouts.open(
        order, host.repository(), "awo/x", None, lambda *_: None, options=RepositoryOptions(**options)
    )
    assert "read-tree" in log.read_text().split()
    assert (checkout.root / "src/app.py").read_text() == SAMPLE["src/app.py"]


async def test_what_the_operator_adds_is_added_to_what_was_brought_along(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    options = RepositoryOptions(files={".env": "A=1\n"}, setup_command="make", setup_inputs=("README.md",))
    checkout = await a_server(host, volume).open(
        an_order(), host.repository(), "awo/x", None, lambda *_: None, options=options
    )
    assert (checkout.root / ".env").read_text() == "A=1\n"
    assert not checkout.set_up
    assert git(checkout.root, "status", "--porcelain") == ""


async def test_files_that_cannot_be_written_cost_no_mirror(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    name = "n" * 300  # longer than a file may be called
    tree = git(
        host.bare(), "mktree", stdin=f"100644 blob {git(host.bare(), 'rev-parse', 'main:README.md')}\t{name}\n".encode()
    )
    who = {f"GIT_{role}_{what}": "test@test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    commit = git(host.bare(), "commit-tree", tree, "-m", "Too long", env=who)
    git(host.bare(), "update-ref", "refs/heads/main", commit)
    open_checkout = Opener(host, a_server(host, volume, timedelta(hours=1)))
    with pytest.raises(StepFailed, match="File name too long") as failed:
        await open_checkout()
    assert failed.value.failure_class is FailureClass.GIT
    assert git(mirror_of(volume), "rev-parse", "refs/remotes/origin/main") == commit
    assert drafts(volume) == []
    assert host.fetches == 1


# --- before the order asks


async def test_a_repository_that_is_expected_is_there_when_its_order_comes(host: GitHost, volume: Path) -> None:
    commit = host.create(files=SAMPLE)
    checkouts = a_server(host, volume, timedelta(hours=1))
    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        expect(checkouts, host)
        await until(lambda: ready(volume))
        checkout = await Opener(host, checkouts)()
    assert (checkout.base_commit, checkout.prepared) == (commit, True)
    assert git(checkout.root, "status", "--porcelain") == ""
    assert host.fetches == 1


async def test_orders_that_come_meanwhile_join_and_hear_how_far_it_is(host: GitHost, volume: Path) -> None:
    commit = host.create(files={**SAMPLE, **{f"f{number}": os.urandom(20_000).hex() for number in range(200)}})
    host.gate.clear()
    checkouts = a_server(host, volume)  # every order would fetch by itself
    openers = [Opener(host, checkouts) for _ in range(3)]
    roots: list[Path] = []

    async def come(opener: Opener) -> None:
        checkout = await opener()
        assert checkout.base_commit == commit
        assert git(checkout.root, "status", "--porcelain") == ""
        roots.append(checkout.root)

    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        expect(checkouts, host)
        await until(host.asked.is_set)
        async with anyio.create_task_group() as orders:
            for opener in openers:
                orders.start_soon(come, opener)
            await anyio.wait_all_tasks_blocked()
            host.gate.set()
    assert len(set(roots)) == 3
    assert host.fetches == 1
    assert all(opener.progress for opener in openers)


async def test_the_clone_goes_on_for_those_who_stay_and_ends_with_the_last_who_leaves(
    host: GitHost, volume: Path
) -> None:
    host.create(files=SAMPLE)
    host.gate.clear()
    checkouts = a_server(host, volume)
    first, second = anyio.CancelScope(), anyio.CancelScope()

    async def come(scope: anyio.CancelScope) -> None:
        with scope:
            await Opener(host, checkouts)()

    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        expect(checkouts, host)
        await until(host.asked.is_set)
        async with anyio.create_task_group() as orders:
            orders.start_soon(come, first)
            orders.start_soon(come, second)
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            assert commands_with(str(volume))
            second.cancel()
        assert commands_with(str(volume)) == []
        assert drafts(volume) == []
        host.gate.set()
        assert (await Opener(host, checkouts)()).root.is_dir()


async def test_what_nobody_comes_for_is_stopped() -> None:
    expected, stopped = Expected(patience=0.05), anyio.Event()

    async def bring(*given: object) -> list[str]:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()
        return []

    async with anyio.create_task_group() as expected.tasks:
        expected.expect(Path("/nowhere"), bring, lambda *given: None)
        with anyio.fail_after(10):
            await stopped.wait()
            await anyio.wait_all_tasks_blocked()
        assert await expected.join(Path("/nowhere"), lambda *said: None, None) is None


async def test_what_goes_wrong_is_said_to_the_order_that_waits(host: GitHost, volume: Path) -> None:
    checkouts, go_on, said = a_server(host, volume), anyio.Event(), []

    async def token() -> None:
        await go_on.wait()

    async def come() -> None:
        try:
            await Opener(host, checkouts)(name="missing")
        except StepFailed as failure:
            said.append(failure.failure_class)

    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        expect(checkouts, host, name="missing", token=token)
        async with anyio.create_task_group() as orders:
            for _ in range(2):
                orders.start_soon(come)
            await anyio.wait_all_tasks_blocked()
            go_on.set()
        assert said == [FailureClass.GIT] * 2
        assert len([line for line in host.requests if "info/refs" in line]) == 1
        # That was nobody's last word: the next order asks anew.
        host.create("missing", SAMPLE)
        assert (await Opener(host, checkouts)(name="missing")).root.is_dir()


async def test_who_joins_hears_that_the_repository_has_moved(host: GitHost, volume: Path) -> None:
    host.create("renamed", SAMPLE)
    asked, go_on = host.answer, anyio.Event()

    def moved(method: str, target: str, headers: Any, body: bytes) -> tuple[int, list[Any], bytes]:
        if "/sample/" in target:
            there = f"http://{host.name}{target.replace('/sample/', '/renamed/')}"
            return 301, [("Location", there)], b""
        return asked(method, target, headers, body)

    host.answer = moved  # type: ignore[method-assign]  # the host's own address for it
    checkouts = a_server(host, volume, timedelta(hours=1))

    async def token() -> None:
        await go_on.wait()

    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        expect(checkouts, host, token=token)
        async with anyio.create_task_group() as orders:

            async def come() -> None:
                checkout = await Opener(host, checkouts)()
                assert [note for note in checkout.notes if "has moved to" in note]

            orders.start_soon(come)
            await anyio.wait_all_tasks_blocked()
            go_on.set()


async def test_what_is_wrong_with_one_order_is_not_said_to_another(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    host.gate.clear()
    checkouts = a_server(host, volume)
    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        expect(checkouts, host)
        await until(host.asked.is_set)
        said: list[str] = []

        async def come(order: WorkOrder) -> None:
            try:
                said.append((await Opener(host, checkouts)(order)).base_branch)
            except StepFailed as failure:
                said.append(failure.message)

        async with anyio.create_task_group() as orders:
            orders.start_soon(come, an_order(working_subdir="nowhere"))
            await anyio.wait_all_tasks_blocked()
            orders.start_soon(come, an_order())
            await anyio.wait_all_tasks_blocked()
            host.gate.set()
    assert sorted(said) == ["The repository has no directory nowhere on main.", "main"]


async def test_only_a_few_are_fetched_beforehand_at_once_and_none_by_a_server_that_does_not_run(
    host: GitHost, volume: Path
) -> None:
    names = [f"sample-{number}" for number in range(AT_ONCE + 2)]
    for name in names:
        host.create(name, SAMPLE)
    host.gate.clear()
    checkouts = a_server(host, volume)
    expect(checkouts, host, name=names[0])
    asked: list[str] = []

    def token(name: str) -> Callable[[], Awaitable[str | None]]:
        async def ask() -> None:
            asked.append(name)

        return ask

    async with running(checkouts):
        await anyio.lowlevel.checkpoint()
        for name in names:
            expect(checkouts, host, name=name, token=token(name))
        await anyio.wait_all_tasks_blocked()
        assert asked == names[:AT_ONCE]
        host.gate.set()
        await until(lambda: len(list(volume.glob(".mirrors/*.git"))) == AT_ONCE)
        expect(checkouts, host, name=names[0], token=token("again"))
    assert asked == names[:AT_ONCE]
