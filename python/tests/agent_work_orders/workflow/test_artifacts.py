"""An order's files: whole or not there, for the server alone, and without secrets however a file is cut into pieces."""

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.agent_work_orders.domain.work_order import Claim
from src.agent_work_orders.workflow import artifacts as artifacts_module
from src.agent_work_orders.workflow.artifacts import CHUNK, Artifacts, write_atomically
from src.agent_work_orders.workflow.journal import Journal, keep_journal

from ..fakes import Bench

pytestmark = pytest.mark.anyio
SECRET = "a-github-token-1234"


def raw_file(artifacts: Artifacts, content: bytes, name: str = "stdout.jsonl", run: str = "") -> Path:
    path = artifacts.run_dir(2, 1) / name if not run else artifacts.folder / "run" / run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
async def claim(bench: Bench) -> Claim:
    await bench.file()
    return await bench.claim()


@pytest.fixture
async def journal(bench: Bench, claim: Claim) -> AsyncIterator[Journal]:
    async with keep_journal(claim, bench.tools) as journal:
        yield journal


@pytest.fixture
def artifacts(bench: Bench, claim: Claim, journal: Journal) -> Artifacts:
    return Artifacts(bench.folder(claim.order_id), claim, journal, bench.tools.store, bench.tools.redactor)


async def test_a_text_is_written_redacted_for_the_server_alone(
    bench: Bench, artifacts: Artifacts, journal: Journal
) -> None:
    artifact_id = await artifacts.write(
        "prompt", "1-2-planning.md", f"Use {SECRET}, é \ud800", "planning", "text/markdown"
    )
    path = artifacts.folder / "prompts" / "1-2-planning.md"
    assert path.read_text() == "Use [REDACTED], é ?"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    await journal.flush()
    (row,) = await bench.store.artifacts(artifacts.folder.name)
    assert (row.artifact_id, row.path, row.size_bytes) == (artifact_id, "prompts/1-2-planning.md", path.stat().st_size)
    assert (row.artifact_type, row.step_name, row.media_type) == ("prompt", "planning", "text/markdown")


async def test_writing_again_replaces_file_and_row(bench: Bench, artifacts: Artifacts, journal: Journal) -> None:
    for text in ("first", "second, longer"):
        await artifacts.write("evidence", "x.json", text, "verify", "application/json")
    await journal.flush()
    (row,) = await bench.store.artifacts(artifacts.folder.name)
    assert (artifacts.folder / row.path).read_text() == "second, longer"
    assert row.size_bytes == 14
    assert [path.name for path in (artifacts.folder / "outputs").iterdir()] == ["x.json"]


async def test_json_that_holds_a_secret_is_json_without_it(artifacts: Artifacts) -> None:
    await artifacts.write_json("evidence", "x.json", {"command": f"curl {SECRET}", "n": 1}, "verify")
    assert json.loads((artifacts.folder / "outputs" / "x.json").read_text()) == {"command": "curl [REDACTED]", "n": 1}


async def test_a_raw_output_is_taken_over_and_removed_once_that_is_written_down(
    bench: Bench, artifacts: Artifacts, journal: Journal
) -> None:
    raw = raw_file(artifacts, f'{{"t":"{SECRET}"}}\n'.encode())
    await artifacts.keep_output(raw, "1-2-planning.jsonl", "planning")
    kept = artifacts.folder / "outputs" / "1-2-planning.jsonl"
    assert kept.read_text() == '{"t":"[REDACTED]"}\n'
    assert kept.stat().st_mode & 0o777 == 0o600
    assert raw.exists()
    await artifacts.salvage(also_mine=True)  # what was taken over is not left behind
    await journal.flush()
    assert not raw.parent.exists()
    (row,) = await bench.store.artifacts(artifacts.folder.name)
    assert row.size_bytes == kept.stat().st_size


