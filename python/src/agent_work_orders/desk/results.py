"""The last result of each test on this server, in one file, so that a restart forgets none. Holds no secret."""

import os
import secrets
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ..domain.setting import Subject, TestResult

_RESULTS: TypeAdapter[dict[Subject, TestResult]] = TypeAdapter(dict[Subject, TestResult])


class LastResults:
    """One result per subject. All calls block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def all(self) -> dict[Subject, TestResult]:
        """What was kept; nothing when the file cannot be read: the tests can be made again."""
        try:
            return _RESULTS.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}

    def keep(self, result: TestResult) -> None:
        """Replaces the subject's last result. A disk that is full does not make a test fail."""
        draft = self._path.with_name(f".{self._path.name}-{secrets.token_hex(8)}")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_RESULTS.dump_json({**self.all(), result.subject: result}))
            draft.replace(self._path)
        except OSError:
            draft.unlink(missing_ok=True)
