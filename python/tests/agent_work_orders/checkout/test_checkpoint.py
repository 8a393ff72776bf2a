import os
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import GitCheckout
from src.agent_work_orders.domain.errors import NotFound, StepFailed

from .conftest import SAMPLE, Opener, an_order, mirror_of
from .git_host import GitHost, git

pytestmark = pytest.mark.anyio


@pytest.fixture
async def checkout(host: GitHost, open_checkout: Opener) -> GitCheckout:
    host.create(files=SAMPLE)
    return await open_checkout()


@pytest.fixture
def mirror(checkout: GitCheckout, volume: Path) -> Path:
    return mirror_of(volume)


def names(mirror: Path, commit: str) -> list[str]:
    return git(mirror, "ls-tree", "-r", "--name-only", commit).splitlines()


async def test_nothing_changed_is_the_base_itself(checkout: GitCheckout) -> None:
    saved = await checkout.checkpoint("planning", "Plan")
    assert (saved.commit, saved.changed, saved.commit_count, saved.files_changed) == (
        checkout.base_commit, False, 0, 0,
    )  # fmt: skip


async def test_uncommitted_work_becomes_one_commit_of_the_servers(checkout: GitCheckout, mirror: Path) -> None:
    (checkout.root / "src/app.py").write_text("print('changed')\n")
    (checkout.root / "new").mkdir()
    (checkout.root / "new/file with space\nand newline").write_text("new\n")
    (checkout.root / "docs/guide.md").unlink()
    (checkout.root / "run.sh").write_text("#!/bin/sh\n")
    (checkout.root / "run.sh").chmod(0o755)
    (checkout.root / "link").symlink_to("/etc/passwd")
    saved = await checkout.checkpoint("execute", "Do it\n\nAs asked.")
    assert (saved.changed, saved.commit_count, saved.files_changed) == (True, 1, 5)
    said = git(mirror, "log", "-1", "--format=%an|%cn|%P|%B", saved.commit)
    assert said == f"Archon Agent Work Orders|Archon Agent Work Orders|{checkout.base_commit}|Do it\n\nAs asked."
    assert git(mirror, "ls-tree", saved.commit, "run.sh").startswith("100755")
    assert git(mirror, "ls-tree", saved.commit, "link").startswith("120000")
    assert git(mirror, "cat-file", "-p", f"{saved.commit}:link") == "/etc/passwd"
    assert git(mirror, "rev-parse", f"{saved.commit}^{{tree}}") == saved.tree
    order_id = checkout.root.parent.name
    kept = git(mirror, "for-each-ref", "--format=%(refname) %(objectname)", f"refs/awo/{order_id}")
    assert f"refs/awo/{order_id}/head {saved.commit}" in kept
    assert f"refs/awo/{order_id}/checkpoints/execute {saved.commit}" in kept
    git(mirror, "fsck", "--strict")


async def test_the_agents_own_commits_are_kept_and_what_it_left_comes_on_top(
    checkout: GitCheckout, mirror: Path
) -> None:
    for number in (1, 2):
        (checkout.root / "log.txt").write_text(f"{number}\n")
        git(checkout.root, "add", "--all")
        git(checkout.root, "commit", "--message", f"Agent {number}")
    clean = await checkout.checkpoint("execute", "never used")
    assert (clean.commit_count, clean.files_changed) == (2, 1)
    assert clean.commit == git(checkout.root, "rev-parse", "HEAD")
    (checkout.root / "rest.txt").write_text("rest\n")
    saved = await checkout.checkpoint("review", "The rest")
    assert git(mirror, "log", "--format=%s", f"{checkout.base_commit}..{saved.commit}").splitlines() == [
        "The rest", "Agent 2", "Agent 1",
    ]  # fmt: skip
    assert (saved.commit_count, saved.files_changed) == (3, 2)


async def test_checkpoints_do_not_pile_up_as_commits(checkout: GitCheckout) -> None:
    for number in range(3):
        (checkout.root / f"{number}.txt").write_text("x")
        saved = await checkout.checkpoint(f"step {number}", f"Step {number}")
        assert (saved.commit_count, saved.files_changed) == (1, number + 1)
    for number in range(3):
        (checkout.root / f"{number}.txt").unlink()
    assert (await checkout.checkpoint("undone", "Undone")).changed is False


