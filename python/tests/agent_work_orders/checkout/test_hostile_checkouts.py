"""Everything an agent may do to its own checkout; nothing of it may run in the server, read for it or mislead it."""

import os
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts

from .conftest import SAMPLE, Opener, an_order, mirror_of
from .git_host import IDENTITY, GitHost, git

pytestmark = pytest.mark.anyio

ATTRIBUTES = "* filter=evil diff=evil merge=evil -text\n"


def evil_config(program: Callable[[str], str]) -> str:
    return f"""
[core]
	fsmonitor = {program("fsmonitor")}
	hooksPath = {Path(program("x")).parent}/hooks
	sshCommand = {program("ssh")}
	pager = {program("pager")}
	editor = {program("editor")}
	gitProxy = {program("proxy")}
	askPass = {program("askpass")}
	alternateRefsCommand = {program("alternates")}
	worktree = /
	attributesFile = /dev/null
[alias]
	ls-files = !{program("alias")}
	write-tree = !{program("alias")}
[filter "evil"]
	clean = {program("clean")}
	smudge = {program("smudge")}
	process = {program("process")}
	required = true
[diff]
	external = {program("external")}
[diff "evil"]
	command = {program("diff")}
	textconv = {program("textconv")}
[merge "evil"]
	driver = {program("merge")}
[credential]
	helper = !{program("helper")}
[gpg]
	program = {program("gpg")}
[commit]
	gpgSign = true
[gc]
	auto = 1
[remote "origin"]
	uploadpack = {program("uploadpack")}
	receivepack = {program("receivepack")}
[submodule]
	recurse = true
[submodule "sub"]
	url = ext::{program("ext")}
	update = !{program("update")}
	active = true
[protocol]
	allow = always
[include]
	path = {Path(program("y")).parent}/included
"""


def traces(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "traces").iterdir())


def plant_hooks(directory: Path, program: Callable[[str], str]) -> None:
    directory.mkdir(exist_ok=True)
    for name in (
        "pre-commit", "post-commit", "post-checkout", "post-index-change", "pre-push", "reference-transaction",
        "fsmonitor-watchman", "post-rewrite", "pre-auto-gc", "post-merge", "commit-msg", "prepare-commit-msg",
    ):  # fmt: skip
        (directory / name).write_text(f"#!/bin/sh\nexec {program('hook-' + name)}\n")
        (directory / name).chmod(0o755)


@pytest.fixture
async def checkout(host: GitHost, open_checkout: Opener) -> GitCheckout:
    host.create(files=SAMPLE)
    return await open_checkout()


async def test_no_program_that_an_agent_configured_ever_runs(
    host: GitHost, open_checkout: Opener, checkouts: GitCheckouts, leave_trace: Callable[[str], str], tmp_path: Path,
    volume: Path,
) -> None:  # fmt: skip
    host.create(files=SAMPLE)
    order = an_order()
    checkout = await open_checkout(order)
    root = checkout.root
    with (root / ".git/config").open("a") as config:
        config.write(evil_config(leave_trace))
    (tmp_path / "included").write_text(evil_config(leave_trace).replace("[include]", "[ignored]"))
    plant_hooks(root / ".git/hooks", leave_trace)
    plant_hooks(tmp_path / "hooks", leave_trace)
    (root / ".gitattributes").write_text(ATTRIBUTES)
    (root / ".git/info/attributes").write_text(ATTRIBUTES)
    (root / ".gitmodules").write_text('[submodule "sub"]\n\tpath = sub\n\turl = ext::sh -c id\n\tupdate = !id\n')
    (root / "src/app.py").write_text("changed\n")
    (root / "brand-new.txt").write_text("new\n")
    inner = root / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")
    (inner / "file").write_text("x")
    with (inner / ".git/config").open("a") as config:
        config.write(evil_config(leave_trace))
    plant_hooks(inner / ".git/hooks", leave_trace)
    saved = await checkout.checkpoint("execute", "Work")
    assert saved.files_changed == 4
    await checkout.diff(saved.commit)
    await checkouts.diff(order, host.repository())
    await checkout.push(saved.commit, None)
    assert (await open_checkout(order)).resumed
    (root / ".git/HEAD").unlink()
    await open_checkout(order)
    await checkouts.remove(order, host.repository())
    assert traces(tmp_path) == []
    assert host.tip("awo/work") == saved.commit
    assert "evil" not in (mirror_of(volume) / "config").read_text()


