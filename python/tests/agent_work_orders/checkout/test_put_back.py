"""What a check leaves behind is taken away again, and nothing else."""

from pathlib import Path

import pytest

from .conftest import SAMPLE, Opener
from .git_host import GitHost

pytestmark = pytest.mark.anyio


async def test_what_came_after_a_checkpoint_goes_and_what_was_in_it_stays(
    host: GitHost, open_checkout: Opener, tmp_path: Path
) -> None:
    host.create(files={**SAMPLE, ".gitignore": "cache/\n"})
    checkout = await open_checkout()
    root = checkout.root
    (root / "src/app.py").write_text("print('changed')\n")
    (root / "made.txt").write_text("by the agent\n")
    (root / "docs/guide.md").unlink()
    saved = await checkout.checkpoint("execute", "Do it.")

    (root / "src/app.py").write_text("spoilt\n")
    (root / "made.txt").unlink()
    (root / "docs").mkdir(exist_ok=True)
    (root / "docs/guide.md").write_text("back again\n")
    (root / "report/deep").mkdir(parents=True)
    (root / "report/deep/:(glob)*.xml").write_text("<x/>")
    (root / "-rf").write_text("")
    (root / "cache").mkdir()
    (root / "cache/kept").write_text("a cache")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "theirs.txt").write_text("theirs")
    (root / "way-out").symlink_to(elsewhere)

    await checkout.put_back(saved.commit)

    assert (root / "src/app.py").read_text() == "print('changed')\n"
    assert (root / "made.txt").read_text() == "by the agent\n"
    assert not (root / "docs/guide.md").exists()
    assert not (root / "report/deep/:(glob)*.xml").exists()
    assert not (root / "-rf").exists()
    assert not (root / "way-out").is_symlink()
    assert (root / "cache/kept").read_text() == "a cache"
    assert (elsewhere / "theirs.txt").read_text() == "theirs"
    assert (await checkout.checkpoint("again", "Again.")).tree == saved.tree
    await checkout.put_back(saved.commit)


async def test_a_directory_that_became_a_link_leads_nowhere(
    host: GitHost, open_checkout: Opener, tmp_path: Path
) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout()
    saved = await checkout.checkpoint("execute", "Do it.")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "app.py").write_text("theirs")
    (elsewhere / "more.txt").write_text("theirs")
    (checkout.root / "src/app.py").rename(tmp_path / "app.py")
    for left in (checkout.root / "src").iterdir():
        left.unlink()
    (checkout.root / "src").rmdir()
    (checkout.root / "src").symlink_to(elsewhere)

    await checkout.put_back(saved.commit)

    assert sorted(path.name for path in elsewhere.iterdir()) == ["app.py", "more.txt"]
    assert (elsewhere / "app.py").read_text() == "theirs"
    assert (await checkout.checkpoint("again", "Again.")).files_changed == 0
    assert not (checkout.root / "src").is_symlink()


async def test_what_is_no_commit_is_refused(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout()
    with pytest.raises(ValueError, match="not a commit"):
        await checkout.put_back("HEAD; rm -rf /")
