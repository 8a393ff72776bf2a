"""What retention speaks of: what lies on the disk, how long it may, and what a clean-up did or would do. Touches none
of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

GB, MB = 10**9, 10**6


class Kind(StrEnum):
    """A sort of thing that clean-up removes; each has its own rule."""

    CHECKOUT = "checkout"
    ARTIFACTS = "artifacts"
    ORDER = "order"
    MIRROR = "mirror"
    PREPARED = "prepared"
    CACHE = "cache"
    LEFTOVER = "leftover"


class Reason(StrEnum):
    """Why something is removed."""

    AGE = "age"
    COUNT = "count"
    SIZE = "size"
    DISK = "disk"


class Pressure(StrEnum):
    """How the disk stands: at `low` clean-up begins early, at `full` work orders wait."""

    OK = "ok"
    LOW = "low"
    FULL = "full"


@dataclass(frozen=True)
class Rules:
    """How long and how much is kept. None means without that limit."""

    checkouts: timedelta
    artifacts: timedelta
    orders: timedelta
    mirrors: timedelta
    max_bytes: int | None = None
    max_checkouts: int | None = None


@dataclass(frozen=True)
class Marks:
    """At how many free bytes clean-up begins early, and at how many work orders wait."""

    low_bytes: int
    min_free_bytes: int


@dataclass(frozen=True)
class Space:
    """A volume. File systems that do not count their files say 0 `total_files`."""

    total_bytes: int
    free_bytes: int
    total_files: int = 0
    free_files: int = 0

    def missing(self, at_least: int) -> int:
        """Bytes that are wanting until so many are free."""
        return max(0, at_least - self.free_bytes)

    def pressure(self, marks: Marks, needed: int = 0) -> Pressure:
        """How the volume would stand with `needed` bytes more in use."""
        free = self.free_bytes - needed
        if free < marks.min_free_bytes or self._few_files(100):
            return Pressure.FULL
        return Pressure.LOW if free < marks.low_bytes or self._few_files(20) else Pressure.OK

    def _few_files(self, share: int) -> bool:
        return self.total_files > 0 and self.free_files < min(self.total_files // share, 10_000)


@dataclass(frozen=True)
class Kept:
    """Something of ours on the disk. `name` is the order's id where it is an order's, else that of its directory.

    `in_use` says why the disk itself forbids its removal: a mirror that orders still need.
    """

    kind: Kind
    name: str
    size_bytes: int
    used_at: datetime
    in_use: str | None = None

    @property
    def of_an_order(self) -> bool:
        return self.kind in (Kind.CHECKOUT, Kind.ARTIFACTS, Kind.ORDER)


@dataclass(frozen=True)
class Aside:
    """Something that was renamed aside and whose removal nobody has been told of yet. `removal_id` is its own."""

    removal_id: str
    kind: Kind
    name: str
    size_bytes: int
    reason: Reason


class Removal(BaseModel):
    """One thing that was removed, or would be."""

    model_config = ConfigDict(frozen=True)

    kind: Kind = Field(description="What it is.")
    name: str = Field(description="The work order's identifier, or the name of the directory.")
    size_bytes: int = Field(description="Its size on the disk, in bytes; measured within the last hour.")
    used_at: datetime = Field(description="When it was last used.")
    reason: str = Field(description="Why it goes.")


class Protected(BaseModel):
    """One thing that a rule would have removed and that stays."""

    model_config = ConfigDict(frozen=True)

    kind: Kind = Field(description="What it is.")
    name: str = Field(description="The work order's identifier, or the name of the directory.")
    size_bytes: int = Field(description="Its size on the disk, in bytes.")
    reason: str = Field(description="Why it stays.")


class CleanupReport(BaseModel):
    """What a clean-up removed, or what it would remove."""

    dry_run: bool = Field(description="Whether nothing was removed.")
    removed: list[Removal] = Field(description="What was or would be removed, the first thousand.")
    removed_count: int = Field(description="How many there are of them in all.")
    freed_bytes: int = Field(description="Their size together, in bytes.")
    protected: list[Protected] = Field(description="What a rule would have removed and stays; the first thousand.")
    problems: list[str] = Field(description="What could not be removed or read, and why; the rest went on.")
    used_bytes: dict[Kind, int] = Field(description="What is kept, by kind, in bytes, after this clean-up.")
    pressure: Pressure = Field(description="How the disk stands.")
    took_ms: int = Field(description="How long it took, in milliseconds.")
