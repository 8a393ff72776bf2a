import json
import os
import stat
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.domain.errors import FailureClass, StepFailed

from .conftest import SAMPLE, Opener, a_server, an_order, mirror_of
from .git_host import GitHost, git

pytestmark = pytest.mark.anyio


def below(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_an_order_gets_the_files_of_the_default_branch_on_a_branch_of_its_own(
    host: GitHost, open_checkout: Opener
) -> None:
    commit = host.create(files=SAMPLE, branch="trunk")
    checkout = await open_checkout(branch="awo/1234-do-it")
    assert {name: (checkout.root / name).read_text() for name in SAMPLE} == SAMPLE
    assert (checkout.base_branch, checkout.base_commit, checkout.resumed) == ("trunk", commit, False)
    assert checkout.workdir == checkout.root
    assert git(checkout.root, "status", "--porcelain", "--branch") == "## awo/1234-do-it"
    assert git(checkout.root, "rev-parse", "HEAD", "origin/trunk").split() == [commit, commit]
    assert git(checkout.root, "log", "--format=%s") == "Change README.md, src/app.py, docs/guide.md"
    assert checkout.notes == ()


async def test_git_of_the_checkout_finds_nothing_wrong_with_it(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout()
    git(checkout.root, "fsck", "--strict")
    (checkout.root / "new.txt").write_text("new\n")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--message", "An agent's commit")
    assert git(checkout.root, "log", "-1", "--format=%an <%ae>") == "Archon Agent <agent@archon.invalid>"


async def test_a_named_base_branch_is_used(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    other = host.commit("sample", {"other.txt": "other"}, "release/1")
    checkout = await open_checkout(an_order(base_branch="release/1"))
    assert (checkout.base_branch, checkout.base_commit) == ("release/1", other)


async def test_a_base_branch_that_is_missing_is_named(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    with pytest.raises(StepFailed, match="no branch nowhere") as caught:
        await open_checkout(an_order(base_branch="nowhere"))
    assert caught.value.failure_class is FailureClass.GIT
    assert "base_branch" in caught.value.next_action


async def test_an_empty_repository_asks_for_a_first_commit_and_works_once_there_is_one(
    host: GitHost, open_checkout: Opener
) -> None:
    host.create()
    with pytest.raises(StepFailed, match="is empty") as caught:
        await open_checkout()
    assert "first commit" in caught.value.next_action
    host.commit("sample", SAMPLE)
    assert (await open_checkout()).base_branch == "main"


async def test_a_repository_that_vanishes_is_told_from_a_network_that_fails(
    host: GitHost, open_checkout: Opener
) -> None:
    host.create(files=SAMPLE)
    first = await open_checkout()
    host.bare().rename(host.directory / "gone")
    with pytest.raises(StepFailed, match="was not found") as caught:
        await open_checkout()
    assert caught.value.failure_class is FailureClass.GIT
    assert (await first.checkpoint("still", "works")).changed is False
    with pytest.raises(StepFailed, match="was not found"):
        await open_checkout(name="never-there")


@pytest.mark.parametrize(
    ("status", "expected", "word"),
    [
        (401, FailureClass.AUTH, "token"),
        (403, FailureClass.AUTH, "token"),
        (404, FailureClass.GIT, "address"),
        (429, FailureClass.NETWORK, "retry"),
        (500, FailureClass.NETWORK, "retry"),
        (503, FailureClass.NETWORK, "retry"),
    ],
)
async def test_what_the_host_answers_becomes_a_class_and_a_next_action(
    host: GitHost, open_checkout: Opener, status: int, expected: FailureClass, word: str
) -> None:
    host.create(files=SAMPLE)
    host.status = status
    with pytest.raises(StepFailed) as caught:
        await open_checkout(token="ghp_secretsecretsecret")
    assert caught.value.failure_class is expected
    assert word in caught.value.next_action


async def test_a_host_that_is_not_there_is_a_network_failure(host: GitHost, open_checkout: Opener) -> None:
    host.close()
    with pytest.raises(StepFailed, match=r"could not be reached: .*connect") as caught:
        await open_checkout()
    assert caught.value.failure_class is FailureClass.NETWORK


async def test_plain_http_is_refused_where_the_operator_did_not_allow_it(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    strict = GitCheckouts(volume, freshness=lambda: timedelta(0), insecure_hosts=frozenset)
    with pytest.raises(StepFailed, match="not allowed"):
        await strict.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    assert host.requests == []


async def test_an_order_that_comes_back_finds_its_checkout_as_it_was_left(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    first = await open_checkout(order)
    (first.root / "half-done.txt").write_text("in the middle")
    host.commit("sample", {"README.md": "The remote has moved on.\n"})
    asked = len(host.requests)
    again = await open_checkout(order)
    assert again.resumed
    assert (again.root / "half-done.txt").read_text() == "in the middle"
    assert again.base_commit == first.base_commit
    assert len(host.requests) == asked


async def test_a_lost_checkout_is_built_anew_from_its_last_checkpoint_and_keeps_its_base(
    host: GitHost, open_checkout: Opener
) -> None:
    base = host.create(files=SAMPLE)
    order = an_order()
    first = await open_checkout(order)
    (first.root / "work.txt").write_text("saved")
    saved = await first.checkpoint("execute", "Work")
    host.commit("sample", {"README.md": "The remote has moved on.\n"})
    first.root.rename(first.root.with_name("moved-away"))
    again = await open_checkout(order)
    assert not again.resumed
    assert (again.root / "work.txt").read_text() == "saved"
    assert again.base_commit == base
    assert git(again.root, "rev-parse", "HEAD") == saved.commit
    assert not (again.root.parent / "moved-away").exists()
    assert await again.checkpoint("again", "Nothing new") == saved


async def test_a_broken_git_directory_costs_nothing_of_the_work(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    first = await open_checkout(order)
    (first.root / "unsaved.txt").write_text("not in any checkpoint yet")
    (first.root / ".git" / "HEAD").write_text("nonsense\n")
    again = await open_checkout(order)
    assert not again.resumed
    assert (again.root / "unsaved.txt").read_text() == "not in any checkpoint yet"
    assert git(again.root, "status", "--porcelain") == ""


async def test_a_half_made_checkout_is_never_taken_for_a_whole_one(
    host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    checkout = await open_checkout(order)
    state = mirror_of(volume) / "awo" / order.agent_work_order_id / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"ready": False}))
    (checkout.root / "src" / "app.py").unlink()
    again = await open_checkout(order)
    assert not again.resumed
    assert (again.root / "src" / "app.py").exists()


async def test_the_working_subdirectory_must_be_one_in_the_repository(
    host: GitHost, open_checkout: Opener, tmp_path: Path
) -> None:
    host.create(files=SAMPLE)
    work = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(host.bare()), str(work))
    (work / "link").symlink_to("/etc")
    (work / "inner").symlink_to("docs")
    git(work, "add", "--all")
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    git(work, *identity, "commit", "--quiet", "--message", "links")
    git(work, "push", "--quiet", "origin", "HEAD")
    checkout = await open_checkout(an_order(working_subdir="docs"))
    assert checkout.workdir == checkout.root / "docs"
    for wrong in ("link", "inner", "nowhere", "README.md", "docs/deeper", "../.."):
        with pytest.raises(StepFailed, match="no directory") as caught:
            await open_checkout(an_order(working_subdir=wrong))
        assert wrong in caught.value.message


async def test_submodules_and_large_files_are_said_and_not_fetched(
    host: GitHost, open_checkout: Opener, leave_trace: "object"
) -> None:
    host.create(
        files=SAMPLE
        | {
            ".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = https://example.org/x\n',
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "big.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        }
    )
    checkout = await open_checkout()
    assert [note.split(";")[0] for note in checkout.notes] == [
        "The repository has submodules",
        "The repository uses Git LFS",
    ]


async def test_line_endings_are_as_plain_git_makes_them(host: GitHost, open_checkout: Opener) -> None:
    host.create(
        files={".gitattributes": "*.bat text eol=crlf\n*.txt text=auto\n", "a.bat": "one\ntwo\n", "b.txt": "x\n"}
    )
    checkout = await open_checkout()
    assert (checkout.root / "a.bat").read_bytes() == b"one\r\ntwo\r\n"
    assert (checkout.root / "b.txt").read_bytes() == b"x\n"
    assert (await checkout.checkpoint("nothing", "changed")).changed is False


async def test_a_first_clone_tells_how_it_goes(host: GitHost, open_checkout: Opener) -> None:
    host.create(files={f"file-{number}.txt": f"{number}\n" * 50 for number in range(200)})
    await open_checkout()
    assert ("receiving objects", 100) in open_checkout.progress


async def test_removing_takes_the_checkout_and_the_refs_of_the_order_and_nothing_else(
    host: GitHost, open_checkout: Opener, volume: Path, tmp_path: Path
) -> None:
    host.create(files=SAMPLE)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("stay")
    doomed, kept = an_order(), an_order()
    checkout, other = await open_checkout(doomed), await open_checkout(kept)
    await checkout.checkpoint("one", "One")
    (other.root / "x").write_text("x")
    saved = await other.checkpoint("one", "One")
    (checkout.root / "way-out").symlink_to(outside)
    deep = checkout.root
    for _ in range(60):
        deep = deep / ("d" * 60)
        deep.mkdir()
        if len(str(deep)) > 3800:
            break
    (checkout.root / "docs").chmod(0o000)
    await open_checkout.checkouts.remove(doomed, host.repository())
    await open_checkout.checkouts.remove(doomed, host.repository())
    mirror = mirror_of(volume)
    assert below(volume) == sorted([".mirrors", ".trash", kept.agent_work_order_id])
    assert below(volume / ".trash") == []
    assert doomed.agent_work_order_id not in git(mirror, "for-each-ref")
    assert not (mirror / "awo" / doomed.agent_work_order_id).exists()
    assert git(mirror, "rev-parse", f"refs/awo/{kept.agent_work_order_id}/head") == saved.commit
    assert (outside / "precious").read_text() == "stay"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to another user")
async def test_the_checkout_belongs_to_the_agents_user_and_the_mirror_does_not(
    host: GitHost, volume: Path, tmp_path: Path
) -> None:
    for way in (tmp_path, *tmp_path.parents):
        if not way.stat().st_mode & stat.S_IXOTH:
            way.chmod(way.stat().st_mode | stat.S_IXOTH)
    host.create(files=SAMPLE)
    checkouts = a_server(host, volume, agent_user=(65534, 65534))
    old = os.umask(0o077)
    try:
        checkout = await checkouts.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    finally:
        os.umask(old)
    owners = {path.lstat().st_uid for path in [checkout.root, *checkout.root.rglob("*")]}
    assert owners == {65534}
    assert stat.S_IMODE(checkout.root.stat().st_mode) == 0o700
    mirror = mirror_of(volume)
    assert {path.lstat().st_uid for path in [mirror, *mirror.rglob("*")]} == {0}
    as_agent = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]

    async def agent(*command: str) -> int:
        done = await anyio.run_process([*as_agent, *command], cwd="/", check=False, env={"PATH": os.environ["PATH"]})
        return done.returncode

    assert await agent("git", "-C", str(checkout.root), "log", "--stat") == 0
    assert await agent("sh", "-c", f"echo changed > {checkout.root}/README.md") == 0
    assert await agent("git", "-C", str(checkout.root), "commit", "--all", "--message", "By the agent") == 0
    assert await agent("sh", "-c", f"echo x > {mirror}/config") != 0
    assert await agent("mv", str(checkout.root), f"{checkout.root}-moved") != 0
    saved = await checkout.checkpoint("execute", "Nothing uncommitted")
    assert (saved.commit_count, saved.files_changed) == (1, 1)
