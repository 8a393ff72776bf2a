import json
from typing import Any

import pytest

from src.agent_work_orders.rehearsal.messages_api import Conversation, frame, read_conversation, reply, stream_events
from src.agent_work_orders.rehearsal.scenario import Turn, Words

from .conftest import asking

ANSWER = {"role": "assistant", "content": [{"type": "text", "text": "well"}]}
WORDS = Words(prompt="p", cwd="/c", last_tool_result="r")


def result(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": text}]}


def read(*messages: dict[str, Any]) -> Conversation:
    return read_conversation(asking("first prompt", *messages))


def test_the_step_counts_the_answers_since_the_latest_words_of_a_person() -> None:
    assert (read().asked.prompt, read().step) == ("first prompt", 0)
    assert read(ANSWER, result("a"), ANSWER, result("b")).step == 2
    resumed = read(ANSWER, result("a"), ANSWER, {"role": "user", "content": "second prompt"}, ANSWER, result("c"))
    assert (resumed.asked.prompt, resumed.step) == ("second prompt", 1)
    assert resumed.asked.said == "first prompt\nsecond prompt"


def test_an_answer_sent_back_in_pieces_is_one_answer() -> None:
    assert read(ANSWER, ANSWER, result("a")).step == 1


def test_reminders_and_tool_results_are_no_words_of_a_person() -> None:
    reminder = {"type": "text", "text": "<system-reminder>be\nkind</system-reminder>"}
    reminded = read(ANSWER, {"role": "user", "content": [reminder, *result("a")["content"]]})

    assert (reminded.asked.prompt, reminded.step) == ("first prompt", 1)


def test_a_prompt_beside_the_result_of_an_interrupted_tool_counts() -> None:
    said = [*result("interrupted")["content"], {"type": "text", "text": "go on"}]

    assert read(ANSWER, {"role": "user", "content": said}).asked.prompt == "go on"


def test_the_working_directory_and_the_last_tool_result_are_found() -> None:
    conversation = read(ANSWER, result("first"), ANSWER, result("second"))

    assert conversation.asked.cwd == "/somewhere/greeter"
    assert conversation.last_tool_result == "second"


def test_a_repeated_request_has_the_same_place_and_a_later_one_another() -> None:
    assert read(ANSWER).place == read(ANSWER).place
    assert read(ANSWER).place != read(ANSWER, result("a")).place


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": "hello"}, {"messages": [1]}])
def test_what_is_no_conversation_is_refused(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="messages"):
        read_conversation(body)


def test_a_reply_holds_all_blocks_in_order_with_its_usage() -> None:
    turn = Turn.model_validate(
        {
            "thinking": "hm",
            "text": "in {{cwd}}",
            "tool": "Bash",
            "input": {"command": "ls {{cwd}}"},
            "content": [{"text": "line {{index}}", "repeat": 2}],
            "usage": {"output_tokens": 7, "cache_read_input_tokens": 5},
        }
    )

    message = reply(turn, WORDS, model="m", prompt_tokens=11)

    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use", "text", "text"]
    assert message["content"][1]["text"] == "in /c"
    assert message["content"][2]["input"] == {"command": "ls /c"}
    assert [block["text"] for block in message["content"][3:]] == ["line 1", "line 2"]
    assert message["stop_reason"] == "tool_use"
    assert message["usage"]["input_tokens"] == 11
    assert message["usage"]["output_tokens"] == 7
    assert message["usage"]["cache_read_input_tokens"] == 5


def test_the_events_of_a_stream_add_up_to_the_reply() -> None:
    turn = Turn.model_validate({"thinking": "hm", "text": "well", "tool": "Bash", "input": {"command": "ls"}})
    message = reply(turn, WORDS, model="m", prompt_tokens=1)

    events = list(stream_events(message))

    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 3
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "input_json_delta",
    ]
    assert json.loads(deltas[-1]["partial_json"]) == {"command": "ls"}
    assert events[0]["message"]["content"] == []
    assert frame(events[-1]) == b'event: message_stop\ndata: {"type": "message_stop"}\n\n'