async def test_packed_refs_other_branches_and_a_detached_head_are_read(checkout: GitCheckout) -> None:
    git(checkout.root, "checkout", "--quiet", "-b", "agents/own")
    (checkout.root / "a").write_text("a")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--message", "On another branch")
    git(checkout.root, "gc", "--quiet")
    head = git(checkout.root, "rev-parse", "HEAD")
    assert (await checkout.checkpoint("one", "One")).commit == head
    git(checkout.root, "checkout", "--quiet", "--detach")
    git(checkout.root, "commit", "--allow-empty", "--message", "Detached")
    assert (await checkout.checkpoint("two", "Two")).commit_count == 2
    assert checkout.notes == ()


async def test_files_ignored_by_the_repository_and_scaffolding_stay_out(checkout: GitCheckout, mirror: Path) -> None:
    (checkout.root / ".gitignore").write_text("*.log\n")
    for name in (
        "a.log", "src/__pycache__/app.pyc", "node_modules/x/index.js", ".venv/bin/python",
        ".claude/settings.local.json",
        ".pytest_cache/v", "docs/.DS_Store", "kept.txt", ".claude/commands/mine.md",
    ):  # fmt: skip
        (checkout.root / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout.root / name).write_text("x")
    saved = await checkout.checkpoint("one", "One")
    assert set(names(mirror, saved.commit)) - set(SAMPLE) == {".gitignore", "kept.txt", ".claude/commands/mine.md"}


async def test_an_ignored_file_that_the_agent_committed_is_not_taken_out_again(
    checkout: GitCheckout, mirror: Path
) -> None:
    (checkout.root / ".gitignore").write_text("*.log\n")
    (checkout.root / "wanted.log").write_text("x")
    git(checkout.root, "add", "--force", "--all")
    git(checkout.root, "commit", "--message", "With a log")
    (checkout.root / "more.txt").write_text("x")
    saved = await checkout.checkpoint("one", "One")
    assert "wanted.log" in names(mirror, saved.commit)
    assert saved.commit_count == 2


async def test_directories_files_and_links_may_change_places(
    checkout: GitCheckout, mirror: Path, tmp_path: Path
) -> None:
    root = checkout.root
    (root / "README.md").unlink()
    (root / "README.md").mkdir()
    (root / "README.md/inner.txt").write_text("inner")
    (root / "src/app.py").unlink()
    (root / "src").rmdir()
    (root / "src").write_text("a file now")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "guide.md").write_text("SECRET of another place")
    (root / "docs").rename(root / "docs-old")
    (root / "docs").symlink_to(outside)
    saved = await checkout.checkpoint("one", "One")
    assert names(mirror, saved.commit) == ["README.md/inner.txt", "docs", "docs-old/guide.md", "src"]
    assert git(mirror, "cat-file", "-p", f"{saved.commit}:docs") == str(outside)
    (root / ".gitignore").write_text("/docs\n")
    again = await checkout.checkpoint("two", "Two")
    assert "docs" not in names(mirror, again.commit)
    assert not any(name.startswith("docs/") for name in names(mirror, again.commit))


async def test_repositories_inside_are_left_out_and_noted(checkout: GitCheckout, mirror: Path) -> None:
    inner = checkout.root / "vendor/inner"
    inner.mkdir(parents=True)
    git(inner, "init", "--quiet")
    (inner / "file").write_text("x")
    (checkout.root / "beside.txt").write_text("x")
    git(checkout.root / "src", "init", "--quiet")
    (checkout.root / "src/app.py").write_text("changed in a directory that became a repository")
    saved = await checkout.checkpoint("one", "One")
    assert set(names(mirror, saved.commit)) == {*SAMPLE, "beside.txt"}
    assert saved.files_changed == 2
    assert checkout.notes == ("vendor/inner is a repository of its own; it was left out.",)


