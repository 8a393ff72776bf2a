"""The issues and pull requests of the pretend GitHub, kept in one JSON file. Knows no HTTP and no git."""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Issue:
    """`repository` is the identifier that stays through a rename; `number` counts issues and pull requests together."""

    repository: int
    number: int
    title: str
    body: str | None
    author: str
    created_at: str
    updated_at: str
    state: Literal["open", "closed"] = "open"


@dataclass(frozen=True)
class PullRequest(Issue):
    """`head` and `base` are branches of the same repository; `head_sha` is what the head was when last seen."""

    head: str = ""
    base: str = ""
    head_sha: str = ""
    base_sha: str = ""
    draft: bool = False


class Book:
    """Every change is on disk when the call returns, so that a server that was killed finds its pull requests again."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._entries: dict[tuple[int, int], Issue | PullRequest] = {}
        if file.exists():
            for kind, fields in json.loads(file.read_text(encoding="utf-8")):
                entry: Issue | PullRequest = PullRequest(**fields) if kind == "pull" else Issue(**fields)
                self._entries[entry.repository, entry.number] = entry

    def find(self, repository: int, number: int) -> Issue | PullRequest | None:
        return self._entries.get((repository, number))

    def pull_requests(self, repository: int) -> list[PullRequest]:
        """Oldest first."""
        with self._lock:
            entries = sorted(self._entries.values(), key=lambda entry: entry.number)
        return [entry for entry in entries if isinstance(entry, PullRequest) and entry.repository == repository]

    def open_issue(self, repository: int, *, title: str, body: str | None, author: str) -> Issue:
        with self._lock:
            at, number = _now(), self._next_number(repository)
            return self._keep(Issue(repository, number, title, body, author, at, at))

    def open_pull_request(
        self,
        repository: int,
        *,
        title: str,
        body: str | None,
        author: str,
        draft: bool,
        head: tuple[str, str],
        base: tuple[str, str],
    ) -> PullRequest | None:
        """`head` and `base` are branch and commit. None if an open one joins the same branches already."""
        with self._lock:
            for entry in self._entries.values():
                same = isinstance(entry, PullRequest) and (entry.head, entry.base) == (head[0], base[0])
                if same and entry.repository == repository and entry.state == "open":
                    return None
            at, number = _now(), self._next_number(repository)
            pull_request = PullRequest(
                repository,
                number,
                title,
                body,
                author,
                at,
                at,
                head=head[0],
                base=base[0],
                head_sha=head[1],
                base_sha=base[1],
                draft=draft,
            )
            self._keep(pull_request)
            return pull_request

    def change(self, pull_request: PullRequest, changes: Mapping[str, Any]) -> PullRequest:
        """The pull request with other values in the named fields."""
        changed = replace(pull_request, **changes, updated_at=_now())
        with self._lock:
            self._keep(changed)
        return changed

    def _next_number(self, repository: int) -> int:
        return 1 + max((number for owner, number in self._entries if owner == repository), default=0)

    def _keep(self, entry: Issue) -> Issue:
        self._entries[entry.repository, entry.number] = entry
        kinds = [
            ("pull" if isinstance(kept, PullRequest) else "issue", asdict(kept)) for kept in self._entries.values()
        ]
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(kinds), encoding="utf-8")
        unfinished.replace(self._file)
        return entry


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
