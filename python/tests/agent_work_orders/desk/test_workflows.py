"""The operator's workflows: what may stand in a file, what is refused with its line, and what holds meanwhile."""

from pathlib import Path

import pytest

from src.agent_work_orders.desk.files import BrokenFile
from src.agent_work_orders.desk.workflows import MAX_FILES, WorkflowFiles, read_workflow
from src.agent_work_orders.domain.workflow import BUILT_IN, Gate, StepKind, Workflow

WHOLE = """\
# Documentation has its own way.
name: docs
explanation: Writes documentation.
branch_prefix: docs/
approval: [plan, push]
steps:
  - create-branch
  - step: look
    command: look-around
    read_only: true
    explanation: The agent reads what there is.
  - write-docs
  - step: prp-review
    command: look-around
  - verify
  - commit
  - create-pr
"""


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    folder = tmp_path / "commands"
    folder.mkdir()
    for name in ("look-around", "write-docs"):
        (folder / f"{name}.md").write_text("{{user_request}}")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "workflows"
    made.mkdir()
    return made


@pytest.fixture
def files(folder: Path, commands: Path) -> WorkflowFiles:
    return WorkflowFiles(folder, lambda: commands)


def read(folder: Path, commands: Path | None, text: str) -> Workflow:
    path = folder / "mine.yaml"
    path.write_text(text)
    return read_workflow(path, commands)


def steps(*lines: str) -> str:
    return "steps:\n" + "".join(f"  - {line}\n" for line in lines)


def names(files: WorkflowFiles) -> list[str]:
    return [workflow.name for workflow in files.current().own]


def test_a_file_holds_a_workflow(folder: Path, commands: Path) -> None:
    found = read(folder, commands, WHOLE)
    assert (found.name, found.explanation, found.branch_prefix) == ("docs", "Writes documentation.", "docs/")
    assert (found.source, found.approval_gates) == ("mine.yaml", frozenset(Gate))
    assert [(step.name, step.kind, step.command_name, step.read_only) for step in found.steps] == [
        ("create-branch", StepKind.SERVER, None, False),
        ("look", StepKind.AGENT, "look-around", True),
        ("write-docs", StepKind.AGENT, "write-docs", False),
        ("prp-review", StepKind.AGENT, "look-around", False),
        ("verify", StepKind.SERVER, None, False),
        ("commit", StepKind.SERVER, None, False),
        ("create-pr", StepKind.SERVER, None, False),
    ]
    needs = {step.name: set(step.needs) for step in found.steps}
    assert needs["write-docs"] == {"create-branch"}
    assert needs["verify"] == needs["commit"] == needs["prp-review"] == {"write-docs"}
    assert needs["create-pr"] == {"commit"}


def test_little_is_enough(folder: Path, commands: Path) -> None:
    found = read(folder, None, steps("planning"))
    assert (found.name, found.branch_prefix, found.approval_gates) == ("mine", "awo/", frozenset())
    assert found.steps[0].read_only
    assert found.explanation


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", None, "empty"),
        ("- a\n", 1, "names are"),
        ("name: x\n", 1, "no `steps`"),
        ("name: x\nsteps: planning\n", 2, "steps are a list"),
        ("steps: []\n", 1, "1 to 20 steps"),
        (steps(*["planning"] * 21), 2, "1 to 20 steps"),
        ("name: [\n", 2, "no YAML"),
        ("name: quick_fix\n" + steps("planning"), 1, "built-in workflow"),
        ("name: Not A Name\n" + steps("planning"), 1, "lower-case"),
        ("name: ../x\n" + steps("planning"), 1, "lower-case"),
        ("stepps: []\n", 1, "there is no 'stepps'"),
        (steps("planning") + "name: a\nname: b\n", 4, "twice"),
        (steps("planning") + "branch_prefix: ../x\n", 3, "branch_prefix"),
        (steps("planning") + "branch_prefix: -x\n", 3, "branch_prefix"),
        (steps("planning") + "explanation: [a]\n", 3, "must be a text"),
        (steps("planning") + "approval: push\n", 3, "approval is a list"),
        (steps("planning") + "approval: [ever]\n", 3, "approval is a list"),
        (steps("planning") + "approval: [push]\n", 3, "no place for the approval push"),
        (steps("planning", "{step: planning}"), 3, "twice"),
        (steps("create-branch", "verify"), 3, "in which the agent changes something"),
        (steps("create-branch", "prp-review"), 3, "in which the agent changes something"),
        (steps("execute"), 2, "needs create-branch"),
        (steps("create-branch", "execute", "commit"), 4, "needs verify"),
        (steps("create-branch", "execute", "verify", "create-pr"), 5, "needs commit"),
        (steps("create-branch", "execute", "verify", "write-docs"), 5, "has to stand before verify"),
        (steps("create-branch"), 2, "no step is the agent's"),
        (steps("planning", "deploy"), 3, "no command file deploy.md"),
        (steps("planning", "{step: deploy, command: ../../etc/passwd}"), 3, "the command's name"),
        (steps("planning", "{command: write-docs}"), 3, "a step has a name"),
        (steps("planning", "{step: write-docs, read_only: perhaps}"), 3, "true"),
        (steps("{step: planning, read_only: false}"), 2, "cannot be changed"),
        (steps("planning", "{step: create-branch, command: write-docs}"), 3, "cannot be changed"),
        (steps("planning", "{step: Do It}"), 3, "the step's name"),
        (steps("planning", "[a, b]"), 3, "must be a text"),
    ],
    ids=lambda value: None if isinstance(value, str) and "\n" in value else str(value).replace(" ", "-"),
)
def test_a_mistake_is_named_with_its_line(folder: Path, commands: Path, text: str, line: int | None, says: str) -> None:
    with pytest.raises(BrokenFile) as broken:
        read(folder, commands, text)
    assert says in broken.value.problem
    assert broken.value.where == f"{folder / 'mine.yaml'}{'' if line is None else f':{line}'}"