async def test_a_submodule_of_the_repository_is_never_entered(
    host: GitHost, open_checkout: Opener, leave_trace: Callable[[str], str], tmp_path: Path, volume: Path
) -> None:
    host.create(files=SAMPLE)
    work = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", str(host.bare()), str(work))
    link = git(work, "rev-parse", "HEAD")
    git(work, "update-index", "--add", "--cacheinfo", f"160000,{link},sub")
    git(work, "commit", "--quiet", "--message", "A submodule", env=IDENTITY)
    git(work, "push", "--quiet", "origin", "HEAD")
    checkout = await open_checkout()
    sub = checkout.root / "sub"
    assert sub.is_dir()
    git(sub, "init", "--quiet")
    (sub / "file").write_text("x")
    git(sub, "add", "--all")
    git(sub, "commit", "--quiet", "--message", "Another commit", env=IDENTITY)
    (sub / ".gitattributes").write_text(ATTRIBUTES)
    (sub / "file").write_text("changed")
    with (sub / ".git/config").open("a") as config:
        config.write(evil_config(leave_trace))
    plant_hooks(sub / ".git/hooks", leave_trace)
    (checkout.root / "README.md").write_text("changed\n")
    saved = await checkout.checkpoint("execute", "Work")
    assert traces(tmp_path) == []
    assert saved.files_changed == 1
    assert git(mirror_of(volume), "rev-parse", f"{saved.commit}:sub") == link
    assert "The submodule sub was changed; submodules are left as they are." in checkout.notes


async def test_filters_of_the_repository_itself_do_not_run_when_it_is_checked_out(
    host: GitHost, open_checkout: Opener
) -> None:
    host.create(files={**SAMPLE, ".gitattributes": ATTRIBUTES})
    checkout = await open_checkout()
    assert (checkout.root / "README.md").read_text() == SAMPLE["README.md"]


HEADS: dict[str, Callable[[Path, Path], object]] = {
    "a link to a file elsewhere": lambda git_dir, secret: replace_with_link(git_dir / "HEAD", secret),
    "a link to a ref elsewhere": lambda git_dir, secret: replace_with_link(git_dir / "refs/heads/awo/work", secret),
    "a link among the ref's directories": lambda git_dir, secret: replace_with_link(git_dir / "refs/heads/awo", secret),
    "a way out": lambda git_dir, secret: (git_dir / "HEAD").write_text(f"ref: refs/heads/../../../../../{secret}\n"),
    "no branch": lambda git_dir, secret: (git_dir / "HEAD").write_text("ref: HEAD\n"),
    "another ref": lambda git_dir, secret: (git_dir / "refs/heads/awo/work").write_text("ref: refs/heads/awo/work\n"),
    "nonsense": lambda git_dir, secret: (git_dir / "HEAD").write_bytes(os.urandom(200)),
    "an endless file": lambda git_dir, secret: (git_dir / "HEAD").write_bytes(b"a" * 10_000_000),
    "a pipe": lambda git_dir, secret: replace_with_pipe(git_dir / "HEAD"),
    "an unknown commit": lambda git_dir, secret: (git_dir / "HEAD").write_text("1234567890" * 4 + "\n"),
    "a tree": lambda git_dir, secret: (git_dir / "HEAD").write_text(git(git_dir, "rev-parse", "HEAD^{tree}") + "\n"),
    "an option": lambda git_dir, secret: (git_dir / "HEAD").write_text("--upload-pack=touch /tmp/x\n"),
    "nothing": lambda git_dir, secret: (git_dir / "HEAD").unlink(),
}


def replace_with_link(path: Path, target: Path) -> None:
    path.rename(path.with_name("old"))
    path.symlink_to(target)