LINES = ("é" * 40 + "\n").encode()
SHAPES = {
    "lines": lambda size: (LINES * (size // len(LINES) + 1))[:size],
    "one endless line": lambda size: b"x" * size,
    "one endless line of wide characters": lambda size: ("€" * (size // 3 + 1)).encode()[: size // 3 * 3],
}
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{'MIIEowIBAAKCAQEA1234567890abcdef' * 2}\n" * 1
WHOLE_KEY = KEY + "abcdefghijklmnop\n" * 40 + "-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("secret", [SECRET, WHOLE_KEY, "ghp_" + "a1B2" * 9])
async def test_a_file_of_five_megabytes_hides_secrets_wherever_its_pieces_meet(
    artifacts: Artifacts, shape: str, secret: str
) -> None:
    # A secret every 300 kB, so that each place where the file may be cut has one about it, and at other offsets.
    filler = SHAPES[shape](300_000)
    parts = [filler[: len(filler) - 7 * number] if shape == "lines" else filler for number in range(17)]
    content = f" {secret} ".encode().join(parts)
    assert len(content) > 5 * CHUNK - 200_000
    size = (
        await artifacts.keep_output(raw_file(artifacts, content), "big.jsonl", "execute")
        and (artifacts.folder / "outputs" / "big.jsonl").stat().st_size
    )
    clean = (artifacts.folder / "outputs" / "big.jsonl").read_bytes()
    assert clean == content.decode("utf-8", "replace").replace(secret, "[REDACTED]").encode()
    assert size == len(clean)


@pytest.mark.parametrize("offset", range(-24, 5, 4))
async def test_no_place_of_a_cut_lets_a_secret_through(artifacts: Artifacts, journal: Journal, offset: int) -> None:
    at = CHUNK - artifacts_module.KEPT_BACK
    for cut in (CHUNK, CHUNK + artifacts_module.KEPT_BACK, at, 2 * at):
        content = b"x" * (cut + offset) + SECRET.encode() + b"y" * (2 * CHUNK)
        await artifacts.keep_output(raw_file(artifacts, content), "cut.log", "execute")
        await journal.flush()  # the raw file goes
        clean = (artifacts.folder / "outputs" / "cut.log").read_bytes()
        assert clean == content.replace(SECRET.encode(), b"[REDACTED]")


async def test_a_file_full_of_secrets_is_kept_in_flat_memory(artifacts: Artifacts) -> None:
    content = (SECRET * 200_000).encode()
    await artifacts.keep_output(raw_file(artifacts, content), "full.log", "execute")
    clean = (artifacts.folder / "outputs" / "full.log").read_text()
    # Where nothing can be cut safely one secret a megabyte may be cut in two, and no more.
    assert clean.count("[REDACTED]") > 200_000 - 20


async def test_bytes_that_are_no_text_are_replaced(artifacts: Artifacts) -> None:
    await artifacts.keep_output(raw_file(artifacts, b"\xff\xfe ok \x00\n"), "odd.log", "verify")
    assert (artifacts.folder / "outputs" / "odd.log").read_text() == "\ufffd\ufffd ok \x00\n"


@pytest.mark.parametrize("kind", ["missing", "link", "dangling link", "pipe", "directory"])
async def test_what_is_no_file_any_more_counts_as_empty_and_is_never_followed(
    artifacts: Artifacts, tmp_path: Path, kind: str
) -> None:
    secret_file = tmp_path / "credentials"
    secret_file.write_text("nothing of yours")
    raw = raw_file(artifacts, b"")
    raw.unlink()
    if kind == "link":
        raw.symlink_to(secret_file)
    elif kind == "dangling link":
        raw.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(raw)
    elif kind == "directory":
        raw.mkdir()
    await artifacts.keep_output(raw, "odd.jsonl", "execute")
    assert (artifacts.folder / "outputs" / "odd.jsonl").read_bytes() == b""
    assert secret_file.read_text() == "nothing of yours"


async def test_output_that_a_killed_run_left_is_salvaged_and_nothing_raw_stays(
    bench: Bench, artifacts: Artifacts, journal: Journal
) -> None:
    raw_file(artifacts, f"line of a killed run {SECRET}\n".encode(), run="900-3-1")
    raw_file(artifacts, b"", "stderr.txt", run="900-3-1")
    odd = raw_file(artifacts, b"odd\n", "na me\n\x1b.txt", run="900-3-2")
    mine = raw_file(artifacts, b"mine\n")
    await artifacts.salvage()
    await journal.flush()
    outputs = {path.name: path.read_text() for path in (artifacts.folder / "outputs").iterdir()}
    assert outputs == {
        "900-3-1-interrupted-stdout.jsonl": "line of a killed run [REDACTED]\n",
        "900-3-2-interrupted-na_me__.txt": "odd\n",
    }
    assert not odd.exists()
    assert [path.name for path in (artifacts.folder / "run").iterdir()] == [mine.parent.name]
    assert {row.path for row in await bench.store.artifacts(artifacts.folder.name)} == {f"outputs/{n}" for n in outputs}

    await artifacts.salvage(also_mine=True)
    await journal.flush()
    assert not list((artifacts.folder / "run").iterdir())
    assert (artifacts.folder / "outputs" / f"{mine.parent.name}-interrupted-stdout.jsonl").read_text() == "mine\n"


async def test_salvaging_where_nothing_is_left_does_nothing(artifacts: Artifacts) -> None:
    await artifacts.salvage(also_mine=True)
    assert not artifacts.folder.exists()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metadata.json"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError):
        write_atomically(tmp_path / "taken", b"three")
    assert [entry.name for entry in path.parent.iterdir()] == ["metadata.json"]
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")) == []
