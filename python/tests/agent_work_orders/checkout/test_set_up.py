"""What an operator adds to a checkout: a set-up whose work is kept, files that are never committed, a clean-up."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.agent.checks import CommandChecks
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.checkout import CleanUp, GitCheckout, GitCheckouts
from src.agent_work_orders.domain.errors import StepFailed
from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.domain.repository import Repository, RepositoryOptions

from .conftest import a_server, an_order
from .git_host import GitHost, git
from .test_pool import opened, pooling, ready, running, until

pytestmark = pytest.mark.anyio

FILES = {"package.json": '{"a": 1}\n', "app.js": "app\n", ".gitignore": "node_modules/\n"}
SETUP: dict[str, Any] = {"setup_command": "make it", "setup_inputs": ("package.json",)}


def made(checkout: GitCheckout) -> None:
    """What a set-up command does in a checkout."""
    (checkout.root / "node_modules" / "lib" / ".bin").mkdir(parents=True)
    (checkout.root / "node_modules" / "lib" / "index.js").write_text("lib\n")
    (checkout.root / "node_modules" / "lib" / ".bin" / "run").symlink_to("../index.js")
    (checkout.root / "generated").mkdir()
    (checkout.root / "generated" / "out file.txt").write_text("not ignored\n")
    (checkout.root / "node_modules" / "lib" / "tool").write_text("#!/bin/sh\n")
    (checkout.root / "node_modules" / "lib" / "tool").chmod(0o755)


def cached(volume: Path) -> list[Path]:
    return list(volume.glob(".setup/*/*.tar"))


def made_directory(path: Path) -> Path:
    path.mkdir()
    return path


def is_made(checkout: GitCheckout) -> bool:
    tool = checkout.root / "node_modules" / "lib" / "tool"
    link = checkout.root / "node_modules" / "lib" / ".bin" / "run"
    return (
        tool.is_file()
        and os.access(tool, os.X_OK)
        and link.is_symlink()
        and (checkout.root / "generated" / "out file.txt").read_text() == "not ignored\n"
    )


async def set_up(checkouts: GitCheckouts, host: GitHost, **options: Any) -> GitCheckout:
    checkout = await opened(checkouts, host, **{**SETUP, **options})
    missing = not checkout.set_up
    assert missing
    made(checkout)
    await checkout.keep_set_up()
    assert checkout.set_up
    return checkout


async def changed(checkout: GitCheckout) -> dict[str, str]:
    saved = await checkout.checkpoint("now", "Now")
    return {file.path: file.status for file in (await checkout.diff(saved.commit)).files}


async def test_what_a_set_up_made_is_no_change_of_the_order(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkout = await set_up(a_server(host, volume), host)
    (checkout.root / "mine.txt").write_text("mine")
    assert await changed(checkout) == {"mine.txt": "added"}
    git(checkout.root, "add", "--all")
    assert git(checkout.root, "diff", "--cached", "--name-only") == "mine.txt"


async def test_the_next_checkout_with_the_same_inputs_has_it_already(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    await set_up(checkouts, host)
    host.commit("sample", {"app.js": "another\n"})
    again = await opened(checkouts, host, **SETUP)
    assert again.set_up
    assert is_made(again)
    assert await changed(again) == {}
    assert git(again.root, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    "options", [{"setup_command": "make other"}, {"environment": {"A": "b"}}, {"setup_inputs": ("app.js",)}], ids=str
)
async def test_another_command_environment_or_input_is_another_set_up(
    host: GitHost, volume: Path, options: dict[str, Any]
) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    await set_up(checkouts, host)
    other = await opened(checkouts, host, **{**SETUP, **options})
    assert not other.set_up
    assert not (other.root / "node_modules").exists()


async def test_an_input_that_changed_calls_for_a_new_set_up(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    await set_up(checkouts, host)
    host.commit("sample", {"package.json": '{"a": 2}\n'})
    assert not (await opened(checkouts, host, **SETUP)).set_up


async def test_a_set_up_that_names_no_inputs_is_run_in_every_checkout_once(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    order = an_order()
    first = await opened(checkouts, host, order, setup_command="make it")
    made(first)
    await first.keep_set_up()
    assert (await opened(checkouts, host, order, setup_command="make it")).set_up
    assert not (await opened(checkouts, host, setup_command="make it")).set_up
    assert cached(volume) == []


async def test_an_order_that_comes_back_has_no_set_up_run_over_its_agents_work(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    order, later = an_order(), an_order()
    first = await opened(checkouts, host, order, **SETUP)
    assert not (await opened(checkouts, host, order, **SETUP)).set_up  # it was interrupted before its set-up had ended
    await first.keep_set_up()
    (first.root / "package.json").write_text("by the agent\n")
    await first.checkpoint("execute", "Work")
    again = await opened(checkouts, host, order, **SETUP)
    assert (again.resumed, again.set_up) == (True, True)
    other = await opened(checkouts, host, later)
    (other.root / "package.json").write_text("by the agent, in no checkpoint yet\n")
    assert (await opened(checkouts, host, later, **SETUP)).set_up  # the operator only now asked for one


async def test_tracked_files_that_a_set_up_changed_are_put_back_and_that_is_said(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    checkout = await opened(checkouts, host, **SETUP)
    (checkout.root / "package.json").write_text("rewritten by the installer\n")
    (checkout.root / "app.js").unlink()
    await checkout.keep_set_up()
    assert (checkout.root / "package.json").read_text() == FILES["package.json"]
    assert (checkout.root / "app.js").is_file()
    assert "The set-up command changed 2 files of the repository; they were put back." in checkout.notes
    assert await changed(checkout) == {}


async def test_a_prepared_checkout_comes_with_its_set_up(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = pooling(host, volume)
    async with running(checkouts):
        await set_up(checkouts, host)
        await until(lambda: ready(volume))
        (entry,) = ready(volume)
        kept = (entry / "+tree" / "node_modules" / "lib" / "tool").stat().st_ino
        checkout = await opened(checkouts, host, **SETUP)
        assert (checkout.prepared, checkout.set_up) == (True, True)
        assert (checkout.root / "node_modules" / "lib" / "tool").stat().st_ino == kept
        assert is_made(checkout)
        assert await changed(checkout) == {}
        # One with other inputs must not get it.
        host.commit("sample", {"package.json": '{"a": 2}\n'})
        await until(lambda: ready(volume))
        other = await pooling(host, volume, freshness=timedelta(0)).open(
            an_order(), host.repository(), "awo/x", None, lambda *_: None, options=RepositoryOptions(**SETUP)
        )
        assert not other.set_up
        assert not (other.root / "node_modules").exists()


async def test_a_cache_that_somebody_deleted_is_only_slower(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    await set_up(checkouts, host)
    (tar,) = cached(volume)
    tar.unlink()
    assert not (await opened(checkouts, host, **SETUP)).set_up


async def test_only_the_last_few_set_ups_are_kept(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    checkouts = a_server(host, volume)
    for number in range(5):
        await set_up(checkouts, host, setup_command=f"make {number}")
    assert len(cached(volume)) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
async def test_a_set_up_cannot_smuggle_the_servers_files_into_the_cache(
    host: GitHost, volume: Path, tmp_path: Path
) -> None:
    for directory in (tmp_path, *tmp_path.parents):
        if directory.stat().st_uid == 0 and str(directory) != "/":
            directory.chmod(directory.stat().st_mode | 0o011)
    secret = tmp_path / "secret"
    secret.write_text("the server's")
    secret.chmod(0o600)
    host.create(files=FILES)
    checkouts = a_server(host, volume, agent_user=(65534, 65534))
    checkout = await opened(checkouts, host, **SETUP)
    os.link(secret, checkout.root / "stolen")
    await checkout.keep_set_up()
    assert cached(volume) == []  # tar, as the agent's user, could not read it
    assert not (await opened(checkouts, host, **SETUP)).set_up


# --- files


async def test_placed_files_are_there_for_the_owner_alone_and_in_no_commit(host: GitHost, volume: Path) -> None:
    host.create(files={**FILES, ".gitignore": "!.env\n"})
    files = {".env": "KEY=1\n", "config/local settings.yml": "a: 1\n"}
    order = an_order()
    checkouts = a_server(host, volume)
    checkout = await opened(checkouts, host, order, files=files)
    assert {path: (checkout.root / path).read_text() for path in files} == files
    assert {(checkout.root / path).stat().st_mode & 0o777 for path in files} == {0o600}
    (checkout.root / ".env").write_text("KEY=2\n")
    (checkout.root / "config" / "mine.yml").write_text("mine\n")
    assert await changed(checkout) == {"config/mine.yml": "added"}
    again = await opened(checkouts, host, order, files=files)
    assert again.resumed
    assert await changed(again) == {"config/mine.yml": "added"}


async def test_a_file_of_the_repository_is_not_placed_over(host: GitHost, volume: Path) -> None:
    host.create(files=FILES)
    with pytest.raises(StepFailed, match=r"app\.js belongs to the repository") as caught:
        await opened(a_server(host, volume), host, files={"app.js": "mine"})
    assert "settings of this repository" in caught.value.next_action


async def test_no_file_is_placed_through_a_link(host: GitHost, volume: Path, tmp_path: Path) -> None:
    host.create(files=FILES)
    outside = made_directory(tmp_path / "outside")
    bare = host.bare()
    blob = git(bare, "hash-object", "-w", "--stdin", stdin=str(outside).encode())
    tree = git(bare, "mktree", stdin=f"120000 blob {blob}\tconfig\n".encode())
    commit = git(bare, "commit-tree", "-m", "A link", tree, env={
        f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    })  # fmt: skip
    git(bare, "update-ref", "refs/heads/main", commit)
    with pytest.raises(StepFailed, match=r"config/local\.yml could not be placed"):
        await opened(a_server(host, volume), host, files={"config/local.yml": "a: 1\n"})
    assert sorted(os.listdir(outside)) == []  # noqa: PTH208 - names are what is compared


# --- clean-up


def cleaning(host: GitHost, volume: Path, work_orders: Path, redactor: Redactor, **said: Any) -> GitCheckouts:
    async def options(repository: Repository) -> RepositoryOptions:
        return RepositoryOptions(**said)

    clean_up = CleanUp(CommandChecks(SameUser()), options, redactor, work_orders)
    return a_server(host, volume, clean_up=clean_up)


async def test_the_clean_up_command_runs_before_the_checkout_goes_and_its_log_is_kept(
    host: GitHost, volume: Path, tmp_path: Path
) -> None:
    host.create(files=FILES)
    redactor = Redactor()
    redactor.register("super-secret-value")
    checkouts = cleaning(
        host, volume, tmp_path / "work-orders", redactor,
        cleanup_command='ls; echo "$NAME super-secret-value"; cp app.js "$TO"; exit 3',
        environment={"NAME": "Ada", "TO": str(tmp_path / "taken")},
    )  # fmt: skip
    order = an_order()
    checkout = await opened(checkouts, host, order)
    await checkouts.remove(order, host.repository())
    assert not checkout.root.exists()
    assert (tmp_path / "taken").read_text() == "app\n"
    log = tmp_path / "work-orders" / order.agent_work_order_id / "outputs" / "clean-up.log"
    text = log.read_text()
    assert "app.js" in text
    assert "Ada" in text
    assert "super-secret-value" not in text
    assert text.endswith("[clean-up command: exit code 3]\n")
    assert not (log.parent.parent / "run").exists() or list((log.parent.parent / "run").iterdir()) == []


async def test_a_clean_up_command_that_hangs_keeps_no_checkout_from_going(
    host: GitHost, volume: Path, tmp_path: Path
) -> None:
    host.create(files=FILES)
    checkouts = cleaning(
        host, volume, tmp_path / "work-orders", Redactor(), cleanup_command="sleep 600", setup_timeout=1
    )
    order = an_order()
    checkout = await opened(checkouts, host, order)
    await checkouts.remove(order, host.repository())
    assert not checkout.root.exists()
    log = tmp_path / "work-orders" / order.agent_work_order_id / "outputs" / "clean-up.log"
    assert "time limit" in log.read_text()


async def test_without_a_checkout_no_command_runs(host: GitHost, volume: Path, tmp_path: Path) -> None:
    checkouts = cleaning(host, volume, tmp_path / "work-orders", Redactor(), cleanup_command=f"touch {tmp_path}/ran")
    await checkouts.remove(an_order(), host.repository())
    assert not (tmp_path / "ran").exists()
