"""An order's folder: prompts, outputs and evidence. Whatever is kept here was redacted first."""

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, BinaryIO

from anyio import to_thread

from ..domain.redaction import Redactor
from ..domain.work_order import Artifact, Claim
from ..ports import Store
from .journal import Journal

CHUNK = 1 << 20
# The longest token whose shape is known, a private key, is shorter.
KEPT_BACK = 20_000


class Artifacts:
    """Files of one order under `work-orders/<id>/`, with a row for each in the store."""

    def __init__(self, folder: Path, claim: Claim, journal: Journal, store: Store, redactor: Redactor) -> None:
        self.folder, self._claim, self._journal, self._store, self._redactor = folder, claim, journal, store, redactor
        # Raw files that were taken over, and go once the store knows of what was made of them.
        self._taken: set[Path] = set()

    @property
    def home(self) -> Path:
        """HOME of the agent and of checks: the order's own, kept for its session."""
        return self.folder / "home"

    def run_dir(self, step_order: int, turn: int) -> Path:
        """Where a turn's raw, unredacted output goes while it runs."""
        return self.folder / "run" / f"{self._claim.token}-{step_order}-{turn}"

    async def write(self, artifact_type: str, name: str, text: str, step_name: str, media_type: str) -> str:
        """Writes a text; returns its artifact id."""
        folder = "prompts" if artifact_type == "prompt" else "outputs"
        clean = self._redactor.redact(text).encode("utf-8", "replace")
        await to_thread.run_sync(write_atomically, self.folder / folder / name, clean)
        return self._put(artifact_type, f"{folder}/{name}", step_name, media_type, len(clean))

    async def write_json(self, artifact_type: str, name: str, value: Any, step_name: str) -> str:
        """Writes what JSON can hold, for people to read; returns its artifact id."""
        text = self._json(value)
        return await self.write(artifact_type, name, text, step_name, "application/json")

    async def keep_output(
        self, raw: Path, name: str, step_name: str | None, media_type: str = "application/x-ndjson"
    ) -> str:
        """Takes a raw output file over, redacted, and removes the raw one; returns its artifact id."""
        target = self.folder / "outputs" / name
        size = await to_thread.run_sync(self._redact_file, raw, target)
        artifact_id = self._put("output", f"outputs/{name}", step_name, media_type, size)
        # Last, so that whatever interrupts this leaves a file that is salvaged.
        self._taken.add(raw)
        self._journal.afterwards(lambda: _remove(raw))
        return artifact_id

    async def clear_run(self, run_dir: Path, name: str, step_name: str) -> None:
        """Keeps what else a turn wrote (its error output), redacted, and removes its folder."""
        for raw in _left_in(run_dir, self._taken):
            await self.keep_output(raw, f"{name}-{raw.name}", step_name, "text/plain; charset=utf-8")
        self._journal.afterwards(lambda: shutil.rmtree(run_dir, ignore_errors=True))

    async def salvage(self, *, also_mine: bool = False) -> None:
        """Takes over what a run that was killed left behind, so that no raw output stays and none is lost.

        With `also_mine` the same for this run, of which nothing may run any more.
        """
        if not _holds_anything(self.folder / "run"):  # a look costs less than the way to a thread
            return
        for raw in await to_thread.run_sync(self._left_behind, also_mine):
            name = re.sub(r"[^A-Za-z0-9._-]", "_", f"{raw.parent.name}-interrupted-{raw.name}")[:120]
            media_type = "application/x-ndjson" if raw.suffix == ".jsonl" else "text/plain; charset=utf-8"
            await self.keep_output(raw, name, None, media_type)

    def _json(self, value: Any) -> str:
        return json.dumps(self._redactor.redact_value(value), indent=2, ensure_ascii=False)

    def _put(self, artifact_type: str, path: str, step_name: str | None, media_type: str, size: int) -> str:
        artifact_id = path.replace("/", "-")
        artifact = Artifact(
            artifact_id=artifact_id,
            artifact_type=artifact_type,
            step_name=step_name,
            attempt=self._claim.order.attempt,
            path=path,
            media_type=media_type,
            size_bytes=size,
        )
        self._journal.keep(artifact)
        return artifact_id

    def _left_behind(self, also_mine: bool) -> list[Path]:
        folder = self.folder / "run"
        mine = f"{self._claim.token}-"
        runs = [run for run in folder.glob("*") if also_mine or not run.name.startswith(mine)]
        raws = {raw for run in runs if run != self._journal.folder for raw in run.glob("*")} - self._taken
        found = sorted(raw for raw in raws if _holds_something(raw))
        for raw in raws.difference(found):
            _remove(raw)  # nothing in it, or nothing of ours
        return found

    def _redact_file(self, raw: Path, target: Path) -> int:
        """Streams a file through the redactor in flat memory. Returns the bytes written."""
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}")
        try:
            written = 0
            with _new(temporary) as sink:
                for piece in self._pieces(raw):
                    written += sink.write(self._redactor.redact(piece).encode("utf-8", "replace"))
                sink.flush()
                os.fsync(sink.fileno())
            temporary.replace(target)
            return written
        finally:
            temporary.unlink(missing_ok=True)

    def _pieces(self, raw: Path) -> Iterator[str]:
        """The text of a file in pieces of about a megabyte, none of which ends within a secret."""
        with _regular(raw) as source:
            rest = b""
            while chunk := source.read(CHUNK):
                rest += chunk
                if len(rest) >= CHUNK + KEPT_BACK:
                    end = self._safe_end(rest)
                    yield rest[:end].decode("utf-8", "replace")
                    rest = rest[end:]
            yield rest.decode("utf-8", "replace")

    def _safe_end(self, text: bytes) -> int:
        """Where a text can be cut so that its parts hide what the whole would hide: at a line's end, if one will do."""
        around = max(KEPT_BACK, 2 * self._redactor.longest)
        last = max(len(text) - around, 1)
        end = last
        for _ in range(8):
            line_end = text.rfind(b"\n", max(0, end - CHUNK // 16), end) + 1
            end = line_end or _character_start(text, end)
            left = text[max(0, end - around) : end].decode("utf-8", "replace")
            right = text[end : end + around].decode("utf-8", "replace")
            redact = self._redactor.redact
            if redact(left + right) == redact(left) + redact(right):
                return end
            end = max(end - KEPT_BACK // 4, 1)
        return _character_start(text, last)  # secrets without end: it is cut all the same, or memory would be the next


def _files_of(run_dir: Path) -> list[Path]:
    found = run_dir.glob("*")
    return sorted(raw for raw in found if not raw.is_symlink() and raw.is_file() and raw.stat().st_size)


def write_atomically(path: Path, content: bytes, *, settled: bool = True) -> None:
    """The whole file or nothing, readable by the server alone; unless `settled`, a power cut may take it back."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with _new(temporary) as file:
            file.write(content)
            if settled:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _regular(path: Path) -> BinaryIO:
    """Opened to be read; what is not there, or is a link, a pipe or a device by now, is as good as empty."""
    try:
        # Without O_NONBLOCK a named pipe would hold the thread for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise
        descriptor = os.open(os.devnull, os.O_RDONLY)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        descriptor = os.open(os.devnull, os.O_RDONLY)
    return os.fdopen(descriptor, "rb")


def _left_in(run_dir: Path, taken: Set[Path]) -> list[Path]:
    """A look into a folder of ours; it costs less than the way to a thread."""
    return sorted(raw for raw in run_dir.glob("*") if raw not in taken and _holds_something(raw))


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(True for _ in entries)
    except FileNotFoundError:
        return False


def _holds_something(raw: Path) -> bool:
    try:
        found = raw.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def _remove(raw: Path) -> None:
    """A raw output, and its directory with the last of them."""
    try:
        raw.unlink(missing_ok=True)
        raw.parent.rmdir()
    except OSError:
        return  # something else is in there still


def _character_start(text: bytes, at: int) -> int:
    while at > 1 and text[at] & 0xC0 == 0x80:
        at -= 1
    return at
