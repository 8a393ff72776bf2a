"""Mirrors that hold less than everything, where the operator wants it so: no file contents, or no old commits."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts

from .conftest import SAMPLE, a_server, an_order, mirror_of
from .git_host import GitHost, git
from .test_pool import opened, pooling, ready, running, until

pytestmark = pytest.mark.anyio

OLD = "an old text that nobody needs any more\n"


def with_history(host: GitHost) -> str:
    """Three commits; the first text of README.md is in the first alone."""
    host.create(files={**SAMPLE, "README.md": OLD})
    git(host.bare(), "config", "uploadpack.allowFilter", "true")
    git(host.bare(), "config", "uploadpack.allowAnySHA1InWant", "true")
    host.commit("sample", {"README.md": "second\n"})
    return host.commit("sample", {"README.md": "third\n"})


def missing_in(mirror: Path) -> int:
    listing = git(mirror, "rev-list", "--objects", "--missing=print", "--all")
    return sum(line.startswith("?") for line in listing.splitlines())


async def changed(checkout: GitCheckout) -> dict[str, str]:
    saved = await checkout.checkpoint("now", "Now")
    return {file.path: file.patch or "" for file in (await checkout.diff(saved.commit)).files}


@pytest.fixture
def partly(host: GitHost, volume: Path) -> GitCheckouts:
    return a_server(host, volume)


async def test_a_partial_mirror_has_what_a_checkout_needs_and_no_more(
    host: GitHost, volume: Path, partly: GitCheckouts
) -> None:
    commit = with_history(host)
    checkout = await opened(partly, host, partial_clone=True)
    assert (checkout.root / "README.md").read_text() == "third\n"
    assert git(checkout.root, "status", "--porcelain") == ""
    assert missing_in(mirror_of(volume)) == 2
    assert any("partial" in note for note in checkout.notes)
    (checkout.root / "README.md").write_text("fourth\n")
    (checkout.root / "new.txt").write_text("new\n")
    git(checkout.root, "add", "new.txt")
    git(checkout.root, "commit", "--quiet", "--message", "An agent's commit")
    assert sorted(await changed(checkout)) == ["README.md", "new.txt"]
    saved = await checkout.checkpoint("again", "Again")
    await checkout.push(saved.commit, None)
    assert git(host.bare(), "merge-base", commit, "awo/x") == commit
    git(host.bare(), "fsck", "--strict")


async def test_a_partial_mirror_follows_the_remote(host: GitHost, volume: Path, partly: GitCheckouts) -> None:
    with_history(host)
    await opened(partly, host, partial_clone=True)
    newer = host.commit("sample", {"README.md": "fifth\n", "more.txt": "more\n"})
    again = await opened(partly, host, partial_clone=True)
    assert again.base_commit == newer
    assert (again.root / "more.txt").read_text() == "more\n"
    assert await changed(again) == {}
    other = host.commit("sample", {"only.txt": "only there\n"}, "release/1")
    elsewhere = await opened(partly, host, an_order(base_branch="release/1"), partial_clone=True)
    assert (elsewhere.base_commit, (elsewhere.root / "only.txt").read_text()) == (other, "only there\n")


async def test_of_a_partial_mirror_a_sparse_checkout_fetches_its_part_alone(
    host: GitHost, volume: Path, partly: GitCheckouts
) -> None:
    with_history(host)
    checkout = await opened(partly, host, an_order(working_subdir="docs"), partial_clone=True)
    assert (checkout.workdir / "guide.md").read_text() == SAMPLE["docs/guide.md"]
    assert not (checkout.root / "src").exists()
    assert missing_in(mirror_of(volume)) == 3  # two old texts of README.md, and src/app.py
    (checkout.workdir / "guide.md").write_text("changed\n")
    assert list(await changed(checkout)) == ["docs/guide.md"]
    saved = await checkout.checkpoint("again", "Again")
    await checkout.push(saved.commit, None)
    assert git(host.bare(), "diff", "--name-only", "main", "awo/x") == "docs/guide.md"


async def test_the_token_fetches_contents_and_is_kept_nowhere(
    host: GitHost, volume: Path, partly: GitCheckouts
) -> None:
    with_history(host)
    host.token = "ghp_partialpartialpartial"
    for number in range(2):
        await partly.open(
            an_order(), host.repository(), "awo/x", host.token, lambda *_: None, options=options(partial_clone=True)
        )
        host.commit("sample", {"more.txt": f"more {number}\n"})
    assert token_on_disk(volume, host.token) == []


def token_on_disk(volume: Path, token: str) -> list[Path]:
    return [path for path in volume.rglob("*") if path.is_file() and token.encode() in path.read_bytes()]


def options(**said: Any) -> Any:
    from src.agent_work_orders.domain.repository import RepositoryOptions

    return RepositoryOptions(**said)


async def test_from_a_partial_mirror_checkouts_are_prepared_too(host: GitHost, volume: Path) -> None:
    with_history(host)
    checkouts = pooling(host, volume)
    async with running(checkouts):
        await opened(checkouts, host, partial_clone=True)
        await until(lambda: ready(volume))
    checkout = await opened(checkouts, host, partial_clone=True)
    assert checkout.prepared
    assert await changed(checkout) == {}


async def test_a_shallow_mirror_has_the_last_commits_and_the_checkout_knows_it(
    host: GitHost, volume: Path, partly: GitCheckouts
) -> None:
    with_history(host)
    checkout = await opened(partly, host, depth=1)
    assert git(mirror_of(volume), "rev-list", "--all", "--count") == "1"
    assert git(checkout.root, "log", "--format=%s") == "Change README.md"
    assert git(checkout.root, "status", "--porcelain") == ""
    assert any("shallow" in note for note in checkout.notes)
    (checkout.root / "README.md").write_text("fourth\n")
    saved = await checkout.checkpoint("now", "Now")
    assert saved.commit_count == 1
    await checkout.push(saved.commit, None)
    assert git(host.bare(), "rev-list", "--count", "awo/x") == "4"
    git(host.bare(), "fsck", "--strict")


async def test_a_shallow_mirror_grows_with_what_is_new(host: GitHost, volume: Path, partly: GitCheckouts) -> None:
    with_history(host)
    first = await opened(partly, host, depth=1)
    newer = host.commit("sample", {"README.md": "fourth\n"})
    again = await opened(partly, host, depth=1)
    assert again.base_commit == newer
    assert git(again.root, "rev-list", "--count", "HEAD") == "2"
    (first.root / "README.md").write_text("by the first\n")
    assert list(await changed(first)) == ["README.md"]


async def test_the_options_change_nothing_of_a_mirror_that_is_there(host: GitHost, volume: Path) -> None:
    with_history(host)
    checkouts = a_server(host, volume, timedelta(0))
    await opened(checkouts, host)
    host.commit("sample", {"README.md": "fourth\n"})
    again = await opened(checkouts, host, partial_clone=True, depth=1)
    assert git(again.root, "rev-list", "--count", "HEAD") == "4"
    assert again.notes == ()