async def test_pipes_and_unreadable_files_are_no_obstacle(checkout: GitCheckout, mirror: Path) -> None:
    os.mkfifo(checkout.root / "pipe")
    (checkout.root / "README.md").unlink()
    os.mkfifo(checkout.root / "README.md")
    (checkout.root / "fine.txt").write_text("x")
    (checkout.root / "back\\slash").write_text("x")
    saved = await checkout.checkpoint("one", "One")
    assert "fine.txt" in names(mirror, saved.commit)
    assert "README.md" not in names(mirror, saved.commit)
    assert "README.md is not a file; it was left out." in checkout.notes


async def test_an_unrelated_history_gives_its_files_and_not_its_commits(checkout: GitCheckout, mirror: Path) -> None:
    git(checkout.root, "checkout", "--quiet", "--orphan", "fresh")
    (checkout.root / "more.txt").write_text("x")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--message", "No parent at all")
    saved = await checkout.checkpoint("one", "One")
    assert saved.commit_count == 1
    assert git(mirror, "rev-parse", f"{saved.commit}^") == checkout.base_commit
    assert "more.txt" in names(mirror, saved.commit)
    assert "do not continue the base branch" in " ".join(checkout.notes)


async def test_a_message_of_any_kind_is_text_and_nothing_else(checkout: GitCheckout, mirror: Path) -> None:
    (checkout.root / "x").write_text("x")
    message = "--amend $(touch x) `id`\0 \udc80 ünïcode\n\n# not a comment"
    saved = await checkout.checkpoint("../../refs/heads/main", message)
    said = git(mirror, "log", "-1", "--format=%B", saved.commit)
    assert said == "--amend $(touch x) `id` ? ünïcode\n\n# not a comment"
    refs = git(mirror, "for-each-ref", "--format=%(refname)", "refs/awo")
    assert "/checkpoints/refs-heads-main" in refs


async def test_a_checkout_that_is_gone_is_a_failure_with_a_next_action(checkout: GitCheckout) -> None:
    checkout.root.rename(checkout.root.with_name("elsewhere"))
    with pytest.raises(StepFailed, match="is gone"):
        await checkout.checkpoint("one", "One")


async def test_the_diff_tells_what_became_of_every_file(
    host: GitHost, open_checkout: Opener, checkout: GitCheckout
) -> None:
    root = checkout.root
    (root / "src/app.py").write_text("print('hello')\nprint('--- world')\n")
    (root / "docs/guide.md").rename(root / "docs/manual.md")
    (root / "README.md").unlink()
    (root / "größe.txt").write_text("one\ntwo\n")
    (root / "image.bin").write_bytes(bytes(range(256)) * 10)
    (root / "huge.txt").write_text("line\n" * 400_000)
    saved = await checkout.checkpoint("execute", "Do it")
    diff = await checkout.diff(saved.commit)
    assert (diff.base_commit, diff.head_commit) == (checkout.base_commit, saved.commit)
    files = {file.path: file for file in diff.files}
    assert {path: (file.status, file.additions, file.deletions) for path, file in files.items()} == {
        "README.md": ("deleted", 0, 1),
        "docs/manual.md": ("renamed", 0, 0),
        "größe.txt": ("added", 2, 0),
        "huge.txt": ("added", 400_000, 0),
        "image.bin": ("added", 0, 0),
        "src/app.py": ("modified", 1, 0),
    }
    assert files["docs/manual.md"].old_path == "docs/guide.md"
    assert files["image.bin"].patch is None
    assert files["src/app.py"].patch
    assert "+print('--- world')" in files["src/app.py"].patch
    huge = files["huge.txt"].patch
    assert huge
    assert len(huge) < 1_100_000
    assert "[cut: the patch of this file has" in huge


async def test_the_diff_of_an_order_outlives_its_checkout_directory(
    host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    with pytest.raises(NotFound):
        await open_checkout.checkouts.diff(order, host.repository())
    checkout = await open_checkout(order)
    with pytest.raises(NotFound):
        await open_checkout.checkouts.diff(order, host.repository())
    (checkout.root / "README.md").write_text("changed\n")
    saved = await checkout.checkpoint("execute", "Do it")
    checkout.root.rename(volume / "gone")
    diff = await open_checkout.checkouts.diff(order, host.repository())
    assert diff.head_commit == saved.commit
    assert [file.path for file in diff.files] == ["README.md"]
