"""Words that no file of ours may hold, and what every pin must."""

import json
import re
from pathlib import Path

import pytest

from .repository import PYTHON, ROOT, relative, texts

# Each pattern is written so that it does not match itself.
FORBIDDEN = {
    "the address of a package index": r"pypi[.]org|files[.]pythonhosted|registry[.]npmjs|registry[.]yarnpkg",
    "a place on somebody's machine": r"(?<![\w.])/(?:work/(?:main|shared)|root/[.]pyenv|tmp/awo)\b",
    "a neighbour of the repository": r"[.][.]/shared\b(?!/)",
}
PINS = sorted((PYTHON / "requirements").glob("*.txt"))
LOCKS = [path for path, _ in texts(".json") if path.name == "package-lock.json"]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{relative(path)}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found


def test_there_are_five_sets_of_pins() -> None:
    assert [path.stem for path in PINS] == ["archon-v1", "check", "mcp", "runtime", "test"]


def test_the_public_servers_set_has_its_versions() -> None:
    theirs = (PYTHON / "requirements" / "archon-v1.in").read_text(encoding="utf-8")
    wanted = re.findall(r"^[a-z0-9._-]+==\S+", theirs, re.MULTILINE)
    pinned = re.findall(r"^[a-z0-9._-]+==\S+", (PYTHON / "requirements" / "archon-v1.txt").read_text(), re.MULTILINE)
    assert {"fastapi==0.115.12", "starlette==0.45.3", "supabase==2.15.1", "anyio==4.9.0"} <= set(wanted) <= set(pinned)


@pytest.mark.parametrize("path", PINS, ids=relative)
def test_pins_carry_hashes_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    loose = [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]
    assert not loose


def test_one_package_has_one_version_in_all_sets_of_ours() -> None:
    versions: dict[str, set[str]] = {}
    for path in PINS:
        if path.stem == "archon-v1":
            continue
        for name, version in re.findall(r"^([a-z0-9._-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            versions.setdefault(name, set()).add(version)
    assert not {name: found for name, found in versions.items() if len(found) > 1}


@pytest.mark.parametrize("path", LOCKS, ids=relative)
def test_a_lock_carries_hashes_and_no_address(path: Path) -> None:
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert installed
    assert not [name for name, package in installed.items() if "resolved" in package]
    # What comes inside another package is covered by that one's hash.
    own = {name: package for name, package in installed.items() if not package.get("inBundle")}
    assert not [name for name, package in own.items() if "integrity" not in package]


def test_the_claude_command_line_is_pinned_exactly() -> None:
    manifest = json.loads((ROOT / "tools" / "claude-cli" / "package.json").read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in manifest["dependencies"].values())
