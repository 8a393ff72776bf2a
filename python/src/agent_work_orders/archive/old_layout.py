"""Orders of an old stand-alone installation, brought in as orders that have ended. Reads its folder, changes nothing.

Its layout: `<order>/prompts` and `<order>/outputs` with text files, `repos/` or `<order>/<clone>` with git, and, where
it kept its state in files, `<order>.json` with `state`, `metadata` and `step_history`: all of it somebody else's word.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from anyio import to_thread

from ..domain.errors import FailureClass, InvalidInput, WorkOrderError
from ..domain.events import OrderEnqueued, OrderFinished, Payload, draft
from ..domain.exported import EventRow, ExportedOrder, Row, time_text
from ..domain.redaction import Redactor
from ..domain.repository import Repository, named_repository
from ..domain.status import Status, StepStatus
from ..domain.workflow import plan_steps
from .move import Movable

STATE_FOLDERS = ("agent-work-orders-state", "state")
_OLD_ID = re.compile(r"wo-[A-Za-z0-9_-]{1,60}\Z")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}\Z")
_REMOTE = re.compile(r"^\s*url\s*=\s*(\S+)\s*$", re.MULTILINE)
_UNKNOWN = "https://unknown.invalid/imported/unknown"
_MAX_STATE, _MAX_FILE, _MAX_REQUEST = 16 << 20, 256 << 20, 64_000
_WORKFLOW = "agent_workflow_plan"


@dataclass(frozen=True)
class OldOrder:
    """One that was found: as it would be imported, and the files (name in the order's folder, where it lies now)."""

    old_id: str
    exported: ExportedOrder
    files: dict[str, Path]


@dataclass(frozen=True)
class BroughtIn:
    """What an import did. `refused` are old ids, each with why."""

    created: int
    there: int
    files: int
    refused: dict[str, str]


def find_old_orders(root: Path, state: Path | None = None) -> Iterator[OldOrder]:
    """What the folder holds, by old id. Blocks: call it in a thread. WorkOrderError if it is no such folder."""
    if not root.is_dir():
        raise WorkOrderError(f"There is no folder {root}.", next_action="Name the old installation's folder.")
    states = [one for one in (state, root, *(root / name for name in STATE_FOLDERS)) if one is not None]
    names = {path.name for path in root.iterdir() if path.is_dir() and not path.is_symlink()}
    names |= {path.stem for folder in states if folder.is_dir() for path in folder.glob("wo-*.json")}
    for old_id in sorted(name for name in names if _OLD_ID.match(name)):
        said = _state_of(old_id, root, states)
        files = dict(_files_of(root / old_id))
        if said or files:
            yield OldOrder(old_id, _exported(old_id, root, said, files), files)


async def bring_in(store: Movable, work_orders_dir: Path, found: list[OldOrder]) -> BroughtIn:
    """Each order once, however often this runs; its files first, so that no row promises what is not there."""
    redactor = Redactor()
    created = there = files = 0
    refused: dict[str, str] = {}
    for old in found:
        folder = work_orders_dir / old.exported.order_id
        for name, path in old.files.items():
            await to_thread.run_sync(_copy, path, folder / name, redactor)
        files += len(old.files)
        try:
            if await store.import_order(old.exported):
                created += 1
            else:
                there += 1
        except WorkOrderError as error:
            refused[old.old_id] = f"{error.message} {error.next_action}"
    return BroughtIn(created, there, files, refused)


def new_id_of(old_id: str) -> str:
    """The order's id here: the same every time, in the form that ours have."""
    word = re.sub(r"[^0-9a-f]", "", old_id.removeprefix("wo-").lower())[:8]
    return f"wo-{(word + hashlib.sha256(old_id.encode()).hexdigest())[:16]}"


# --- what the old installation says ---


def _state_of(old_id: str, root: Path, states: list[Path]) -> dict[str, Any]:
    """State and metadata in one, with the steps under `steps`; empty where nothing can be read."""
    for path in (*(folder / f"{old_id}.json" for folder in states), root / old_id / "metadata.json"):
        try:
            if path.is_symlink() or path.stat().st_size > _MAX_STATE:
                continue
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if not isinstance(content, dict):
            continue
        parts = [content.get(name) for name in ("state", "metadata")]
        merged = {name: value for part in parts if isinstance(part, dict) for name, value in part.items()} or content
        history = content.get("step_history")
        steps = history.get("steps") if isinstance(history, dict) else history
        return {
            **merged,
            "steps": [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else [],
        }
    return {}


def _files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    for kind in ("prompts", "outputs"):
        for path in sorted((folder / kind).glob("*")):
            if _FILE.match(path.name) and path.is_file() and not path.is_symlink():
                yield f"{kind}/{path.name}", path


def _repository_of(old_id: str, root: Path, said: dict[str, Any]) -> Repository:
    """As it was said, else as a clone's own configuration has it; that is read as text, git is not asked."""
    told = said.get("repository_url")
    places = [
        *sorted((root / old_id).glob("*")),
        *sorted(root.glob(f"*{old_id}")),
        *sorted(root.glob("repos/*/trees/*")),
    ]
    found = [told] if isinstance(told, str) else []
    for place in places:
        if place.parent.name == "trees" and not place.name.endswith(old_id):
            continue
        config = (
            place.parent.parent / "main" / ".git" / "config" if place.parent.name == "trees" else place / ".git/config"
        )
        if config.is_file() and not config.is_symlink() and config.stat().st_size < _MAX_STATE:
            found += _REMOTE.findall(config.read_text(encoding="utf-8", errors="replace"))
    for url in found:
        try:
            return _named(url)
        except InvalidInput:
            continue
    return _named(_UNKNOWN)


def _named(url: str) -> Repository:
    ssh = re.fullmatch(r"(?:ssh://)?git@([^:/]+)[:/](.+)", url.strip())
    text = f"https://{ssh[1]}/{ssh[2]}" if ssh else re.sub(r"^(https?://)[^/@]*@", r"\1", url.strip())
    return named_repository(text)


# --- as an order of ours ---


def _exported(old_id: str, root: Path, said: dict[str, Any], files: dict[str, Path]) -> ExportedOrder:
    order_id = new_id_of(old_id)
    repository = _repository_of(old_id, root, said)
    created = _time(said.get("created_at")) or _file_time(files, min)
    ended = max(created, _time(said.get("updated_at")) or _file_time(files, max))
    workflow, steps = _plan_of(said)
    outcome = _outcome_of(said)
    rows = [
        row for number, step in enumerate(said.get("steps", []), 1) if (row := _step(order_id, number, step, ended))
    ]
    order: Row = {
        "agent_work_order_id": order_id,
        "idempotency_key": f"imported:{old_id}",
        "request_fingerprint": hashlib.sha256(old_id.encode()).hexdigest(),
        "repository_key": repository.key,
        "repository_url": repository.url,
        "sandbox_identifier": _text(said.get("sandbox_identifier"), 200) or order_id,
        "sandbox_type": "git_worktree" if said.get("sandbox_type") == "git_worktree" else "git_branch",
        "git_branch_name": _text(said.get("git_branch_name"), 250),
        "agent_session_id": _text(said.get("agent_session_id"), 200),
        "workflow_type": workflow,
        "selected_commands": steps,
        "user_request": _request_of(old_id, said, files),
        "github_issue_number": _number(said.get("github_issue_number")),
        "current_phase": _text(said.get("current_phase"), 100),
        "github_pull_request_url": _text(said.get("github_pull_request_url"), 500),
        "git_commit_count": _number(said.get("git_commit_count")) or 0,
        "git_files_changed": _number(said.get("git_files_changed")) or 0,
        "next_step": 1,
        "attempt": 1,
        "max_attempts": 3,
        "priority": 5,
        "cost_usd": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "last_seq": 2,
        "created_at": time_text(created),
        "finished_at": time_text(ended),
        "updated_at": time_text(ended),
        **outcome.model_dump(mode="json", exclude={"summary"}),
    }
    enqueued = OrderEnqueued(repository_url=repository.url, workflow_type=workflow, steps=steps)
    tables = {
        "agent_work_order_artifacts": [_artifact(order_id, name, path, ended) for name, path in files.items()],
        "agent_work_order_steps": rows,
    }
    return ExportedOrder(
        order=order,
        tables={name: found for name, found in tables.items() if found},
        events=[_event(1, created, enqueued), _event(2, ended, outcome)],
    )


def _outcome_of(said: dict[str, Any]) -> OrderFinished:
    """Nothing of it runs any more, so what had not ended counts as cancelled."""
    match said.get("status"):
        case "completed":
            return OrderFinished(status=Status.COMPLETED, summary="Imported: completed in the old installation.")
        case "failed":
            return OrderFinished(
                status=Status.FAILED,
                summary="Imported: failed in the old installation.",
                failure_class=FailureClass.INTERNAL,
                error_message=_text(said.get("error_message"), 2_000) or "The old installation did not say why.",
                next_action="Retry the order to do it anew; nothing but its files was imported.",
            )
        case _:
            return OrderFinished(
                status=Status.CANCELLED, summary="Imported: how it ended in the old installation is not known."
            )


def _plan_of(said: dict[str, Any]) -> tuple[str, list[str]]:
    """Its steps where all of them are known here; else those of our own workflow, so that a retry has a plan."""
    workflow = said.get("workflow_type")
    selected = said.get("selected_commands")
    names = [name for name in selected if isinstance(name, str)] if isinstance(selected, list) else None
    for candidate in (workflow, _WORKFLOW):
        for commands in (names, None):
            try:
                if isinstance(candidate, str):
                    return candidate, [step.name for step in plan_steps(candidate, commands)]
            except InvalidInput:
                continue
    raise AssertionError(f"{_WORKFLOW} is a workflow of ours")


def _request_of(old_id: str, said: dict[str, Any], files: dict[str, Path]) -> str:
    if text := _text(said.get("user_request"), _MAX_REQUEST):
        return text
    first = next((path for name, path in files.items() if name.startswith("prompts/")), None)
    if first is not None and (text := _text(first.read_text(encoding="utf-8", errors="replace"), _MAX_REQUEST)):
        return text
    return f"(imported: what {old_id} was asked for is not known)"


def _step(order_id: str, number: int, step: dict[str, Any], ended: datetime) -> Row:
    success = step.get("success") is True
    at = time_text(_time(step.get("timestamp")) or ended)
    duration = step.get("duration_seconds")
    return {
        "agent_work_order_id": order_id,
        "attempt": 1,
        "step_order": number,
        "step_name": _text(step.get("step"), 100) or _text(step.get("step_name"), 100) or "imported",
        "agent_name": _text(step.get("agent_name"), 100) or "claude",
        "status": StepStatus.COMPLETED if success else StepStatus.FAILED,
        "success": success,
        "output": _text(step.get("output"), 16_000),
        "error_message": _text(step.get("error_message"), 2_000),
        "duration_seconds": float(duration) if isinstance(duration, int | float) and duration >= 0 else None,
        "session_id": _text(step.get("session_id"), 200),
        "cost_usd": 0,
        "input_tokens": 0,
        "output_tokens": 0,
        "started_at": at,
        "finished_at": at,
        "created_at": at,
    }


def _artifact(order_id: str, name: str, path: Path, at: datetime) -> Row:
    return {
        "agent_work_order_id": order_id,
        "artifact_id": f"imported-{name.replace('/', '-')}",
        "artifact_type": "prompt" if name.startswith("prompts/") else "output",
        "attempt": 1,
        "path": name,
        "media_type": "application/x-ndjson" if path.suffix == ".jsonl" else "text/plain; charset=utf-8",
        "size_bytes": len(_clean_content(path, Redactor())),
        "created_at": time_text(at),
    }


def _event(seq: int, at: datetime, payload: Payload) -> EventRow:
    drafted = draft(payload)
    return (seq, time_text(at), drafted.kind, None, 1, drafted.payload)


# --- words, numbers, times, files ---


def _text(value: Any, longest: int) -> str | None:
    """Redacted: the old installation never did that."""
    if not isinstance(value, str) or not value.strip():
        return None
    cleaned = Redactor().redact(value.encode("utf-8", "replace").decode().replace("\0", "\ufffd"))
    return cleaned.encode()[:longest].decode("utf-8", "ignore")


def _number(value: Any) -> int | None:
    text = str(value)
    return int(text) if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,9}", text) else None


def _time(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


def _file_time(files: dict[str, Path], choose: Any) -> datetime:
    times = [path.stat().st_mtime for path in files.values()]
    at: float = choose(times) if times else 0.0
    return datetime.fromtimestamp(int(at), UTC)


def _clean_content(path: Path, redactor: Redactor) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MAX_FILE)
    return redactor.redact(content.decode("utf-8", "replace")).encode("utf-8", "replace")


def _copy(source: Path, target: Path, redactor: Redactor) -> None:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
    draft_path = target.with_name(f".{target.name}.partial")
    draft_path.write_bytes(_clean_content(source, redactor))
    os.utime(draft_path, (source.stat().st_mtime,) * 2)
    draft_path.rename(target)
