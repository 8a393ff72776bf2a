"""Prompts: each place filled once, with literal text, from a command file that may be the operator's."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.workflow.prompts import PLACES, fill, load_command

from ..fakes import Bench, nothing, open_bench

COMMANDS = ["planning", "execute", "prp-review", "repair", "follow-up"]


@pytest.mark.anyio
@pytest.mark.parametrize("command", COMMANDS)
async def test_every_agent_step_has_a_built_in_command_with_known_places(command: str) -> None:
    assert "{{" in await load_command(command, None)


@given(st.dictionaries(st.sampled_from(sorted(PLACES)), st.text()))
def test_a_value_stands_in_its_place_letter_by_letter(values: dict[str, str]) -> None:
    template = "<" + "|".join(f"{{{{{name}}}}}" for name in values) + ">"
    assert fill(template, values) == "<" + "|".join(values.values()) + ">"


def test_what_a_value_holds_is_never_looked_at_again() -> None:
    values = {"user_request": r"{{plan}} \1 \g<0> %s {0}", "plan": "{{user_request}}"}
    assert fill("{{ user_request }} / {{plan}}", values) == r"{{plan}} \1 \g<0> %s {0} / {{user_request}}"


@pytest.mark.anyio
async def test_the_operators_file_comes_before_ours(tmp_path: Path) -> None:
    (tmp_path / "planning.md").write_text("Plan {{user_request}}, and mind {{ not a place }} and {{Upper}}.")
    assert (await load_command("planning", tmp_path)).startswith("Plan {{user_request}}")
    assert await load_command("execute", tmp_path) == await load_command("execute", None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Do {{everything}} and {{something}}.", "unknown places: everything, something"),
        (b"\xff\xfe", "cannot be read: UnicodeDecodeError"),
    ],
)
async def test_a_command_file_that_cannot_be_used_says_what_to_do(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "planning.md").write_bytes(content)
    with pytest.raises(StepFailed) as failed:
        await load_command("planning", tmp_path)
    assert says in failed.value.message
    assert "planning.md" in failed.value.next_action
    assert failed.value.failure_class is FailureClass.INTERNAL


@pytest.mark.anyio
async def test_a_bad_command_file_fails_the_order_and_not_the_server(tmp_path: Path) -> None:
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "planning.md").write_text("{{nonsense}}")
    async with open_bench(tmp_path, commands_dir=tmp_path / "commands") as bench:
        order_id = await bench.file()
        await bench.run()
        order = await bench.order(order_id)
        assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.INTERNAL)
        assert "unknown places: nonsense" in (order.error_message or "")


@pytest.mark.anyio
async def test_an_issues_text_is_asked_for_only_where_it_has_a_place_and_is_data(bench: Bench, tmp_path: Path) -> None:
    bench.agent.script = [nothing]
    await bench.file(github_issue_number=7, workflow_type="plan_only")
    await bench.run()
    prompt = bench.agent.turns[0].prompt
    assert "#7 It is broken\n\nSee {{plan}} and fix." in prompt
    await bench.file(workflow_type="plan_only", working_subdir="packages/web")
    await bench.run()
    prompt = bench.agent.turns[1].prompt
    assert "(none)" in prompt
    assert "packages/web" in prompt
