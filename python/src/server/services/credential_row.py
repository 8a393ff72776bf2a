"""What one stored credential is, and what a place that keeps them must be able to do."""

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NotRequired, Protocol, TypedDict

from ..config.config import words

# What a secret's value looks like from outside; never a value itself.
MASK = "[ENCRYPTED]"


class CredentialRow(TypedDict):
    """A row of `archon_settings`. When writing, a column that is left out keeps its content."""

    key: str
    value: NotRequired[str | None]
    encrypted_value: NotRequired[str | None]
    is_encrypted: NotRequired[bool]
    category: NotRequired[str | None]
    description: NotRequired[str | None]


def merged(old: CredentialRow | None, change: CredentialRow) -> CredentialRow:
    """`old` with the columns that `change` names."""
    row: CredentialRow = {"key": change["key"]}
    if old is not None:
        row.update(old)
    row.update(change)
    return row


class CredentialStore(Protocol):
    """A place that keeps rows. Blocking; every method raises CredentialStoreUnavailable when it cannot."""

    @property
    def identity(self) -> tuple[str, str]:
        """What tells this store from another."""
        ...

    def load(self) -> dict[str, CredentialRow]:
        """Every row by key."""
        ...

    def exclusive(self) -> AbstractContextManager[None]:
        """Held around encrypting and writing, so that no rotation comes between. Not reentrant."""
        ...

    def write(self, row: CredentialRow) -> None:
        """Create or change one row; columns that are not named keep what they hold."""
        ...

    def write_all(self, rows: list[CredentialRow]) -> None:
        """Create or change several rows with the same columns: all or none."""
        ...

    def delete(self, key: str) -> None:
        """Remove one row, if it is there."""
        ...

    def replace_secret(self, key: str, old: str, new: str) -> bool:
        """Change the stored form only if it is still `old`; says whether it was."""
        ...

    def passphrases(self, *, create: bool = False) -> list[str]:
        """The one that writes first, then all others that may read; `create` makes one if there is none."""
        ...


@dataclass(frozen=True)
class EnvironmentPassphrases:
    """From ARCHON_ENCRYPTION_KEY (at most one, it writes) and ARCHON_ENCRYPTION_KEY_PREVIOUS (they only read)."""

    current: list[str]
    former: list[str]


def environment_passphrases() -> EnvironmentPassphrases:
    """What the environment offers right now."""
    current = os.environ.get("ARCHON_ENCRYPTION_KEY", "").strip()
    return EnvironmentPassphrases([current] if current else [], words("ARCHON_ENCRYPTION_KEY_PREVIOUS"))
