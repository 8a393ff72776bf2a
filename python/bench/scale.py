"""How large everything is: the full run that the targets are for, and a quick one that only shows that it works."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tree:
    """A repository of one commit: so many files of so many random bytes each."""

    name: str
    files: int
    file_bytes: int

    @property
    def megabytes(self) -> int:
        return round(self.files * self.file_bytes / 1e6)


@dataclass(frozen=True)
class Scale:
    repeats: int
    small: Tree
    medium: Tree
    many: Tree
    large: Tree
    trickled_lines: int
    burst_lines: int
    idle_seconds: float
    sleeping_orders: int
    orders: int
    order_seconds: float
    slots: int
    directories: int
    events: int
    listed: int
    hour_lines: int
    scroll_seconds: int


FULL = Scale(
    repeats=5,
    small=Tree("small", 100, 6_000),
    medium=Tree("medium", 5_000, 10_000),
    many=Tree("many", 50_000, 1_000),
    large=Tree("large", 8_000, 38_000),
    trickled_lines=200,
    burst_lines=100_000,
    idle_seconds=5.0,
    sleeping_orders=20,
    orders=100,
    order_seconds=2.0,
    slots=20,
    directories=10_000,
    events=20_000,
    listed=100_000,
    hour_lines=3_600,
    scroll_seconds=15,
)
QUICK = Scale(
    repeats=2,
    small=Tree("small", 100, 6_000),
    medium=Tree("quick-medium", 500, 10_000),
    many=Tree("quick-many", 2_000, 1_000),
    large=Tree("quick-large", 500, 38_000),
    trickled_lines=30,
    burst_lines=5_000,
    idle_seconds=1.0,
    sleeping_orders=5,
    orders=10,
    order_seconds=0.5,
    slots=5,
    directories=400,
    events=3_000,
    listed=2_000,
    hour_lines=400,
    scroll_seconds=3,
)