def test_what_is_no_text_or_too_large_is_refused(folder: Path) -> None:
    path = folder / "mine.yaml"
    for raw, says in ((b"\xff\xfe\xff", "UTF-8"), (b"# " + b"x" * 70_000, "larger than")):
        path.write_bytes(raw)
        with pytest.raises(BrokenFile, match=says):
            read_workflow(path, None)


def test_an_alias_bomb_costs_nothing(folder: Path) -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(15)
    )
    with pytest.raises(BrokenFile, match="there is no 'a'"):
        read(folder, None, bomb)


def test_without_a_folder_there_are_the_built_in_ones(tmp_path: Path) -> None:
    files = WorkflowFiles(tmp_path / "nowhere", lambda: None)
    assert not files.look()
    assert [workflow.name for workflow in files.current()] == list(BUILT_IN)
    assert files.current().problems == ()


def test_files_are_found_changed_and_taken_away_while_the_server_runs(files: WorkflowFiles, folder: Path) -> None:
    assert not files.look()
    (folder / "one.yaml").write_text(steps("planning"))
    (folder / "two.yml").write_text("name: second\n" + steps("planning"))
    (folder / "notes.txt").write_text("no workflow")
    assert files.look()
    assert names(files) == ["one", "second"]
    assert not files.look()
    (folder / "one.yaml").write_text("name: renamed\n" + steps("planning"))
    assert files.look()
    assert names(files) == ["renamed", "second"]
    (folder / "two.yml").unlink()
    assert files.look()
    assert names(files) == ["renamed"]


def test_a_file_that_breaks_keeps_its_last_good_workflow_and_is_named(
    files: WorkflowFiles, folder: Path, commands: Path
) -> None:
    path = folder / "one.yaml"
    path.write_text(steps("planning"))
    files.look()
    path.write_text("name: one\nsteps: [nonsense, more]\n")
    assert files.look()
    assert names(files) == ["one"]
    assert files.current().problems == (f"{path}:2: there is no command file nonsense.md in {commands}",)
    path.write_text(steps("create-branch", "look-around"))
    assert files.look()
    assert (names(files), files.current().problems) == (["one"], ())


def test_a_file_that_was_never_good_is_named_and_holds_up_nobody(files: WorkflowFiles, folder: Path) -> None:
    (folder / "bad.yaml").write_text("steps: [")
    (folder / "good.yaml").write_text(steps("planning"))
    files.look()
    assert names(files) == ["good"]
    assert len(files.current().problems) == 1


def test_a_command_file_that_comes_later_makes_the_workflow_good(
    files: WorkflowFiles, folder: Path, commands: Path
) -> None:
    (folder / "one.yaml").write_text(steps("create-branch", "deploy"))
    files.look()
    assert names(files) == []
    (commands / "deploy.md").write_text("{{user_request}}")
    files.look()
    assert (names(files), files.current().problems) == (["one"], ())


def test_of_two_files_with_one_name_the_first_holds_and_the_second_is_named(files: WorkflowFiles, folder: Path) -> None:
    (folder / "a.yaml").write_text("name: same\nexplanation: The first.\n" + steps("planning"))
    (folder / "b.yaml").write_text("name: same\n" + steps("planning"))
    files.look()
    assert [workflow.explanation for workflow in files.current().own] == ["The first."]
    assert "a.yaml has a workflow same already" in files.current().problems[0]


def test_more_files_than_anybody_needs_are_not_read(files: WorkflowFiles, folder: Path) -> None:
    for number in range(MAX_FILES + 1):
        (folder / f"w{number:03}.yaml").write_text(steps("planning"))
    files.look()
    assert len(names(files)) == MAX_FILES
    assert "only the first" in files.current().problems[0]


def test_a_link_that_leads_nowhere_is_named(files: WorkflowFiles, folder: Path) -> None:
    (folder / "lost.yaml").symlink_to(folder / "nowhere")
    files.look()
    assert "lost.yaml: it cannot be read" in files.current().problems[0]
