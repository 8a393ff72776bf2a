"""A measured figure, its target, and how figures are shown and kept. Knows nothing of how they were measured."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One line of the results. Without a target it only explains its neighbours."""

    name: str
    value: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def ok(self) -> bool | None:
        """None where there is no target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "value": self.value, "unit": self.unit, "target": self.target, "ok": self.ok}


def ratio(ours: Sequence[float], yardstick: Sequence[float]) -> float:
    """Of the medians; both were taken in turns, so that the machine's moods hit both alike."""
    return round(median(ours) / median(yardstick), 3)


def milliseconds(seconds: Sequence[float]) -> float:
    """The median."""
    return round(median(seconds) * 1000, 1)


def show(figures: Sequence[Figure]) -> str:
    """The table that a person reads."""
    rows = [("figure", "value", "unit", "target", "")]
    words = {True: "ok", False: "MISSED", None: ""}
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        target = "" if figure.target is None else f"{sign} {figure.target:,g}"
        rows.append((figure.name, f"{figure.value:,g}", figure.unit, target, words[figure.ok]))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [
        f"{name:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {target:>{widths[3]}}  {word}".rstrip()
        for name, value, unit, target, word in rows
    ]
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines)


def keep(figures: Sequence[Figure], path: Path) -> None:
    """A JSON list of `{name, value, unit, target, ok}`; `target` and `ok` are null where there is no target."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ",\n".join(f"  {json.dumps(figure.to_json(), ensure_ascii=False)}" for figure in figures)
    path.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
