"""Git LFS with the real git-lfs, against a server of its batch interface; and what happens where git-lfs is missing."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import RepositoryOptions

from .conftest import SAMPLE, a_server, an_order
from .git_host import GitHost, git
from .test_pool import opened

pytestmark = pytest.mark.anyio

with_git_lfs = pytest.mark.skipif(shutil.which("git-lfs") is None, reason="git-lfs is not installed here")
TOKEN = "ghp_largelargelargelarge"
BIG = b"\x00big\xff" * 100_000


class LargeHost(GitHost):
    """A host that also keeps large files."""

    def __init__(self, directory: Path) -> None:
        self.large: dict[str, bytes] = {}
        self.asked_by: list[str] = []
        super().__init__(directory)

    def keep(self, content: bytes) -> str:
        """The pointer to a file that is kept from now on."""
        oid = hashlib.sha256(content).hexdigest()
        self.large[oid] = content
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, list[Any], bytes]:
        if "/info/lfs/" not in target:
            return super().answer(method, target, headers, body)
        self.requests.append(f"{method} {target}")
        self.asked_by.append(headers.get("Authorization", ""))
        if self.token and "/objects/batch" in target and not self._knows(headers.get("Authorization", "")):
            return (
                401,
                [("WWW-Authenticate", 'Basic realm="large"'), ("LFS-Authenticate", 'Basic realm="large"')],
                b"{}",
            )
        if target.endswith("/objects/batch"):
            found = [self._where(one) for one in json.loads(body)["objects"]]
            content = json.dumps({"transfer": "basic", "objects": found}).encode()
            return 200, [("Content-Type", "application/vnd.git-lfs+json")], content
        return 200, [], self.large[target.rpartition("/")[2]]

    def _where(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["oid"] not in self.large:
            return {**wanted, "error": {"code": 404, "message": "Object does not exist"}}
        address = f"http://{self.name}/team/sample.git/info/lfs/objects/{wanted['oid']}"
        return {**wanted, "actions": {"download": {"href": address}}}


@pytest.fixture
def host(tmp_path: Path) -> Any:
    server = LargeHost(tmp_path / "host")
    yield server
    server.close()


@pytest.fixture
def server(host: LargeHost, volume: Path) -> GitCheckouts:
    return a_server(host, volume)


def fill(host: LargeHost, **more: str) -> None:
    host.create(
        files={
            **SAMPLE,
            ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
            "assets/big.bin": host.keep(BIG),
            "docs/small.bin": host.keep(b"small"),
            "plain.bin": "no pointer at all\n",
            **more,
        }
    )


async def changed(checkout: GitCheckout) -> dict[str, str]:
    saved = await checkout.checkpoint("now", "Now")
    return {file.path: file.status for file in (await checkout.diff(saved.commit)).files}


@with_git_lfs
async def test_large_files_are_there_and_are_no_change(host: LargeHost, server: GitCheckouts) -> None:
    fill(host)
    checkout = await opened(server, host, lfs=True)
    assert (checkout.root / "assets" / "big.bin").read_bytes() == BIG
    assert (checkout.root / "docs" / "small.bin").read_bytes() == b"small"
    assert (checkout.root / "plain.bin").read_text() == "no pointer at all\n"
    assert git(checkout.root, "status", "--porcelain") == ""
    assert await changed(checkout) == {}
    assert checkout.notes == ()


@with_git_lfs
async def test_an_order_changes_other_files_and_a_large_one_is_left_as_it_is(
    host: LargeHost, server: GitCheckouts
) -> None:
    fill(host)
    checkout = await opened(server, host, order := an_order(), lfs=True)
    (checkout.root / "assets" / "big.bin").write_bytes(b"changed")
    (checkout.root / "README.md").write_text("changed\n")
    (checkout.root / "docs" / "small.bin").unlink()
    assert await changed(checkout) == {"README.md": "modified", "docs/small.bin": "deleted"}
    assert checkout.notes == ("The large file assets/big.bin was changed; Git LFS files are left as they are.",)
    again = await opened(server, host, order, lfs=True)
    assert await changed(again) == {"README.md": "modified", "docs/small.bin": "deleted"}
    assert again.notes == checkout.notes


@with_git_lfs
async def test_what_was_fetched_once_is_not_fetched_again(host: LargeHost, server: GitCheckouts) -> None:
    fill(host)
    await opened(server, host, lfs=True)
    asked = len(host.asked_by)
    checkout = await opened(server, host, lfs=True)
    assert (checkout.root / "assets" / "big.bin").read_bytes() == BIG
    assert len(host.asked_by) == asked


@with_git_lfs
async def test_a_sparse_checkout_fetches_its_own_large_files_alone(host: LargeHost, server: GitCheckouts) -> None:
    fill(host)
    checkout = await opened(server, host, an_order(working_subdir="docs"), lfs=True)
    assert (checkout.workdir / "small.bin").read_bytes() == b"small"
    oid = hashlib.sha256(BIG).hexdigest()
    assert not any(oid in request for request in host.requests)
    assert await changed(checkout) == {}


@with_git_lfs
async def test_the_token_opens_the_large_files_and_stays_nowhere(
    host: LargeHost, server: GitCheckouts, volume: Path
) -> None:
    fill(host)
    host.token = TOKEN
    checkout = await server.open(
        an_order(), host.repository(), "awo/x", TOKEN, lambda *_: None, options=RepositoryOptions(lfs=True)
    )
    assert (checkout.root / "assets" / "big.bin").read_bytes() == BIG
    assert holding(volume, TOKEN) == []


def holding(volume: Path, text: str) -> list[Path]:
    return [path for path in volume.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@with_git_lfs
async def test_a_configuration_in_the_repository_cannot_lead_elsewhere(
    host: LargeHost, server: GitCheckouts, tmp_path: Path
) -> None:
    other = LargeHost(tmp_path / "other")
    try:
        fill(host, **{".lfsconfig": f"[lfs]\n\turl = http://{other.name}/evil\n\tfetchexclude = *\n"})
        host.token = TOKEN
        checkout = await server.open(
            an_order(), host.repository(), "awo/x", TOKEN, lambda *_: None, options=RepositoryOptions(lfs=True)
        )
        assert (checkout.root / "assets" / "big.bin").read_bytes() == BIG
        assert other.requests == []
    finally:
        other.close()


@with_git_lfs
async def test_a_large_file_that_the_host_does_not_have_fails_the_order(host: LargeHost, server: GitCheckouts) -> None:
    fill(host)
    host.large.clear()
    with pytest.raises(StepFailed, match="failed to fetch some objects") as caught:
        await opened(server, host, lfs=True)
    assert caught.value.failure_class is FailureClass.GIT


async def test_where_git_lfs_is_missing_the_order_says_what_to_do(
    host: LargeHost, server: GitCheckouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(host)
    monkeypatch.setattr("src.agent_work_orders.checkout.lfs.shutil.which", lambda name: None)
    with pytest.raises(StepFailed, match="git-lfs is not installed") as caught:
        await opened(server, host, lfs=True)
    assert "Install git-lfs" in caught.value.next_action


async def test_while_switched_off_the_pointers_are_there_and_that_is_said(
    host: LargeHost, server: GitCheckouts
) -> None:
    fill(host)
    checkout = await opened(server, host)
    assert (checkout.root / "docs" / "small.bin").read_text().startswith("version https://git-lfs")
    assert checkout.notes == ("The repository uses Git LFS; its large files are not fetched, only their pointers.",)


async def test_a_repository_without_large_files_needs_no_git_lfs(
    host: LargeHost, server: GitCheckouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.create(files=SAMPLE)
    monkeypatch.setattr("src.agent_work_orders.checkout.lfs.shutil.which", lambda name: None)
    assert await changed(await opened(server, host, lfs=True)) == {}
