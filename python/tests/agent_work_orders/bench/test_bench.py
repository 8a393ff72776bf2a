import json
import subprocess
import sys
from pathlib import Path

from bench.figures import Figure, keep, ratio, show

PYTHON = Path(__file__).resolve().parents[3]


def test_a_quick_run_measures_through_the_real_server_and_keeps_its_figures(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", "stream", "--output", str(results)]
    done = subprocess.run(command, cwd=PYTHON, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(results.read_text(encoding="utf-8"))
    assert all(set(figure) == {"name", "value", "unit", "target", "ok"} for figure in figures)
    assert all(figure["name"] in done.stdout for figure in figures)
    assert all(figure["value"] > 0 for figure in figures if figure["unit"] in ("ms", "lines/s"))
    lost = [figure for figure in figures if "lost or out of order" in figure["name"]]
    assert [(figure["value"], figure["ok"]) for figure in lost] == [(0, True)]


def test_a_figure_is_judged_by_its_target_and_a_missed_one_is_shown(tmp_path: Path) -> None:
    figures = [
        Figure("as small as it must be", 1.3, "ratio", 1.3),
        Figure("too small", 19_999, "lines/s", 20_000, at_least=True),
        Figure("only told", 7, "ms"),
    ]
    assert [figure.ok for figure in figures] == [True, False, None]
    assert "MISSED" in show(figures)
    keep(figures, tmp_path / "results.json")
    kept = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert kept[1] == {"name": "too small", "value": 19_999, "unit": "lines/s", "target": 20_000, "ok": False}


def test_a_ratio_is_that_of_the_medians() -> None:
    assert ratio([1, 2, 90], [4, 4, 1]) == 0.5
