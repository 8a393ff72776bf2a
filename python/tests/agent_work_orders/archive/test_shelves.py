"""Both shelves keep the same promises: a directory, and a bucket of a real S3-compatible server."""

from pathlib import Path

import pytest

from src.agent_work_orders.archive.s3 import Bucket, S3Shelf
from src.agent_work_orders.archive.shelf import DirectoryShelf, Shelf, try_shelf
from src.agent_work_orders.domain.errors import FailureClass, NotFound, StepFailed

from .s3_server import ACCESS_KEY_ID, SECRET_ACCESS_KEY

pytestmark = pytest.mark.anyio

KEYS = {"access_key_id": ACCESS_KEY_ID, "secret_access_key": SECRET_ACCESS_KEY}


@pytest.fixture(params=["directory", "bucket"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "directory":
        return DirectoryShelf(tmp_path / "made" / "when" / "needed")
    endpoint = request.getfixturevalue("s3_endpoint")
    return S3Shelf(Bucket("orders", endpoint=endpoint, prefix=f"tests/{tmp_path.name}", **KEYS))


async def test_what_is_put_is_what_comes_back(shelf: Shelf, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for content in (b"", b"hello", bytes(range(256)) * 40_000):
        source.write_bytes(content)
        await shelf.put("wo-1.tar.gz", source)
        target = tmp_path / f"target-{len(content)}"
        await shelf.get("wo-1.tar.gz", target)
        assert target.read_bytes() == content


async def test_what_is_not_there_is_named(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no wo-2\.tar\.gz"):
        await shelf.get("wo-2.tar.gz", tmp_path / "target")
    await shelf.remove("wo-2.tar.gz")


async def test_what_is_removed_is_gone(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"hello")
    await shelf.put("wo-3.tar.gz", tmp_path / "source")
    await shelf.remove("wo-3.tar.gz")
    with pytest.raises(NotFound):
        await shelf.get("wo-3.tar.gz", tmp_path / "target")


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
async def test_a_name_that_leads_elsewhere_is_refused(shelf: Shelf, tmp_path: Path, name: str) -> None:
    (tmp_path / "source").write_bytes(b"hello")
    with pytest.raises(ValueError):
        await shelf.put(name, tmp_path / "source")


async def test_a_directory_that_cannot_be_written_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "source").write_bytes(b"hello")
    with pytest.raises(StepFailed, match="refused") as refused:
        await DirectoryShelf(tmp_path / "file" / "shelf").put("a", tmp_path / "source")
    assert refused.value.failure_class is FailureClass.DISK


async def test_a_bucket_that_does_not_exist_is_named_without_its_keys(s3_endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"hello")
    bucket = Bucket("nowhere", endpoint=s3_endpoint, **KEYS)
    with pytest.raises(StepFailed, match="nowhere") as refused:
        await S3Shelf(bucket).put("a", tmp_path / "source")
    assert "AWO_ARCHIVE_S3_BUCKET" in refused.value.next_action
    assert SECRET_ACCESS_KEY not in f"{refused.value!r} {bucket!r}"


async def test_a_store_that_is_away_is_a_network_trouble(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"hello")
    with pytest.raises(StepFailed) as refused:
        await S3Shelf(Bucket("orders", endpoint="http://127.0.0.1:1", **KEYS)).put("a", tmp_path / "source")
    assert refused.value.failure_class is FailureClass.NETWORK


async def test_a_shelf_is_tried_and_nothing_of_it_stays(shelf: Shelf) -> None:
    assert (await try_shelf(shelf)).ok
    if isinstance(shelf, DirectoryShelf):
        assert list(shelf.directory.iterdir()) == []


async def test_a_shelf_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = await try_shelf(DirectoryShelf(tmp_path / "file"))
    assert (found.ok, found.name, found.required) == (False, "archive", False)
    assert "AWO_ARCHIVE_DIR" in (found.next_action or "")