def replace_with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("trick", HEADS)
async def test_an_odd_head_costs_no_file_and_leads_nowhere(
    checkout: GitCheckout, tmp_path: Path, trick: str, volume: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("1234567890123456789012345678901234567890\n")
    (checkout.root / "work.txt").write_text("kept")
    HEADS[trick](checkout.root / ".git", secret)
    with anyio.fail_after(20):
        saved = await checkout.checkpoint("execute", "Work")
    mirror = mirror_of(volume)
    assert git(mirror, "rev-parse", f"{saved.commit}^") == checkout.base_commit
    assert git(mirror, "cat-file", "-p", f"{saved.commit}:work.txt") == "kept"
    assert checkout.notes


async def commit_in(checkout: GitCheckout) -> str:
    (checkout.root / "own.txt").write_text("own")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--quiet", "--message", "Own commit")
    return git(checkout.root, "rev-parse", "HEAD")


async def test_objects_of_another_repository_cannot_be_borrowed_through_alternates(
    host: GitHost, checkout: GitCheckout, open_checkout: Opener, volume: Path
) -> None:
    stolen = host.create("private", {"secret.txt": "TOP SECRET"})
    other = await open_checkout(name="private")
    private, sample = mirror_of(volume, "private"), mirror_of(volume, "sample")
    alternates = checkout.root / ".git/objects/info/alternates"
    alternates.write_text(f"{alternates.read_text()}{private}/objects\n")
    (checkout.root / ".git/HEAD").write_text(f"{stolen}\n")
    (checkout.root / "work.txt").write_text("kept")
    saved = await checkout.checkpoint("execute", "Work")
    assert git(sample, "rev-parse", f"{saved.commit}^") == checkout.base_commit
    assert "led elsewhere" in " ".join(checkout.notes)
    assert stolen not in git(sample, "rev-list", "--all")
    assert other.base_commit == stolen


@pytest.mark.parametrize("part", ["objects", "objects/info", "objects/pack", "objects/ab", "one object", ".git"])
async def test_links_in_the_object_store_are_not_followed(
    host: GitHost, checkout: GitCheckout, open_checkout: Opener, volume: Path, part: str
) -> None:
    stolen = host.create("private", {"secret.txt": "TOP SECRET"})
    await open_checkout(name="private")
    private, sample = mirror_of(volume, "private"), mirror_of(volume, "sample")
    git_dir = checkout.root / ".git"
    if part == ".git":
        git_dir.rename(checkout.root / "moved")
        git_dir.symlink_to("moved")
        git_dir = checkout.root / "moved"
    elif part == "one object":
        (git_dir / "objects/ab").mkdir()
        (git_dir / "objects/ab" / ("c" * 38)).symlink_to("/etc/passwd")
    else:
        place = git_dir / part
        if place.exists():
            place.rename(checkout.root.parent / "moved-away")
        place.symlink_to(private / "objects/pack" if part.endswith(("pack", "ab")) else private / part)
    (git_dir / "HEAD").write_text(f"{stolen}\n")
    saved = await checkout.checkpoint("execute", "Work")
    assert saved.commit == checkout.base_commit or git(sample, "rev-parse", f"{saved.commit}^") == checkout.base_commit
    assert stolen not in git(sample, "rev-list", "--all")
    assert checkout.notes


async def test_damaged_and_missing_objects_are_not_taken_over(checkout: GitCheckout, volume: Path) -> None:
    await commit_in(checkout)
    tree = git(checkout.root, "rev-parse", "HEAD^{tree}")
    loose = checkout.root / ".git/objects" / tree[:2] / tree[2:]
    loose.chmod(0o644)
    loose.write_bytes(b"damaged")
    saved = await checkout.checkpoint("execute", "Work")
    mirror = mirror_of(volume)
    assert git(mirror, "rev-parse", f"{saved.commit}^") == checkout.base_commit
    assert git(mirror, "cat-file", "-p", f"{saved.commit}:own.txt") == "own"
    assert "not taken over" in " ".join(checkout.notes)
    git(mirror, "fsck", "--strict")


async def test_a_commit_that_would_write_into_a_git_directory_is_not_taken_over(
    checkout: GitCheckout, volume: Path
) -> None:
    blob = git(checkout.root, "hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = evil\n")
    raw = b"100644 config\0" + bytes.fromhex(blob)
    inner = git(checkout.root, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
    outer_raw = b"40000 .git\0" + bytes.fromhex(inner)
    outer = git(checkout.root, "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=outer_raw)
    head = git(checkout.root, "commit-tree", outer, "-p", "HEAD", "-m", "evil")
    git(checkout.root, "update-ref", "HEAD", head)
    saved = await checkout.checkpoint("execute", "Work")
    assert saved.commit != head
    assert saved.changed is False
    assert head not in git(mirror_of(volume), "rev-list", "--all")


async def test_a_forged_commit_graph_does_not_change_history(checkout: GitCheckout, volume: Path) -> None:
    head = await commit_in(checkout)
    git(checkout.root, "commit-graph", "write", "--reachable")
    graph = checkout.root / ".git/objects/info/commit-graph"
    graph.chmod(0o644)
    graph.write_bytes(graph.read_bytes().replace(bytes.fromhex(checkout.base_commit), os.urandom(20)))
    saved = await checkout.checkpoint("execute", "Work")
    assert saved.commit == head
    assert saved.commit_count == 1


async def test_a_checkout_replaced_by_a_link_is_not_read(checkout: GitCheckout, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("secret")
    checkout.root.rename(checkout.root.with_name("moved"))
    checkout.root.symlink_to(elsewhere)
    with pytest.raises(Exception, match="is gone or is not a directory"):
        await checkout.checkpoint("execute", "Work")
