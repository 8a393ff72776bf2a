"""How a repository is checked: what is found in it, whoever wrote it, and what is not followed."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from src.agent_work_orders.workflow.verify import find_check

MAKE_TEST, MAKE_CHECK = ("make", "test"), ("make", "check")
NPM, PYTEST = ("npm", "test"), ("python3", "-m", "pytest")
CARGO, GO = ("cargo", "test"), ("go", "test", "./...")


def package(**scripts: object) -> str:
    return json.dumps({"name": "x", "scripts": scripts})


@pytest.mark.parametrize(
    ("files", "argv"),
    [
        ({}, None),
        ({"README.md": "make test"}, None),
        # make
        ({"Makefile": "test:\n\ttrue\n"}, MAKE_TEST),
        ({"Makefile": "test: build\n\ttrue\n"}, MAKE_TEST),
        ({"Makefile": "test :\n"}, MAKE_TEST),
        ({"Makefile": "test::\n"}, MAKE_TEST),
        ({"Makefile": "lint test types: deps\n"}, MAKE_TEST),
        ({"Makefile": "check:\n"}, MAKE_CHECK),
        ({"Makefile": "check:\n\ttrue\ntest:\n\ttrue\n"}, MAKE_TEST),
        ({"makefile": "test:\n"}, MAKE_TEST),
        ({"GNUmakefile": "check:\n", "Makefile": "test:\n"}, MAKE_CHECK),
        ({"GNUmakefile": "all:\n", "Makefile": "test:\n"}, None),
        ({"Makefile": "all:\n"}, None),
        ({"Makefile": "test = 1\n"}, None),
        ({"Makefile": "test := 1\n"}, None),
        ({"Makefile": "test ::= 1\n"}, None),
        ({"Makefile": "test :::= 1\n"}, None),
        ({"Makefile": "\ttest:\n"}, None),
        ({"Makefile": "# test:\n"}, None),
        ({"Makefile": "all: test\n"}, None),
        ({"Makefile": ".PHONY: test\n"}, None),
        ({"Makefile": "tests:\nmytest:\ntest-all:\n"}, None),
        # npm
        ({"package.json": package(test="vitest run")}, NPM),
        ({"package.json": package(test='echo "Error: no test specified" && exit 1')}, None),
        ({"package.json": package(build="tsc")}, None),
        ({"package.json": package(test="")}, None),
        ({"package.json": package(test=5)}, None),
        ({"package.json": package(test=["a"])}, None),
        ({"package.json": '{"scripts": ["test"]}'}, None),
        ({"package.json": '{"scripts": null}'}, None),
        ({"package.json": "[1]"}, None),
        ({"package.json": '"scripts"'}, None),
        ({"package.json": "not json"}, None),
        ({"package.json": "[" * 200_000}, None),
        ({"package.json": package(test="jest"), "Makefile": "test:\n"}, MAKE_TEST),
        ({"package.json": package(test="jest"), "Makefile": "all:\n"}, NPM),
        # the rest
        ({"Cargo.toml": "[package]\n"}, CARGO),
        ({"go.mod": "module x\n"}, GO),
        ({"pyproject.toml": "[tool.pytest.ini_options]\n"}, PYTEST),
        ({"pyproject.toml": "[tool.ruff]\n"}, None),
        ({"setup.cfg": "[tool:pytest]\n"}, PYTEST),
        ({"tox.ini": "[pytest]\n"}, PYTEST),
        ({"pytest.ini": ""}, PYTEST),
        ({"conftest.py": ""}, PYTEST),
        ({"tests/test_x.py": ""}, PYTEST),
        ({"tests/readme.txt": ""}, None),
        ({"tests": "a file"}, None),
    ],
)
def test_a_check_is_found_by_what_the_repository_offers(
    tmp_path: Path, files: dict[str, str], argv: tuple[str, ...] | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = find_check(None, tmp_path)
    assert (found.argv if found else None) == argv


def test_the_operators_command_comes_first_and_goes_to_a_shell_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("test:\n")
    found = find_check("make lint && make 'test it'", tmp_path)
    assert found is not None
    assert found.argv == ("/bin/sh", "-c", "make lint && make 'test it'")
    assert (found.command, found.source) == ("make lint && make 'test it'", "AWO_VERIFY_COMMAND")


def test_it_says_what_it_found_and_where(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("check:\n")
    found = find_check("", tmp_path)
    assert found is not None
    assert (found.command, found.source) == ("make check", "Makefile: check")


def linked(path: Path, elsewhere: Path) -> None:
    elsewhere.write_text("test:\n")
    path.symlink_to(elsewhere)


ODD: dict[str, Callable[[Path, Path], object]] = {
    "a link out of the repository": linked,
    "a link to nowhere": lambda path, elsewhere: path.symlink_to(elsewhere),
    "a link to itself": lambda path, elsewhere: path.symlink_to(path),
    "a pipe": lambda path, elsewhere: os.mkfifo(path),
    "a directory": lambda path, elsewhere: path.mkdir(),
    "a huge file": lambda path, elsewhere: path.write_text("#" * (1 << 20) + "\ntest:\n"),
    "no text": lambda path, elsewhere: path.write_bytes(b"\xff\x00\xfe"),
    "one endless line": lambda path, elsewhere: path.write_text("a " * 500_000),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["Makefile", "package.json", "pyproject.toml"])
def test_what_an_agent_may_have_put_in_a_files_place_is_passed_over(tmp_path: Path, name: str, kind: str) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    ODD[kind](root / name, tmp_path / "elsewhere")
    assert find_check(None, root) is None


def test_tests_behind_a_link_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "test_x.py").touch()
    (tmp_path / "checkout").mkdir()
    (tmp_path / "checkout" / "tests").symlink_to(tmp_path / "elsewhere")
    assert find_check(None, tmp_path / "checkout") is None


def test_a_directory_that_is_gone_has_no_check(tmp_path: Path) -> None:
    assert find_check(None, tmp_path / "gone") is None
