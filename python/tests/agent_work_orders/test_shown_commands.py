"""Every command that a document shows can be typed: a shell reads it, the program has the options, its files exist."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from .documents import LANGUAGES, PROGRAMS, Shown, blocks, documents, program_of, shown_commands
from .house.repository import PYTHON, ROOT, fenced, relative
from .story.archon import CLAUDE

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
COMPOSE = Path(sys.executable).with_name("podman-compose")
COMMANDS = shown_commands()
# Options of curl that our documents need; curl itself is asked in the story of these commands.
CURL = {"-s", "-N", "-X", "--json"}


def of(program: str) -> list[Shown]:
    return [one for one in COMMANDS if program_of(one.words) == program]


@cache
def told_by(*command: str, folder: Path = ROOT) -> str:
    """What a program says of itself."""
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert said.returncode == 0, (command, said.stderr)
    return said.stdout + said.stderr


def options_of(words: tuple[str, ...]) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]


def has(told: str, option: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", told) is not None


def test_the_shell_reads_every_block() -> None:
    found = list(blocks())
    assert len(found) > 10
    for path, block in found:
        said = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True)
        assert said.returncode == 0, f"{relative(path)}: {said.stderr}"


def test_every_block_is_in_a_language_that_is_looked_at() -> None:
    for path, text in documents():
        for language in re.findall(r"^```([^\n]*)\n.*?^```\s*$", text, re.MULTILINE | re.DOTALL):
            assert language.strip() in LANGUAGES, relative(path)
        for block in fenced(text, "yaml"):
            assert yaml.safe_load(block)
        for block in fenced(text, "python"):
            ast.parse(block)


def test_every_command_of_a_block_is_of_a_program_that_is_looked_at() -> None:
    assert not [str(one) for one in COMMANDS if program_of(one.words) not in PROGRAMS]
    for program in PROGRAMS:
        assert of(program), f"no document shows {program} any more"


@pytest.mark.parametrize("shown", of("make"), ids=str)
def test_make_knows_what_to_do(shown: Shown) -> None:
    given = [word for word in shown.words[1:] if "=" in word]
    assert all(word.partition("=")[0] in MAKEFILE for word in given)
    told_by("make", "--dry-run", *shown.words[1:])


@pytest.mark.parametrize("shown", of("python -m"), ids=str)
def test_a_program_of_ours_has_the_options(shown: Shown) -> None:
    _, _, module, *words = shown.words
    asked = [word for word in words if re.fullmatch(r"[a-z]+", word)][:1] if module.endswith("backup") else []
    options = options_of(tuple(words))
    if not options and not asked:
        return  # that it exists is said by the tests of the reference
    told = told_by(sys.executable, "-m", module, *asked, "--help", folder=PYTHON)
    assert not [option for option in options if not has(told, option)]


@pytest.mark.parametrize("shown", of("docker compose"), ids=str)
def test_compose_knows_command_and_options_and_its_files_are_here(shown: Shown) -> None:
    words = list(shown.words[2:])
    while words[0] == "-f":
        assert (ROOT / words[1]).is_file()
        del words[:2]
    command, *rest = words
    told = told_by(str(COMPOSE), command, "--help")
    assert not [option for option in options_of(tuple(rest)) if not has(told, option)]
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert not [word for word in rest if not word.startswith("-") and word not in services]


@pytest.mark.parametrize("shown", of("claude mcp"), ids=str)
def test_claude_code_takes_the_command_as_it_stands(shown: Shown, tmp_path: Path) -> None:
    said = subprocess.run(
        [str(CLAUDE), *shown.words[1:]],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    assert shown.words[-1] in (tmp_path / ".claude.json").read_text()


@pytest.mark.parametrize("shown", of("curl"), ids=str)
def test_curl_is_asked_for_nothing_else(shown: Shown) -> None:
    assert set(options_of(shown.words)) <= CURL


@pytest.mark.parametrize("shown", of("cp"), ids=str)
def test_what_is_copied_is_here(shown: Shown) -> None:
    assert (ROOT / shown.words[1]).is_file()


@pytest.mark.parametrize("shown", of("export"), ids=str)
def test_what_is_exported_is_a_setting(shown: Shown) -> None:
    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    for word in shown.words[1:]:
        assert f"`{word.partition('=')[0]}`" in page
