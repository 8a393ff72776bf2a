"""Two servers, each with a disk of its own, and one remote: what the one saved, the other goes on from."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.work_order import WorkOrder
from src.agent_work_orders.ports import TakenOver

from .conftest import SAMPLE, a_server, an_order, mirror_of
from .git_host import GitHost, git
from .test_push import files_with

pytestmark = pytest.mark.anyio

TOKEN = "ghp_this/is+the?secret&token"
BRANCH = "awo/work"


@dataclass
class Server:
    """A server with its own disk, as one order sees it."""

    host: GitHost
    disk: Path
    checkouts: GitCheckouts

    async def open(self, order: WorkOrder) -> GitCheckout:
        return await self.checkouts.open(order, self.host.repository(), BRANCH, None, lambda *_: None)

    async def take_over(self, order: WorkOrder, *commits: str) -> TakenOver:
        return await self.checkouts.take_over(order, self.host.repository(), BRANCH, None, commits, lambda *_: None)

    async def unshare(self, order: WorkOrder) -> None:
        await self.checkouts.unshare(order.agent_work_order_id, self.host.repository(), None)


@pytest.fixture
def one(host: GitHost, tmp_path: Path) -> Server:
    return Server(host, tmp_path / "one", a_server(host, tmp_path / "one"))


@pytest.fixture
def two(host: GitHost, tmp_path: Path) -> Server:
    return Server(host, tmp_path / "two", a_server(host, tmp_path / "two"))


async def written(checkout: GitCheckout, text: str, label: str = "execute") -> str:
    (checkout.root / "work.txt").write_text(text)
    return (await checkout.checkpoint(label, "Work")).commit


def begun(checkout: GitCheckout, order: WorkOrder) -> WorkOrder:
    """The order as the store knows it after its first checkpoint."""
    return an_order(
        agent_work_order_id=order.agent_work_order_id,
        base_branch=checkout.base_branch,
        base_commit=checkout.base_commit,
        git_files_changed=1,
    )


def hidden(host: GitHost, order: WorkOrder) -> str:
    return git(host.bare(), "for-each-ref", "--format=%(objectname)", f"refs/awo/{order.agent_work_order_id}/head")


async def test_another_server_goes_on_from_the_checkpoint_that_was_shared(
    host: GitHost, one: Server, two: Server
) -> None:
    base = host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "half done")
    await first.share(saved, None)
    host.commit("sample", {"README.md": "The base branch has moved on.\n"})
    order = begun(first, order)
    taken = await two.take_over(order, saved)
    assert taken.complete
    assert saved[:12] in taken.notes[0]
    second = await two.open(order)
    assert (second.root / "work.txt").read_text() == "half done"
    assert (second.root / "README.md").read_text() == SAMPLE["README.md"]
    assert second.base_commit == base
    later = await written(second, "done")
    await second.share(later, None)
    await second.push(later, None)
    assert git(host.bare(), "rev-list", f"main..{BRANCH}").split()[:2] == [later, saved]
    assert hidden(host, order) == later


async def test_nobody_sees_the_hidden_ref_as_a_branch(host: GitHost, one: Server, two: Server) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    await first.share(await written(first, "x"), None)
    assert hidden(host, order)
    assert git(host.bare(), "for-each-ref", "--format=%(refname)", "refs/heads/", "refs/tags/") == "refs/heads/main"
    await two.open(an_order())
    assert "refs/awo/" + order.agent_work_order_id not in git(mirror_of(two.disk), "for-each-ref")


async def test_a_branch_that_was_pushed_before_the_crash_is_no_conflict_elsewhere(
    host: GitHost, one: Server, two: Server
) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "pushed")
    await first.push(saved, None)  # nothing was shared: pushing checkpoints is off
    order = begun(first, order)
    assert (await two.take_over(order, saved)).complete
    second = await two.open(order)
    await second.push(saved, None)
    assert (await second.diff(saved)).files[0].path == "work.txt"
    (second.root / "work.txt").unlink()
    other = await written(second, "mended in another way", "again")
    await second.push(other, None)
    assert host.tip(BRANCH) == other


async def test_work_that_is_on_this_disk_is_not_asked_for(host: GitHost, one: Server) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "here")
    newer = await written(first, "newer, and not in the journal yet", "again")
    asked = len(host.requests)
    assert await one.take_over(begun(first, order), saved) == TakenOver(complete=True)
    assert await one.take_over(begun(first, order), saved, newer) == TakenOver(complete=True)
    assert len(host.requests) == asked


async def test_a_server_that_lost_the_order_for_a_while_takes_the_newer_work_and_keeps_its_own(
    host: GitHost, one: Server, two: Server
) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "first")
    await first.share(saved, None)
    (first.root / "unsaved.txt").write_text("written when the server died")
    order = begun(first, order)
    await two.take_over(order, saved)
    second = await two.open(order)
    later = await written(second, "second")
    await second.share(later, None)
    assert (await one.take_over(order, saved, later)).complete
    again = await one.open(order)
    assert (again.root / "work.txt").read_text() == "second"
    assert not (again.root / "unsaved.txt").exists()
    rescued = f"refs/awo/{order.agent_work_order_id}/checkpoints/rescue:unsaved.txt"
    assert git(mirror_of(one.disk), "show", rescued) == "written when the server died"


async def test_a_server_that_lost_the_order_cannot_turn_the_hidden_ref_back(
    host: GitHost, one: Server, two: Server
) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "first")
    await first.share(saved, None)
    await two.take_over(begun(first, order), saved)
    second = await two.open(begun(first, order))
    newer = await written(second, "by the new owner")
    await second.share(newer, None)
    with pytest.raises(StepFailed, match="refused the checkpoint") as caught:
        await first.share(await written(first, "too late", "late"), None)
    assert caught.value.failure_class is FailureClass.CONFLICT
    assert hidden(host, order) == newer


async def test_a_push_whose_answer_was_lost_does_not_stop_the_next(host: GitHost, one: Server) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "first")
    name = f"refs/awo/{order.agent_work_order_id}/head"
    git(mirror_of(one.disk), "push", "--quiet", str(host.bare()), f"{saved}:{name}")
    later = await written(first, "second", "again")
    await first.share(later, None)
    assert hidden(host, order) == later


async def test_only_commits_that_the_journal_names_are_taken(host: GitHost, one: Server, two: Server) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "ours")
    planted = host.commit("sample", {"work.txt": "planted"}, "planted")
    git(host.bare(), "update-ref", f"refs/awo/{order.agent_work_order_id}/head", planted)
    git(host.bare(), "update-ref", f"refs/heads/{BRANCH}", planted)
    order = begun(first, order)
    assert await two.take_over(order, saved) == TakenOver(complete=False)
    assert not ((await two.open(order)).root / "work.txt").exists()


async def test_an_older_checkpoint_is_better_than_none_but_does_not_count_as_all(
    host: GitHost, one: Server, two: Server
) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    shared = await written(first, "shared")
    await first.share(shared, None)
    lost = await written(first, "lost with the disk", "lost")
    order = begun(first, order)
    assert not (await two.take_over(order, shared, lost)).complete
    assert ((await two.open(order)).root / "work.txt").read_text() == "shared"


async def test_nothing_to_take_over_is_said(host: GitHost, one: Server, two: Server) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    saved = await written(first, "never shared")
    assert await two.take_over(begun(first, order), saved) == TakenOver(complete=False)
    assert await two.take_over(an_order()) == TakenOver(complete=True)


async def test_a_remote_that_wants_no_such_refs_is_a_refusal_in_its_own_words(host: GitHost, one: Server) -> None:
    host.create(files=SAMPLE)
    git(host.bare(), "config", "transfer.hideRefs", "refs/awo")
    first = await one.open(an_order())
    with pytest.raises(StepFailed, match=r"refused the checkpoint: .*hidden ref") as caught:
        await first.share(await written(first, "x"), None)
    assert caught.value.failure_class is FailureClass.CONFLICT


async def test_the_hidden_ref_is_taken_away_once_and_harmlessly_again(host: GitHost, one: Server, two: Server) -> None:
    host.create(files=SAMPLE)
    first = await one.open(order := an_order())
    await first.share(await written(first, "x"), None)
    assert hidden(host, order)
    await two.unshare(order)
    assert hidden(host, order)
    await one.unshare(order)
    assert hidden(host, order) == ""
    asked = len(host.requests)
    await one.unshare(order)
    assert len(host.requests) == asked


async def test_sharing_needs_the_token_and_shows_it_to_nobody(host: GitHost, one: Server, tmp_path: Path) -> None:
    host.create(files=SAMPLE)
    host.token = TOKEN
    first = await one.checkouts.open(an_order(), host.repository(), BRANCH, TOKEN, lambda *_: None)
    saved = await written(first, "x")
    with pytest.raises(StepFailed) as caught:
        await first.share(saved, None)
    assert caught.value.failure_class is FailureClass.AUTH
    await first.share(saved, TOKEN)
    assert files_with(b"ghp_", tmp_path) == []
