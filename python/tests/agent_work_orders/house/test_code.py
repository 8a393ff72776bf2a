"""Manners that no linter of ours knows: reasons beside exceptions, relative imports, no waiting for time in tests."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from .repository import PLUGIN, PYTHON, files, relative

SOURCES = [path for path in files() if path.suffix == ".py" and path.is_relative_to(PYTHON)]
TESTS = [path for path in SOURCES if path.is_relative_to(PYTHON / "tests")]
ROOMS = [path for path in SOURCES if path.is_relative_to(PLUGIN)]

EXCEPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore|pragma:\s*no cover)", re.IGNORECASE)
WITH_REASON = re.compile(  # `++` and `*+` give nothing back, or a part of a code would pass for a word
    r"""
    \#\s* (?: noqa:\ [A-Z]++[0-9]++ (?:,?\ ?[A-Z]++[0-9]++)*+ | type:\ ignore\[[\w, -]+\] | pragma:\ no\ cover )
    \s* [-\#:]? \s* \w+\W+\w+  # at least two words
    """,
    re.VERBOSE,
)
RUNS_PROGRAMS = {"git", "is_dirty", "untracked_files", "archive"}  # of a GitPython Repo
SLEEPS = {"time.sleep", "anyio.sleep", "asyncio.sleep", "trio.sleep", "sleep"}


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def at(path: Path, line: int) -> str:
    return f"{relative(path)}:{line}"


def test_every_lint_exception_has_its_reason_on_its_line() -> None:
    bare = [
        f"{at(path, line)} {comment}"
        for path in SOURCES
        for line, comment in comments(path)
        if EXCEPTION.search(comment) and not WITH_REASON.search(comment)
    ]
    assert not bare, "write it as `# noqa: CODE - the reason` or `# type: ignore[code]  # the reason`"


def test_the_plugin_imports_itself_relatively_so_that_it_mounts_anywhere() -> None:
    absolute = [
        at(path, node.lineno)
        for path in ROOMS
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == "src")
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == "src" for alias in node.names))
    ]
    assert not absolute


def test_gitpython_is_never_asked_for_what_runs_a_program() -> None:
    asked = [
        f"{at(path, node.lineno)} .{node.attr}"
        for path in ROOMS
        if _imports(path, "git")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in RUNS_PROGRAMS
    ]
    assert not asked


def test_tests_wait_for_facts_and_not_for_time() -> None:
    slept = [
        at(path, node.lineno)
        for path in TESTS
        if not {"agents", "scripts"} & set(path.parts)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SLEEPS and not _is_excused(path, node)
    ]
    assert not slept, "poll for the fact and say so on the line: `# fact: the process is gone`"


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "common", "helpers", "manager", "base", "types", "misc"}
    # A name that administrators know from the first description of the product; there is nothing else in it.
    known = {"src/agent_work_orders/utils/__init__.py", "src/agent_work_orders/utils/cleanup.py"}
    found = [path for path in SOURCES if {path.stem, path.parent.name} & drawers]
    assert {path.relative_to(PYTHON).as_posix() for path in found} <= known


def _imports(path: Path, package: str) -> bool:
    return any(
        (isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] == package)
        or (isinstance(node, ast.Import) and any(alias.name.split(".")[0] == package for alias in node.names))
        for node in ast.walk(tree(path))
    )


def _is_excused(path: Path, node: ast.Call) -> bool:
    if node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0:
        return True  # gives way to others, waits for nothing
    return any(line == node.lineno and re.search(r"# fact: \w+", comment) for line, comment in comments(path))
