"""`agent-settings.yaml` and `config.yaml`: read strictly, looked at again and again, kept when they break."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..settings import Settings, catalogue, from_json
from .resolve import Filed

MAX_SIZE = 256 * 1024
# In `config.yaml` our settings stand under this key: the file may be shared.
SECTION = "agent_work_orders"


class BrokenFile(Exception):
    """A settings file that cannot be used. `where` is the path and, where there is one, the line."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where, self.problem = where, problem


@dataclass
class _Watched:
    path: Path
    section: str | None
    seen: tuple[int, int, int] | str | None = None
    values: dict[str, Filed] | None = None
    problem: str | None = None


class SettingsFiles:
    """Both files; what stands in `agent-settings.yaml` wins over `config.yaml`. All calls block, for microseconds."""

    def __init__(self, config: Path, home: Path) -> None:
        self._watched = [_Watched(config / "agent-settings.yaml", None), _Watched(home / "config.yaml", SECTION)]

    def look(self) -> bool:
        """Reads what changed since the last look; says whether anything did. What breaks keeps its last values."""
        changed = [self._look_at(one) for one in self._watched]
        return any(changed)

    @property
    def values(self) -> dict[str, Filed]:
        """The values in force."""
        merged: dict[str, Filed] = {}
        for one in reversed(self._watched):
            merged |= one.values or {}
        return merged

    @property
    def problems(self) -> list[str]:
        """What is wrong with the files as they are now, with path and line."""
        return [one.problem for one in self._watched if one.problem]

    def _look_at(self, one: _Watched) -> bool:
        try:
            found = one.path.stat()
            now: tuple[int, int, int] | str | None = (found.st_mtime_ns, found.st_size, found.st_ino)
        except FileNotFoundError:
            now = None
        except OSError as error:
            now = f"{error.strerror}"
        if now == one.seen and not (now is None and one.values is None):
            return False
        before = one.seen, one.values, one.problem
        one.seen = now
        if now is None:
            one.values, one.problem = {}, None
            return bool(before[1] or before[2])
        try:
            one.values, one.problem = read_file(one.path, one.section), None
        except BrokenFile as error:
            one.problem = str(error)
        return True


def read_file(path: Path, section: str | None) -> dict[str, Filed]:
    """The values of a file by setting. BrokenFile names the first line that is wrong, and never what stands there."""
    root = compose(path)
    with mistakes_named(path):
        return dict(_settings(path, _section(path, root, section)))


def compose(path: Path, max_size: int = MAX_SIZE) -> yaml.Node | None:
    """A file's YAML as nodes that know their lines; None for an empty one. BrokenFile when it cannot be had."""
    try:
        with path.open("rb") as file:
            raw = file.read(max_size + 1)
        text = raw.decode()
    except OSError as error:
        raise BrokenFile(str(path), f"it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise BrokenFile(str(path), "it is not UTF-8 text") from None
    if len(raw) > max_size:
        raise BrokenFile(str(path), f"it is larger than {max_size} bytes")
    with mistakes_named(path):
        root: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    return root


@contextmanager
def mistakes_named(path: Path) -> Iterator[None]:
    """What YAML itself does not like, as a BrokenFile with its line."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise BrokenFile(where, f"it is no YAML ({error.problem or error.context})") from None
    except (yaml.YAMLError, RecursionError):
        raise BrokenFile(str(path), "it is no YAML") from None


def _section(path: Path, root: yaml.Node | None, section: str | None) -> yaml.Node | None:
    if section is None or root is None:
        return root
    for key, value in _pairs(path, root):
        if key.value == section:
            return value
    return None


def _settings(path: Path, node: yaml.Node | None) -> Iterator[tuple[str, Filed]]:
    if node is None or _is_null(node):
        return
    for key, value in _pairs(path, node):
        where = f"{path}:{key.start_mark.line + 1}"
        if key.value not in Settings.model_fields:
            raise BrokenFile(where, f"there is no setting {key.value[:60]!r}")
        if "file" not in catalogue()[key.value].places:
            raise BrokenFile(where, f"{key.value} can only be set by the environment ({catalogue()[key.value].env})")
        if _is_null(value):
            continue
        try:
            yield key.value, Filed(from_json(key.value, _plain(value)), f"{path.name}:{key.start_mark.line + 1}")
        except ValueError as error:
            raise BrokenFile(where, f"{key.value} {error}") from None


def _pairs(path: Path, node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """Keys and values of a mapping; a key that stands there twice is refused: which of them is meant?"""
    if not isinstance(node, yaml.MappingNode):
        raise BrokenFile(f"{path}:{node.start_mark.line + 1}", "settings are written as `name: value`")
    seen: set[str] = set()
    for key, value in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        if not isinstance(key, yaml.ScalarNode):
            raise BrokenFile(where, "a setting's name is a word")
        if key.value in seen:
            raise BrokenFile(where, f"{key.value[:60]!r} stands there twice")
        seen.add(key.value)
        yield key, value


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _plain(node: yaml.Node) -> Any:
    """What a node means, in JSON's terms: `on` is no boolean, `012` and `1:30` are no numbers, a date is text."""
    if isinstance(node, yaml.SequenceNode):
        return [_plain(one) for one in node.value]
    if not isinstance(node, yaml.ScalarNode):
        raise ValueError("must not be a mapping")
    kind, text = node.tag.rpartition(":")[2], str(node.value)
    if kind == "bool" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and text.lstrip("+-").isdigit() and text.lstrip("+-") == str(int(text.lstrip("+-"))):
        return int(text)
    if kind == "float" and ":" not in text and "_" not in text:
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return text
