"""The commands that the documents promise exist, and the build runs them."""

import re
import subprocess
from pathlib import Path

import pytest

from .repository import README, ROOT, fenced, pyproject, relative, texts

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
CI = ROOT / ".ci" / "run"
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
EXPLAINED = set(re.findall(r"^([a-z][a-z-]*):.*## \S", MAKEFILE, re.MULTILINE))
PROMISED = {"help", "demo", "run", "test", "check", "bench"}


def test_make_help_explains_every_target_a_person_types() -> None:
    assert PROMISED <= EXPLAINED
    assert EXPLAINED | {"runtime", "test-tools", "check-tools", "cli", "postgrest", "ui-packages", "pages"} == TARGETS
    shown = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"^ +make ([a-z-]+) +\S", shown, re.MULTILINE)) == EXPLAINED


def test_the_readme_starts_with_the_demo_and_the_tests() -> None:
    shell = "\n".join(fenced(README.read_text(encoding="utf-8"), "sh"))
    assert re.search(r"^make demo\b", shell, re.MULTILINE)
    assert re.search(r"^make test\b", shell, re.MULTILINE)


def test_every_make_command_in_a_document_is_a_target() -> None:
    unknown = [
        f"{path.name}: make {target}"
        for path, text in texts(".md")
        for block in [*fenced(text, "sh", "bash", "console", ""), *re.findall(r"`(make [^`]*)`", text)]
        for target in re.findall(r"^(?:\$ )?make ([a-z][a-z-]*)", block, re.MULTILINE)
        if target not in TARGETS
    ]
    assert not unknown


def test_the_build_runs_the_tests_and_the_checks() -> None:
    script = CI.read_text(encoding="utf-8")
    assert re.search(r"^make test\b", script, re.MULTILINE)
    assert re.search(r"^make check\b", script, re.MULTILINE)
    assert CI.stat().st_mode & 0o111


@pytest.mark.parametrize("path", [ROOT / "Makefile", CI], ids=relative)
def test_no_gate_is_switched_off(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "|| true" not in text
    assert "set +e" not in text
    assert not re.search(r"^\t@?-", text, re.MULTILINE), "a recipe line with `-` ignores its exit status"


def test_the_coverage_gate_stands_at_ninety_or_more() -> None:
    coverage = pyproject()["tool"]["coverage"]
    assert coverage["run"]["source"] == ["src/agent_work_orders"]
    assert coverage["report"]["fail_under"] >= 90
    assert "omit" not in coverage["run"]
    assert "omit" not in coverage["report"]
