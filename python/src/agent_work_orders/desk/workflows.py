"""The operator's workflows: `workflows/*.yaml` in the configuration directory, read strictly, kept when they break."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import anyio
import yaml
from anyio import to_thread

from ..domain.composition import MAX_STEPS, composed, problem_of
from ..domain.gates import gate_places
from ..domain.grammar import name_problem, text_problem
from ..domain.repository import branch_problem
from ..domain.workflow import BUILT_IN, BUILT_IN_STEPS, Gate, StepKind, StepPlan, Workflow, Workflows
from .files import BrokenFile, compose

logger = logging.getLogger("archon.awo")

LOOK_EVERY = 3.0
MAX_FILES = 100
MAX_SIZE = 64 * 1024
MAX_TEXT = 500
_KEYS = ("name", "explanation", "branch_prefix", "approval", "steps")
_STEP_KEYS = ("step", "command", "explanation", "read_only")


@dataclass
class _Watched:
    seen: object = None
    workflow: Workflow | None = None
    problem: str | None = None


class WorkflowFiles:
    """The workflows in force. `look` and `run` read what changed; a file that breaks keeps its last good workflow.

    `commands` is the folder of the operator's command files, asked for at every look.
    """

    def __init__(self, folder: Path, commands: Callable[[], Path | None]) -> None:
        self._folder, self._commands = folder, commands
        self._watched: dict[Path, _Watched] = {}
        self._folder_problem: str | None = None
        self._current = Workflows()

    def current(self) -> Workflows:
        return self._current

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await anyio.sleep(LOOK_EVERY)
            await to_thread.run_sync(self.look)

    def look(self) -> bool:
        """Whether anything changed. Blocks for microseconds when nothing did."""
        before = self._current
        commands = self._commands()
        paths = self._paths()
        self._watched = {path: self._watched.get(path, _Watched()) for path in paths}
        for path, watched in self._watched.items():
            seen = (_signature(path), _signature(commands) if commands else None)
            if seen != watched.seen:
                watched.seen = seen
                try:
                    watched.workflow, watched.problem = read_workflow(path, commands), None
                except BrokenFile as error:
                    watched.problem = str(error)
        self._current = self._together()
        for problem in self._current.problems:
            if problem not in before.problems:
                logger.warning("Workflows: %s", problem)
        return self._current != before

    def _paths(self) -> list[Path]:
        self._folder_problem = None
        try:
            found = sorted(path for path in self._folder.iterdir() if path.suffix in (".yaml", ".yml"))
        except FileNotFoundError:
            return []
        except OSError as error:
            self._folder_problem = f"{self._folder}: it cannot be read ({error.strerror})"
            return list(self._watched)
        if len(found) > MAX_FILES:
            self._folder_problem = f"{self._folder}: only the first {MAX_FILES} of {len(found)} files are read"
        return found[:MAX_FILES]

    def _together(self) -> Workflows:
        by_name: dict[str, Workflow] = {}
        problems = [self._folder_problem] if self._folder_problem else []
        for path, watched in self._watched.items():
            if watched.problem:
                problems.append(watched.problem)
            workflow = watched.workflow
            if workflow is None:
                continue
            if workflow.name in by_name:
                problems.append(f"{path}: {by_name[workflow.name].source} has a workflow {workflow.name} already")
                continue
            by_name[workflow.name] = workflow
        return Workflows(tuple(by_name.values()), tuple(problems))


def read_workflow(path: Path, commands: Path | None) -> Workflow:
    """The workflow of a file. BrokenFile names the first line that is wrong."""
    root = compose(path, MAX_SIZE)
    if root is None:
        raise BrokenFile(str(path), "it is empty")
    fields = _fields(path, root, _KEYS)
    if "steps" not in fields:
        raise BrokenFile(_where(path, root), "it has no `steps`")
    name = _text(path, fields["name"]) if "name" in fields else path.stem
    at = fields.get("name", root)
    if problem := name_problem(name):
        raise BrokenFile(_where(path, at), f"the workflow's name {problem}")
    if name in BUILT_IN:
        raise BrokenFile(_where(path, at), f"{name} is a built-in workflow; take another name")
    steps = _steps(path, fields["steps"], commands)
    explanation = _text(path, fields["explanation"]) if "explanation" in fields else f"The operator's workflow {name}."
    return Workflow(
        name=name,
        explanation=explanation,
        steps=steps,
        branch_prefix=_prefix(path, fields["branch_prefix"]) if "branch_prefix" in fields else "awo/",
        approval_gates=_gates(path, fields["approval"], steps) if "approval" in fields else frozenset(),
        source=path.name,
    )


def _steps(path: Path, node: yaml.Node, commands: Path | None) -> tuple[StepPlan, ...]:
    items = _items(path, node, "steps are a list")
    if not 1 <= len(items) <= MAX_STEPS:
        raise BrokenFile(_where(path, node), f"a workflow has 1 to {MAX_STEPS} steps")
    steps = [_step(path, item, commands) for item in items]
    if problem := problem_of(steps):
        place, what = problem
        raise BrokenFile(_where(path, items[place]), what)
    return composed(steps)


def _step(path: Path, node: yaml.Node, commands: Path | None) -> StepPlan:
    fields: Mapping[str, yaml.Node] = {"step": node}
    if isinstance(node, yaml.MappingNode):
        fields = _fields(path, node, _STEP_KEYS)
        if "step" not in fields:
            raise BrokenFile(_where(path, node), "a step has a name: `step: …`")
    name = _text(path, fields["step"])
    if problem := name_problem(name):
        raise BrokenFile(_where(path, fields["step"]), f"the step's name {problem}")
    known = BUILT_IN_STEPS.get(name)
    for key, at in fields.items():
        if known is not None and (key == "read_only" or (key == "command" and known.kind is StepKind.SERVER)):
            raise BrokenFile(_where(path, at), f"{key} of the built-in step {name} cannot be changed")
    command = _text(path, fields["command"]) if "command" in fields else None
    if known is None or command is not None:
        _must_exist(path, fields.get("command", fields["step"]), command or name, commands)
    explanation = _text(path, fields["explanation"]) if "explanation" in fields else None
    return StepPlan(
        name=name,
        kind=known.kind if known else StepKind.AGENT,
        explanation=explanation or (known.explanation if known else f"The agent follows {command or name}.md."),
        command=command,
        read_only=known.read_only if known else _flag(path, fields["read_only"]) if "read_only" in fields else False,
    )


def _must_exist(path: Path, node: yaml.Node, command: str, commands: Path | None) -> None:
    if problem := name_problem(command):
        raise BrokenFile(_where(path, node), f"the command's name {problem}")
    built_in = resources.files(__package__.rpartition(".")[0]).joinpath("commands", f"{command}.md")
    if not built_in.is_file() and not (commands is not None and (commands / f"{command}.md").is_file()):
        raise BrokenFile(_where(path, node), f"there is no command file {command}.md in {commands}")


def _prefix(path: Path, node: yaml.Node) -> str:
    prefix = _text(path, node)
    if len(prefix) > 40 or branch_problem(f"{prefix}x"):
        raise BrokenFile(_where(path, node), "branch_prefix must be the beginning of a branch's name, such as `docs/`")
    return prefix


def _gates(path: Path, node: yaml.Node, steps: tuple[StepPlan, ...]) -> frozenset[Gate]:
    there = gate_places(steps)
    gates = set()
    for item in _items(path, node, f"approval is a list of: {', '.join(Gate)}"):
        word = _text(path, item)
        if word not in list(Gate):
            raise BrokenFile(_where(path, item), f"approval is a list of: {', '.join(Gate)}")
        if Gate(word) not in there:
            raise BrokenFile(_where(path, item), f"this workflow has no place for the approval {word}")
        gates.add(Gate(word))
    return frozenset(gates)


def _fields(path: Path, node: yaml.Node, known: tuple[str, ...]) -> dict[str, yaml.Node]:
    """Keys and values of a mapping; none is unknown and none stands there twice."""
    if not isinstance(node, yaml.MappingNode):
        raise BrokenFile(_where(path, node), f"it is written as `name: value`; names are {', '.join(known)}")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        word = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
        if word not in known:
            raise BrokenFile(_where(path, key), f"there is no {word[:60]!r}; names are {', '.join(known)}")
        if word in found:
            raise BrokenFile(_where(path, key), f"{word!r} stands there twice")
        found[word] = value
    return found


def _items(path: Path, node: yaml.Node, what: str) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise BrokenFile(_where(path, node), what)
    return list(node.value)


def _text(path: Path, node: yaml.Node) -> str:
    text = str(node.value).strip() if isinstance(node, yaml.ScalarNode) else ""
    if not text or text_problem(text, MAX_TEXT) or not text.replace("\n", " ").isprintable():
        raise BrokenFile(_where(path, node), f"here must be a text of at most {MAX_TEXT} bytes")
    return text


def _flag(path: Path, node: yaml.Node) -> bool:
    if not isinstance(node, yaml.ScalarNode) or str(node.value).lower() not in ("true", "false"):
        raise BrokenFile(_where(path, node), "here must be `true` or `false`")
    return str(node.value).lower() == "true"


def _where(path: Path, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _signature(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    return found.st_mtime_ns, found.st_size, found.st_ino
