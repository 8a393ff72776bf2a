"""An order's folder: prompts, outputs, evidence and metadata. Whatever is kept here was redacted first."""

import json
import os
import secrets
from pathlib import Path

from anyio import to_thread

from ..domain.redaction import Redactor
from ..domain.work_order import Artifact, Claim, Step, WorkOrder
from ..ports import Store

CHUNK = 1 << 20


class Artifacts:
    """Files of one order under `work-orders/<id>/`, with a row for each in the store."""

    def __init__(self, folder: Path, claim: Claim, store: Store, redactor: Redactor) -> None:
        self.folder, self._claim, self._store, self._redactor = folder, claim, store, redactor

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
        return await self._put(artifact_type, f"{folder}/{name}", step_name, media_type, len(clean))

    async def keep_output(self, raw: Path, name: str, step_name: str, media_type: str = "application/x-ndjson") -> str:
        """Takes a raw output file over, redacted, and removes the raw one; returns its artifact id."""
        target = self.folder / "outputs" / name
        size = await to_thread.run_sync(self._redact_file, raw, target)
        return await self._put("output", f"outputs/{name}", step_name, media_type, size)

    async def salvage(self) -> None:
        """Takes over what a run that was killed left behind, so that no raw output stays and none is lost."""
        for raw in await to_thread.run_sync(self._left_behind):
            name = f"{raw.parent.name}-interrupted-{raw.name}"
            await self.keep_output(raw, name, "interrupted")

    async def write_metadata(self, order: WorkOrder, steps: list[Step]) -> None:
        """`metadata.json`: enough to understand the order without the database."""
        body = {
            "work_order": order.model_dump(mode="json"),
            "steps": [step.model_dump(mode="json") for step in steps],
            "artifacts": [a.model_dump(mode="json") for a in await self._store.artifacts(self._claim.order_id)],
        }
        text = self._redactor.redact(json.dumps(body, indent=2, ensure_ascii=False))
        await to_thread.run_sync(write_atomically, self.folder / "metadata.json", text.encode("utf-8", "replace"))

    async def _put(self, artifact_type: str, path: str, step_name: str, media_type: str, size: int) -> str:
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
        await self._store.put_artifact(self._claim, artifact)
        return artifact_id

    def _left_behind(self) -> list[Path]:
        folder = self.folder / "run"
        mine = f"{self._claim.token}-"
        raws = (raw for run in folder.glob("*") if not run.name.startswith(mine) for raw in run.glob("*"))
        return sorted(raw for raw in raws if raw.is_file() and not raw.is_symlink() and raw.stat().st_size)

    def _redact_file(self, raw: Path, target: Path) -> int:
        """Streams a file through the redactor in flat memory. Returns the bytes written."""
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        written = 0
        with raw.open("rb") as source, temporary.open("xb") as sink:
            os.fchmod(sink.fileno(), 0o600)
            rest = b""
            while chunk := source.read(CHUNK):
                # Whole lines only, so that no secret is cut in two; a line without end is cut at a generous size.
                rest += chunk
                end = rest.rfind(b"\n") + 1
                if end == 0 and len(rest) < 64 * CHUNK:
                    continue
                end = end or len(rest)
                written += sink.write(self._clean(rest[:end]))
                rest = rest[end:]
            written += sink.write(self._clean(rest))
            sink.flush()
            os.fsync(sink.fileno())
        temporary.replace(target)
        raw.unlink(missing_ok=True)
        return written

    def _clean(self, raw: bytes) -> bytes:
        return self._redactor.redact(raw.decode("utf-8", "replace")).encode("utf-8", "replace")


def write_atomically(path: Path, content: bytes) -> None:
    """The whole file or nothing, readable by the server alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
