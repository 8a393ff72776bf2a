"""Files and diffs of an order: what is served, in which pieces, and what never is."""

import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.agent_work_orders.domain.work_order import Artifact
from src.agent_work_orders.ports import FileDiff

from .conftest import Bench, detail_of

pytestmark = pytest.mark.anyio
CONTENT = bytes(range(256)) * 4096


async def order_with(bench: Bench, path: str, **fields: Any) -> str:
    """The id of an order with one artifact, `a`, whose row names `path`."""
    order_id = await bench.file()
    artifact = Artifact(artifact_id="a", artifact_type="output", path=path, size_bytes=1, **fields)
    await bench.store.put_artifact(await bench.claim(), artifact)
    (bench.folder / order_id / "outputs").mkdir(parents=True)
    return order_id


async def read(bench: Bench, order_id: str, **headers: str) -> httpx.Response:
    return await bench.client.get(f"/api/awo/work-orders/{order_id}/artifacts/a", headers=headers)


@pytest.fixture
async def order_id(bench: Bench) -> str:
    order_id = await order_with(bench, "outputs/full.ndjson", media_type="application/x-ndjson")
    (bench.folder / order_id / "outputs" / "full.ndjson").write_bytes(CONTENT)
    return order_id


async def test_files_are_listed(bench: Bench, order_id: str) -> None:
    (artifact,) = (await bench.client.get(f"/api/awo/work-orders/{order_id}/artifacts")).json()["artifacts"]
    assert (artifact["artifact_id"], artifact["path"]) == ("a", "outputs/full.ndjson")


async def test_a_file_is_a_download_that_no_browser_runs(bench: Bench, order_id: str) -> None:
    answer = await read(bench, order_id)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-disposition"] == 'attachment; filename="a"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=1048570-", 1048570, 1048575),
        ("bytes=-5", 1048571, 1048575),
        ("bytes=1048570-9999999", 1048570, 1048575),
        ("bytes=-9999999", 0, 1048575),
    ],
)
async def test_a_range_is_a_part(bench: Bench, order_id: str, wanted: str, first: int, last: int) -> None:
    answer = await read(bench, order_id, Range=wanted)
    assert (answer.status_code, answer.content) == (206, CONTENT[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"


@pytest.mark.parametrize(
    "wanted", ["lines=1-2", "bytes=-", "bytes=5-1", "bytes=0-1,3-4", "bytes=x-y", f"bytes={'9' * 20}-"]
)
async def test_what_is_no_single_range_gives_the_whole(bench: Bench, order_id: str, wanted: str) -> None:
    assert (await read(bench, order_id, Range=wanted)).status_code == 200


@pytest.mark.parametrize("wanted", ["bytes=1048576-", "bytes=9999999-99999999", "bytes=-0"])
async def test_a_range_outside_says_how_long_the_file_is(bench: Bench, order_id: str, wanted: str) -> None:
    answer = await read(bench, order_id, Range=wanted)
    assert detail_of(answer, 416)["code"] == "range_outside"
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


async def test_an_empty_file_is_served_whole(bench: Bench, order_id: str) -> None:
    (bench.folder / order_id / "outputs" / "full.ndjson").write_bytes(b"")
    assert (await read(bench, order_id)).content == b""


@pytest.mark.parametrize(
    "path",
    [
        "../secret",
        "/etc/passwd",
        "outputs/../../secret",
        "outputs/link",
        "linked/file",
        "outputs",
        "outputs/pipe",
        "x\x00",
        "",
        "gone",
    ],
)
async def test_nothing_outside_the_folder_is_served(bench: Bench, path: str) -> None:
    order_id = await order_with(bench, path)
    folder = bench.folder / order_id
    (bench.folder / "secret").write_text("secret")
    (bench.folder / "file").write_text("secret")
    (folder / "outputs" / "link").symlink_to(bench.folder / "secret")
    (folder / "linked").symlink_to(bench.folder)
    os.mkfifo(folder / "outputs" / "pipe")
    answer = await read(bench, order_id)
    assert detail_of(answer, 404)["code"] == "not_found"
    assert "secret" not in answer.text


async def test_no_descriptor_is_left_open(bench: Bench, order_id: str) -> None:
    for wanted in ("bytes=0-1", "bytes=99999999-", "nothing"):
        await read(bench, order_id, Range=wanted)
    assert "full.ndjson" not in names_of_open_files()


def names_of_open_files() -> set[str]:
    return {entry.resolve().name for entry in Path("/proc/self/fd").iterdir()}


async def test_an_unknown_file_is_not_found(bench: Bench, order_id: str) -> None:
    answer = await bench.client.get(f"/api/awo/work-orders/{order_id}/artifacts/b")
    assert detail_of(answer, 404)["error"] == "The work order has no such artifact."


# --- diffs ---

FILES = (
    FileDiff("new.txt", None, "added", 2, 0, "@@ -0,0 +1,2 @@\n+a\n+b\n"),
    FileDiff("to.py", "from.py", "renamed", 0, 0, ""),
    FileDiff("logo.png", None, "modified", 0, 0, None),
    FileDiff("old.txt", None, "deleted", 0, 1, "@@ -1 +0,0 @@\n-a\n"),
    FileDiff(
        "git.txt",
        None,
        "modified",
        1,
        1,
        "diff --git a/git.txt b/git.txt\n--- a/git.txt\n+++ b/git.txt\n@@ -1 +1 @@\n-a\n+b",
    ),
)


async def test_a_diff_is_json_per_file_with_counts(bench: Bench) -> None:
    order_id, bench.checkouts.files = await bench.file(), FILES
    answer = await bench.client.get(f"/api/awo/work-orders/{order_id}/diff")
    body = answer.json()
    assert (body["additions"], body["deletions"], len(body["files"])) == (3, 2, 5)
    assert (body["base_commit"], body["head_commit"]) == ("b" * 40, "c" * 40)
    assert body["files"][1] == {
        "path": "to.py",
        "old_path": "from.py",
        "status": "renamed",
        "additions": 0,
        "deletions": 0,
        "patch": "",
    }
    assert "error" not in body
    assert answer.headers["vary"].startswith("Accept")


async def test_a_diff_is_a_patch_if_asked(bench: Bench) -> None:
    order_id, bench.checkouts.files = await bench.file(), FILES
    answer = await bench.client.get(f"/api/awo/work-orders/{order_id}/diff", headers={"Accept": "text/x-diff"})
    assert answer.headers["content-type"].startswith("text/x-diff")
    assert answer.text == (
        "diff --git a/new.txt b/new.txt\n--- /dev/null\n+++ b/new.txt\n@@ -0,0 +1,2 @@\n+a\n+b\n"
        "diff --git a/from.py b/to.py\nrename from from.py\nrename to to.py\n"
        "diff --git a/logo.png b/logo.png\nBinary files a/logo.png and b/logo.png differ\n"
        "diff --git a/old.txt b/old.txt\n--- a/old.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"
        "diff --git a/git.txt b/git.txt\n--- a/git.txt\n+++ b/git.txt\n@@ -1 +1 @@\n-a\n+b\n"
    )


async def test_without_a_checkpoint_there_is_no_diff(bench: Bench) -> None:
    order_id = await bench.file()
    assert detail_of(await bench.client.get(f"/api/awo/work-orders/{order_id}/diff"), 404)["code"] == "not_found"
