"""What becomes of remotes: renamed, rewritten, made anew, gone. On the rehearsal's git server."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.checkout.failures import Moved
from src.agent_work_orders.checkout.git import Remote
from src.agent_work_orders.checkout.remote_moves import checked_address
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import Repository
from src.agent_work_orders.domain.work_order import WorkOrder
from src.agent_work_orders.rehearsal import Stage, stage_in_thread
from src.agent_work_orders.rehearsal.bare_repository import git_environment

from .conftest import an_order

pytestmark = pytest.mark.anyio
FILES = {"README.md": "# Words\n", "src/app.py": "print('hello')\n"}
BRANCH = "awo/work"


class Place:
    """A server, and a private repository on the stage that it works on."""

    def __init__(self, stage: Stage, directory: Path) -> None:
        self.stage, self.directory = stage, directory
        url = stage.add_repository("team", "sample", FILES, private=True)
        self.repository = Repository(url=url, host=stage.git_host, owner="team", name="sample")
        self.checkouts = GitCheckouts(
            directory, freshness=lambda: timedelta(0), insecure_hosts=lambda: frozenset({stage.git_host})
        )

    async def open(self, order: WorkOrder | None = None, token: str | None = None) -> GitCheckout:
        token = token or self.stage.github_token
        return await self.checkouts.open(order or an_order(), self.repository, BRANCH, token, lambda *_: None)

    def git(self, *arguments: str, name: str = "sample", stdin: str = "") -> str:
        found = self.stage.repositories.find("team", name)
        assert found
        command = ["git", "--git-dir", str(found.path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
        done = subprocess.run(
            [*command, *arguments], env=git_environment(), input=stdin, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, parent: str | None, text: str) -> str:
        """A commit with one file, on `parent` or as the first of another history."""
        blob = self.git("hash-object", "-w", "--stdin", stdin=text)
        tree = self.git("mktree", stdin=f"100644 blob {blob}\tREADME.md\n")
        return self.git("commit-tree", tree, *(["-p", parent] if parent else []), "-m", text)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with stage_in_thread(tmp_path / "stage") as stage:
        yield Place(stage, tmp_path / "repositories")


async def saved(checkout: GitCheckout) -> str:
    (checkout.root / "work.txt").write_text("worth a lot")
    return (await checkout.checkpoint("execute", "Work")).commit


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
async def test_a_renamed_repository_is_followed_on_its_host_and_its_new_address_is_said(
    place: Place, known: bool
) -> None:
    order, commit = an_order(), None
    if known:
        earlier = await place.open(order)
        commit = await saved(earlier)
    place.stage.repositories.rename("team", "sample", "renamed")
    checkout = await place.open()
    assert (checkout.root / "README.md").read_text() == FILES["README.md"]
    assert f"http://{place.stage.git_host}/team/renamed" in " ".join(checkout.notes)
    if known and commit:
        again = await place.open(order)
        assert again.resumed
        await again.share(commit, place.stage.github_token)
        await again.push(commit, place.stage.github_token)
        assert place.git("rev-parse", BRANCH, name="renamed") == commit
        assert place.git("for-each-ref", "refs/awo/", "--format=%(objectname)", name="renamed") == commit
        await place.checkouts.unshare(order.agent_work_order_id, place.repository, place.stage.github_token)
        assert place.git("for-each-ref", "refs/awo/", name="renamed") == ""


async def test_a_rewritten_branch_is_followed_and_orders_keep_their_base(place: Place) -> None:
    order = an_order()
    first = await place.open(order)
    commit = await saved(first)
    rewritten = place.commit(None, "another history\n")
    place.git("update-ref", "refs/heads/main", rewritten)
    place.git("reflog", "expire", "--expire=now", "--all")
    place.git("gc", "--prune=now", "--quiet")
    assert (await place.open()).base_commit == rewritten
    again = await place.open(order)
    assert again.base_commit == first.base_commit
    assert [file.path for file in (await again.diff(commit)).files] == ["work.txt"]
    await again.push(commit, place.stage.github_token)
    assert place.git("show", f"{BRANCH}:work.txt") == "worth a lot"


async def test_a_repository_made_anew_under_its_name_is_another_history_and_costs_no_work(place: Place) -> None:
    order = an_order()
    first = await place.open(order)
    commit = await saved(first)
    place.stage.repositories.vanish("team", "sample")
    place.stage.repositories.create("team", "sample", {"other.txt": "other\n"}, default_branch="trunk", private=True)
    fresh = await place.open()
    assert fresh.base_branch == "trunk"
    assert (fresh.root / "other.txt").read_text() == "other\n"
    again = await place.open(order)
    assert (again.root / "work.txt").read_text() == "worth a lot"
    assert (await again.diff(commit)).base_commit == first.base_commit


async def test_a_vanished_repository_is_said_and_the_work_on_it_stays(place: Place) -> None:
    order = an_order()
    first = await place.open(order)
    commit = await saved(first)
    place.stage.repositories.vanish("team", "sample")
    with pytest.raises(StepFailed, match="was not found") as caught:
        await place.open()
    assert caught.value.failure_class is FailureClass.GIT
    assert "address" in caught.value.next_action
    again = await place.open(order)
    assert again.resumed
    with pytest.raises(StepFailed, match="was not found"):
        await again.push(commit, place.stage.github_token)
    (again.root / "more.txt").write_text("more")
    assert (await again.checkpoint("later", "More")).files_changed == 2


async def test_a_credential_that_was_taken_back_is_said_and_the_work_stays(place: Place) -> None:
    order = an_order()
    first = await place.open(order)
    commit = await saved(first)
    with pytest.raises(StepFailed) as caught:
        await place.open(token="ghp_takenback")
    assert caught.value.failure_class is FailureClass.AUTH
    with pytest.raises(StepFailed) as caught:
        await (await place.open(order)).push(commit, "ghp_takenback")
    assert caught.value.failure_class is FailureClass.AUTH
    assert (await (await place.open(order)).diff(commit)).files


async def test_a_default_branch_under_a_new_name_is_where_new_orders_start(place: Place) -> None:
    order = an_order()
    first = await place.open(order)
    commit = await saved(first)
    place.git("branch", "--move", "main", "trunk")
    place.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    assert (await place.open()).base_branch == "trunk"
    again = await place.open(order)
    assert (again.base_branch, again.base_commit) == ("main", first.base_commit)
    await again.push(commit, place.stage.github_token)
    assert place.git("rev-parse", BRANCH) == commit


REMOTE = Remote("https://github.com/team/sample", "github.com")


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://github.com/team/renamed/info/refs?service=git-upload-pack", "https://github.com/team/renamed"),
        ("https://GitHub.com/other/renamed.git/info/refs?service=git-upload-pack", "https://github.com/other/renamed"),
        ("/team/renamed.git/info/refs", "https://github.com/team/renamed"),
    ],
)
def test_a_redirect_on_the_same_host_names_a_repository(location: str, address: str) -> None:
    assert checked_address(REMOTE, location) == address


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/team/sample/info/refs",
        "https://github.com.evil.example/team/sample/info/refs",
        "https://github.com@evil.example/team/sample/info/refs",
        "https://me:pw@github.com/team/sample/info/refs",
        "//127.0.0.1/team/sample/info/refs",
        "http://github.com/team/sample/info/refs",
        "https://github.com:8443/team/sample/info/refs",
        "https://github.com/login?return_to=team",
        "https://github.com/a/b/c/info/refs",
        "https://github.com/../sample/info/refs",
        "https://github.com/-team/--upload-pack=x/info/refs",
        "https://[::1/info/refs",
        "file:///etc/passwd",
    ],
)
def test_a_redirect_elsewhere_is_not_followed(location: str) -> None:
    with pytest.raises(Moved) as caught:
        checked_address(REMOTE, location)
    assert "new address" in caught.value.next_action
    assert "pw" not in caught.value.message


def test_plain_http_stays_where_the_operator_allowed_it() -> None:
    plain = replace(REMOTE, url="http://host:8000/team/sample", host="host:8000")
    assert checked_address(plain, "http://host:8000/team/new/info/refs") == "http://host:8000/team/new"
