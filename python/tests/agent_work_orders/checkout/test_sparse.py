"""A part of a monorepo on disk: nothing outside is there, and nothing outside is taken for deleted."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.checkout.sparse import cone, is_outside
from src.agent_work_orders.domain.errors import StepFailed
from src.agent_work_orders.domain.repository import RepositoryOptions

from .conftest import Opener, a_server, an_order
from .git_host import CLEAN, GitHost, git

pytestmark = pytest.mark.anyio

MONOREPO = {
    "README.md": "# Monorepo\n",
    "packages/package.json": "{}\n",
    "packages/web/app.js": "app\n",
    "packages/web/lib/deep.js": "deep\n",
    "packages/api/main.py": "main\n",
    "docs/guide.md": "guide\n",
}
ON_DISK = ["README.md", "packages/package.json", "packages/web/app.js", "packages/web/lib/deep.js"]


def on_disk(root: Path) -> list[str]:
    found = (str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    return sorted(path for path in found if not path.startswith(".git/"))


async def web(host: GitHost, open_checkout: Opener) -> GitCheckout:
    host.create(files=MONOREPO)
    return await open_checkout(an_order(working_subdir="packages/web"))


async def changed(checkout: GitCheckout) -> dict[str, str]:
    saved = await checkout.checkpoint("now", "Now")
    return {file.path: file.status for file in (await checkout.diff(saved.commit)).files}


async def test_only_the_directory_and_the_files_on_the_way_are_on_disk_and_git_finds_nothing_missing(
    host: GitHost, open_checkout: Opener
) -> None:
    checkout = await web(host, open_checkout)
    assert on_disk(checkout.root) == ON_DISK
    assert checkout.workdir == checkout.root / "packages" / "web"
    assert git(checkout.root, "status", "--porcelain") == ""
    assert git(checkout.root, "sparse-checkout", "list") == "packages/web"
    assert checkout.notes == ("Only packages/web and the files on the way to it are on disk (a sparse checkout).",)
    assert not (await checkout.checkpoint("nothing", "Nothing")).changed


async def test_a_checkpoint_holds_the_whole_tree_and_the_diff_only_what_was_done(
    host: GitHost, open_checkout: Opener
) -> None:
    checkout = await web(host, open_checkout)
    (checkout.workdir / "app.js").write_text("changed\n")
    (checkout.workdir / "new.js").write_text("new\n")
    (checkout.workdir / "lib" / "deep.js").unlink()
    (checkout.root / "README.md").write_text("changed\n")
    saved = await checkout.checkpoint("now", "Now")
    assert {file.path: file.status for file in (await checkout.diff(saved.commit)).files} == {
        "packages/web/app.js": "modified",
        "packages/web/new.js": "added",
        "packages/web/lib/deep.js": "deleted",
        "README.md": "modified",
    }
    await checkout.push(saved.commit, None)
    files = git(host.bare(), "ls-tree", "-r", "--name-only", "awo/work").split()
    assert files == sorted({*MONOREPO, "packages/web/new.js"} - {"packages/web/lib/deep.js"})


async def test_an_agents_own_commit_keeps_what_is_not_on_disk(host: GitHost, open_checkout: Opener) -> None:
    checkout = await web(host, open_checkout)
    (checkout.workdir / "app.js").write_text("changed\n")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--quiet", "--message", "An agent's commit")
    (checkout.workdir / "later.js").write_text("later\n")
    assert await changed(checkout) == {"packages/web/app.js": "modified", "packages/web/later.js": "added"}


async def test_what_the_agent_writes_outside_is_part_of_the_change(host: GitHost, open_checkout: Opener) -> None:
    checkout = await web(host, open_checkout)
    assert await changed(checkout) == {}
    for path, text in {
        "docs/guide.md": "rewritten\n",
        "docs/new.md": "new\n",
        "packages/api/main.py": "main\n",
    }.items():
        (checkout.root / path).parent.mkdir(exist_ok=True)
        (checkout.root / path).write_text(text)
    assert await changed(checkout) == {"docs/guide.md": "modified", "docs/new.md": "added"}


async def test_an_agent_that_asks_git_for_more_of_the_repository_gets_it(host: GitHost, open_checkout: Opener) -> None:
    checkout = await web(host, open_checkout)
    git(checkout.root, "sparse-checkout", "add", "docs")
    assert "docs/guide.md" in on_disk(checkout.root)
    git(checkout.root, "sparse-checkout", "disable")
    assert on_disk(checkout.root) == sorted(MONOREPO)
    (checkout.root / "docs" / "guide.md").write_text("rewritten\n")
    assert await changed(checkout) == {"docs/guide.md": "modified"}


async def test_an_agent_that_brings_in_the_moved_on_base_deletes_nothing(host: GitHost, open_checkout: Opener) -> None:
    checkout = await web(host, open_checkout)
    host.commit("sample", {"docs/more.md": "more\n", "docs/guide.md": "guide 2\n"})
    git(checkout.root, "pull", "--quiet", str(host.bare()), "main", env={"GIT_ALLOW_PROTOCOL": "file"})
    assert on_disk(checkout.root) == ON_DISK
    assert await changed(checkout) == {"docs/more.md": "added", "docs/guide.md": "modified"}


async def test_links_outside_are_not_followed(host: GitHost, open_checkout: Opener, tmp_path: Path) -> None:
    checkout = await web(host, open_checkout)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "guide.md").write_text("of the server\n")
    (checkout.root / "docs").symlink_to(tmp_path / "elsewhere")
    saved = await checkout.checkpoint("now", "Now")
    assert git(checkout.root, "ls-tree", saved.commit, "docs").split()[0] == "120000"
    assert "of the server" not in "".join(file.patch or "" for file in (await checkout.diff(saved.commit)).files)


async def test_an_operator_may_want_the_whole_repository_all_the_same(host: GitHost, checkouts: GitCheckouts) -> None:
    host.create(files=MONOREPO)
    checkout = await checkouts.open(
        an_order(working_subdir="packages/web"), host.repository(), "awo/x", None, lambda *_: None,
        options=RepositoryOptions(sparse=False),
    )  # fmt: skip
    assert on_disk(checkout.root) == sorted(MONOREPO)
    assert checkout.workdir == checkout.root / "packages" / "web"


async def test_an_order_that_comes_back_is_still_a_sparse_one(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=MONOREPO)
    order = an_order(working_subdir="packages/web")
    await open_checkout(order)
    again = await open_checkout(order)
    assert again.resumed
    (again.workdir / "app.js").write_text("changed\n")
    assert await changed(again) == {"packages/web/app.js": "modified"}
    again.root.rename(again.root.with_name("gone"))
    anew = await open_checkout(order)
    assert on_disk(anew.root) == ON_DISK
    assert (anew.workdir / "app.js").read_text() == "changed\n"


async def test_a_directory_that_is_not_there_is_named(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=MONOREPO)
    with pytest.raises(StepFailed, match="has no directory packages/none"):
        await open_checkout(an_order(working_subdir="packages/none"))


@pytest.mark.parametrize("name", ["w*b", "w[e]b", "w?b", "we b", "!web", "#web", "wéb"])
async def test_a_directory_with_an_odd_name_is_that_directory_alone(
    host: GitHost, open_checkout: Opener, name: str
) -> None:
    host.create(files={f"{name}/in.txt": "in\n", "web/out.txt": "out\n", "top.txt": "top\n"})
    checkout = await open_checkout(an_order(working_subdir=name))
    assert on_disk(checkout.root) == sorted(["top.txt", f"{name}/in.txt"])
    assert not (await checkout.checkpoint("nothing", "Nothing")).changed


def test_what_is_outside_is_what_git_leaves_out() -> None:
    assert cone("a/b") == "/*\n!/*/\n/a/\n!/a/*/\n/a/b/\n"
    inside = [b"top", b"a/file", b"a/b/file", b"a/b/c/d"]
    outside = [b"c/file", b"a/c/file", b"ab/file", b"a/bc/file", b"a/b2/x/y"]
    assert [is_outside(path, "a/b") for path in inside] == [False] * 4
    assert [is_outside(path, "a/b") for path in outside] == [True] * 5


def monorepo_of(bare: Path, files: int) -> None:
    """A repository of one commit, quickly."""
    bare.mkdir(parents=True)
    git(bare, "init", "--quiet", "--bare", "--initial-branch=main", ".")
    options = ("-c", "core.compression=0", "-c", "fastimport.unpackLimit=0")
    head = "commit refs/heads/main\ncommitter Somebody <somebody@example.org> 1700000000 +0000\ndata 6\nBegin\n"
    names = (f"packages/p{number // 400:03}/src/m{number % 400:03}.txt" for number in range(files))
    lines = (f"M 100644 inline {name}\ndata {len(name)}\n{name}\n" for name in names)
    stream = (head + "".join(lines)).encode()
    subprocess.run(["git", "-C", str(bare), *options, "fast-import", "--quiet"], input=stream, check=True, env=CLEAN)


@pytest.mark.timeout(180)
async def test_of_a_monorepo_of_200000_files_only_the_part_is_there_and_the_change_is_right(
    host: GitHost, volume: Path
) -> None:
    monorepo_of(host.bare(), 200_000)
    checkouts = a_server(host, volume, timedelta(hours=1))
    order = an_order(working_subdir="packages/p123")
    checkout = await checkouts.open(order, host.repository(), "awo/part", None, lambda *_: None)
    assert len(on_disk(checkout.root)) == 400
    assert not (await checkout.checkpoint("nothing", "Nothing")).changed
    (checkout.workdir / "src" / "m007.txt").write_text("changed\n")
    (checkout.workdir / "src" / "m008.txt").unlink()
    saved = await checkout.checkpoint("some", "Some")
    assert saved.files_changed == 2
    assert {file.path: file.status for file in (await checkout.diff(saved.commit)).files} == {
        "packages/p123/src/m007.txt": "modified",
        "packages/p123/src/m008.txt": "deleted",
    }
    await checkout.push(saved.commit, None)
    assert git(host.bare(), "diff", "--shortstat", "main", "awo/part").startswith("2 files changed")
    assert git(host.bare(), "ls-tree", "-r", "--name-only", "awo/part").count("\n") + 1 == 199_999
