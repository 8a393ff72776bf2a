import os
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import disk, refs, removal
from src.agent_work_orders.domain.errors import FailureClass, StepFailed

COMMIT = "0123456789" * 4


def test_a_tree_of_any_depth_is_emptied_and_links_lead_nowhere(tmp_path: Path) -> None:
    trash, outside = tmp_path / "trash", tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("stay")
    doomed = tmp_path / "doomed"
    doomed.mkdir()
    (doomed / "out").symlink_to(outside)
    (doomed / "dangling").symlink_to("nowhere")
    os.mkfifo(doomed / "pipe")
    here = os.open(doomed, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d" * 100, dir_fd=here)
        deeper = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    doomed.chmod(0o500)
    disk.set_aside(doomed, trash)
    assert not doomed.exists()
    assert removal.empty(trash) == []
    assert list(trash.iterdir()) == []
    assert (outside / "precious").read_text() == "stay"
    disk.set_aside(doomed, trash)
    assert removal.empty(tmp_path / "no-trash") == []


def test_a_file_is_written_whole_and_leaves_no_draft(tmp_path: Path) -> None:
    disk.write_whole(tmp_path / "file", b"one", 0o600)
    disk.write_whole(tmp_path / "file", b"two", 0o640)
    assert (tmp_path / "file").read_bytes() == b"two"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match="directory"):
        disk.write_whole(tmp_path / "directory", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["directory", "file"]


def test_a_full_disk_is_said_to_be_full() -> None:
    with pytest.raises(StepFailed, match="The disk is full") as caught, disk.storage_failures():
        raise OSError(28, "No space left on device")
    assert caught.value.failure_class is FailureClass.DISK


def test_nothing_is_read_through_a_link_or_beyond_the_limit(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("inner")
    (tmp_path / "inner/link").symlink_to("file")
    assert disk.read_inside(tmp_path, ["inner", "file"], 5) == b"12345"
    assert disk.read_inside(tmp_path, ["inner", "file"], 4) is None
    for parts in (["link", "file"], ["inner", "link"], ["inner"], ["inner", "none"], ["in\0ner"]):
        assert disk.read_inside(tmp_path, parts, 100) is None


def test_refs_are_read_loose_before_packed_and_odd_ones_not_at_all(tmp_path: Path) -> None:
    other = COMMIT[::-1]
    (tmp_path / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{COMMIT} refs/heads/a\n^{other}\n{COMMIT} refs/heads/b\nnonsense\n"
    )
    with (tmp_path / "packed-refs").open("a") as packed:
        packed.write(f"0{COMMIT} refs/heads/longer\n{COMMIT[1:]} refs/heads/shorter\n{other} refs/heads/last")
    assert refs.packed_below(tmp_path, "refs/heads/") == {
        "refs/heads/a": COMMIT, "refs/heads/b": COMMIT, "refs/heads/last": other,
    }  # fmt: skip
    assert refs.packed_below(tmp_path, "refs/tags/") == {}
    assert refs.read_ref(tmp_path, "refs/heads/last") == other
    for broken in ("longer", "shorter"):
        assert refs.read_ref(tmp_path, f"refs/heads/{broken}") is None
    (tmp_path / "packed-refs").write_text(f"{COMMIT} refs/heads/a\n{COMMIT} refs/heads/b\n")
    refs.write_ref(tmp_path, "refs/heads/b", other)
    assert refs.read_ref(tmp_path, "refs/heads/a") == COMMIT
    assert refs.read_ref(tmp_path, "refs/heads/b") == other
    assert refs.refs_below(tmp_path, "refs/heads/") == {"refs/heads/a": COMMIT, "refs/heads/b": other}
    for odd in ("refs/heads/../../packed-refs", "HEAD", "refs/heads//a", "refs/heads/none", "refs/heads/a b"):
        assert refs.read_ref(tmp_path, odd) is None
    with pytest.raises(ValueError, match="not a ref"):
        refs.write_ref(tmp_path, "refs/heads/c", "main")
    (tmp_path / "refs/heads/b.lock").touch()
    refs.write_ref(tmp_path, "refs/heads/b", COMMIT)
    assert refs.read_ref(tmp_path, "refs/heads/b") == COMMIT
