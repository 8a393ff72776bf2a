"""The README and the plugin's map say what is on the disk and in the code, both ways."""

import ast
import re
from pathlib import Path

import pytest

from . import repository
from .repository import MAP, PLUGIN, README, ROOT, fenced, relative, section, table_rows, tree_paths

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BACKTICKED = re.compile(r"`([^`]+)`")


def defined_names(path: Path) -> set[str]:
    """Names that a module defines, with members of its classes as `Class.member`."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names |= _names(node)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{member}" for inner in node.body for member in _names(inner)}
    return names


def _names(node: ast.stmt) -> set[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
    return set()


def resolves(reference: str) -> bool:
    """Whether `room.module.Name.member` (without `src.agent_work_orders`) is a module of ours or a name in one."""
    parts = reference.split(".")
    for length in range(len(parts), 0, -1):
        module = PLUGIN.joinpath(*parts[:length])
        path = module.with_suffix(".py") if module.with_suffix(".py").is_file() else module / "__init__.py"
        if path.is_file():
            rest = ".".join(parts[length:])
            return not rest or rest in defined_names(path)
    return False


def store_verbs() -> set[str]:
    """The public methods of the `Store` Protocol."""
    return {
        name.removeprefix("Store.")
        for name in defined_names(PLUGIN / "ports.py")
        if name.startswith("Store.") and not name.startswith("Store._")
    }


def glossary() -> list[list[str]]:
    return table_rows(section(MAP.read_text(encoding="utf-8"), "Glossary"))


@pytest.mark.parametrize("document", [README, MAP], ids=relative)
def test_every_path_in_a_tree_is_on_the_disk(document: Path) -> None:
    named = tree_paths(document.read_text(encoding="utf-8"))
    assert named, "the document has no ```tree block"
    paths = {name: document.parent / name for name in named}
    assert not [name for name, path in paths.items() if not path.exists()]
    assert not [name for name, path in paths.items() if path.is_dir() != name.endswith("/")], "a folder ends in /"


def test_the_readme_names_everything_at_the_top() -> None:
    named = {name.split("/")[0] for name in tree_paths(README.read_text(encoding="utf-8"))}
    there = {path.relative_to(ROOT).parts[0] for path in repository.files()}
    assert there - named <= {"README.md", "LICENSE", ".gitignore"}


def test_the_map_names_every_room_and_module_of_the_plugin() -> None:
    named = {name.split("/")[0] for name in tree_paths(MAP.read_text(encoding="utf-8"))}
    there = {path.relative_to(PLUGIN).parts[0] for path in repository.files() if path.is_relative_to(PLUGIN)}
    assert there - {"README.md", "__init__.py"} <= named


def test_the_map_draws_the_layers_that_the_linter_enforces() -> None:
    lines = "\n".join(fenced(MAP.read_text(encoding="utf-8"), "layers")).splitlines()
    drawn = [" ".join(line.split()) for line in lines]
    contracts = repository.pyproject()["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    assert [line for line in drawn if line] == layers


def test_every_word_of_the_glossary_points_at_code_that_exists() -> None:
    rows = glossary()
    assert rows, "the map has no table under `## Glossary`"
    assert all(len(row) == 3 for row in rows), "a row is: word, where in the code, meaning"
    missing = [where for row in rows for where in BACKTICKED.findall(row[1]) if not resolves(where)]
    assert not missing
    assert not [row[0] for row in rows if not BACKTICKED.findall(row[1])], "words that point nowhere"


def test_every_verb_of_the_store_is_in_the_glossary() -> None:
    pointed_at = {where for row in glossary() for where in BACKTICKED.findall(row[1])}
    assert store_verbs(), "ports.py has no Store"
    assert {f"ports.Store.{verb}" for verb in store_verbs()} <= pointed_at


def slugs(text: str) -> set[str]:
    """What a link may name of a page: its headings, as GitHub writes them."""
    prose = re.sub(r"^```.*?^```\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+?)\s*$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_somewhere() -> None:
    dead = []
    for document, text in repository.texts(".md"):
        if document.is_relative_to(PLUGIN / "commands"):
            continue  # prompts speak of another repository
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, heading = target.partition("#")
            path = document.parent / name if name else document
            if not path.exists() or (heading and heading not in slugs(path.read_text(encoding="utf-8"))):
                dead.append(f"{relative(document)}: {target}")
    assert not dead
