import json
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from src.agent_work_orders.rehearsal.scenario import ApiError, Asked, Fault, Scenario, Turn, Words


def asked(prompt: str, *, said: str = "", cwd: str = "/home/someone/greeter") -> Asked:
    return Asked(prompt=prompt, said=said or prompt, cwd=cwd, model="claude-sonnet-5-5")


def chosen(scenario: Scenario, question: Asked) -> str | None:
    found = scenario.choose(question)
    return found[0].name if found else None


def test_the_first_script_whose_conditions_all_hold_answers() -> None:
    scenario = Scenario.read(
        {
            "scripts": [
                {"name": "elsewhere", "match": "plan", "cwd": "/other$", "turns": [{"text": "a"}]},
                {"name": "later", "match": "plan", "conversation": "earlier words", "turns": [{"text": "b"}]},
                {"name": "first", "match": "PLAN.*end", "turns": [{"text": "c"}]},
                {"name": "second", "match": "plan", "turns": [{"text": "d"}]},
            ]
        }
    )

    assert chosen(scenario, asked("a plan\nwith an end")) == "first"
    assert chosen(scenario, asked("a plan", said="earlier words\na plan")) == "later"
    assert chosen(scenario, asked("a plan", cwd="/the/other")) == "elsewhere"
    assert chosen(scenario, asked("something else")) is None


@pytest.mark.parametrize(
    ("after", "beyond"), [("error", None), ("repeat", Turn(text="b")), ("stop", Turn(text="Done."))]
)
def test_a_script_says_what_comes_after_its_last_turn(after: str, beyond: Turn | None) -> None:
    script = Scenario.read({"scripts": [{"turns": [{"text": "a"}, {"text": "b"}], "after": after}]}).scripts[0]

    assert script.turn(1) == Turn(text="b")
    assert script.turn(2) == beyond


def test_a_turn_fails_as_often_as_it_says_and_answers_then() -> None:
    turn = Turn.model_validate({"text": "at last", "error": 529, "times": 2})

    failures = [turn.failure(attempt=attempt, streamed=True) for attempt in (1, 2, 3)]

    assert failures == [ApiError(status=529), ApiError(status=529), None]


def test_what_breaks_inside_a_stream_spares_an_unstreamed_request() -> None:
    truncated = Turn.model_validate({"text": "all of it", "fault": "truncate"})
    hanging = Turn.model_validate({"text": "never", "fault": "hang"})

    assert truncated.failure(attempt=1, streamed=True) == Fault(kind="truncate")
    assert truncated.failure(attempt=1, streamed=False) is None
    assert hanging.failure(attempt=1, streamed=False) == Fault(kind="hang")


def test_placeholders_are_filled_once_and_never_in_what_they_brought() -> None:
    match = re.search(r"add (?P<what>.*)", "add {{cwd}}")
    words = Words(prompt="the prompt", cwd="/here", last_tool_result="it said", match=match)

    filled = words.fill(
        {"a": ["{{group.what}} in {{cwd}}", "{{group.1}}{{group.9}}"], "b": "{{last_tool_result}}", "n": 3}
    )

    assert filled == {"a": ["{{cwd}} in /here", "{{cwd}}"], "b": "it said", "n": 3}
    assert words.fill("{{prompt}} {{index}} {{unknown}}", index=7) == "the prompt 7 {{unknown}}"


@pytest.mark.parametrize(
    "turn",
    [
        {},
        {"input": {"a": 1}},
        {"text": "a", "surprise": 1},
        {"content": [{"text": "a", "tool": "Bash"}]},
        {"error": 200},
        {"fault": "explode"},
        {"text": "a", "times": 0},
    ],
)
def test_a_scenario_that_says_nonsense_is_refused(turn: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Scenario.read({"scripts": [{"turns": [turn]}]})


def test_an_expression_that_does_not_compile_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="not a regular expression"):
        Scenario.read({"scripts": [{"match": "(", "turns": [{"text": "a"}]}]})


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    file.write_text(json.dumps({"name": "from a file", "scripts": [{"turns": [{"text": "a"}]}]}))

    assert Scenario.read(file).name == "from a file"
    assert Scenario.read(Scenario.read(file)) == Scenario.read(file)
