"""`python -m bench`: measures subject by subject, prints the table, keeps the results. Knows no figure."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from . import cold, database, idle, janitor, load, mirrors, pages, pool, requests, scratch, stall, start, stream
from .figures import Figure, keep, show
from .scale import FULL, QUICK, Scale
from .scratch import ROOT, SCRATCH
from .server import Broken

SUBJECTS: dict[str, Callable[[Scale], list[Figure]]] = {
    "cold": cold.measure,  # first: what takes a tenth of a second wants a disk that has nothing else to write
    "start": start.measure,
    "pool": pool.measure,
    "mirrors": mirrors.measure,
    "stream": stream.measure,
    "stall": stall.measure,
    "janitor": janitor.measure,
    "idle": idle.measure,
    "load": load.measure,
    "database": database.measure,
    "requests": requests.measure,
    "pages": pages.measure,
}


def main() -> int:
    options = _options()
    scale = QUICK if options.quick else FULL
    names = options.only or list(SUBJECTS)
    whole = not (options.quick or options.only)
    # The kept results are those of a whole run; anything less goes elsewhere.
    output = options.output or (ROOT / "bench" if whole else SCRATCH) / "results.json"
    figures: list[Figure] = []
    try:
        if not options.quick:
            scratch.settle()
        for name in names:
            began = perf_counter()
            figures += SUBJECTS[name](scale)
            print(f"measured {name} in {perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    except Broken as broken:
        print(f"The bench broke: {broken}", file=sys.stderr)
        return 2
    finally:
        scratch.clear()
    print(show(figures))
    keep(figures, output)
    missed = sum(figure.ok is False for figure in figures)
    if options.quick:
        print("\nA quick run: too small for the targets, it only shows that the bench works.")
    print(f"\n{missed} of {sum(figure.ok is not None for figure in figures)} targets missed. Written to {output}.")
    return 1 if missed and options.strict else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measures against the targets.")
    parser.add_argument(
        "--only", action="append", choices=SUBJECTS, metavar="NAME", help=f"one of {', '.join(SUBJECTS)}"
    )
    parser.add_argument("--quick", action="store_true", help="everything small, in less than a minute")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--output", type=Path, help="where the JSON goes (default: bench/results.json)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
