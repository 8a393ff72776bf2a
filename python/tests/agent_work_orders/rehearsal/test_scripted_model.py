import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage

from .conftest import asking


def one(turn: dict[str, Any]) -> dict[str, Any]:
    return {"scripts": [{"name": "only", "turns": [turn]}]}


def events(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line.startswith("data: ")]


def test_an_unstreamed_request_gets_the_turn_as_one_message(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "hello {{prompt}}"}))

    response = model.post("/v1/messages", json=asking("Ada"))

    assert response.status_code == 200
    assert response.headers["x-awo-rehearsal"] == "true"
    assert response.json()["content"] == [{"type": "text", "text": "hello Ada"}]
    assert response.json()["stop_reason"] == "end_turn"


def test_a_streamed_request_gets_the_turn_as_events(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "hello", "tool": "Bash", "input": {"command": "ls"}}))

    response = model.post("/v1/messages?beta=true", json=asking("Ada", stream=True))

    assert response.headers["content-type"].startswith("text/event-stream")
    assert [event["type"] for event in events(response)][-1] == "message_stop"
    assert stage.model.requests[0].script == "only"


def test_a_retry_gets_the_same_turn_and_a_resumed_session_the_next(stage: Stage, model: httpx.Client) -> None:
    stage.model.play({"scripts": [{"turns": [{"text": "one"}, {"text": "two"}]}]})
    first, later = asking("go"), asking("go", {"role": "assistant", "content": "one"})

    said = [model.post("/v1/messages", json=body).json()["content"][0]["text"] for body in (first, first, later)]

    assert said == ["one", "one", "two"]
    assert [request.step for request in stage.model.requests] == [0, 0, 1]


def test_a_prompt_that_no_script_answers_is_a_clear_error(stage: Stage, model: httpx.Client) -> None:
    stage.model.play({"scripts": [{"match": "known", "turns": [{"text": "a"}]}]})

    unknown = model.post("/v1/messages", json=asking("something else"))
    ended = model.post("/v1/messages", json=asking("known", {"role": "assistant", "content": "a"}))

    assert (unknown.status_code, ended.status_code) == (400, 400)
    assert unknown.json()["error"]["type"] == "invalid_request_error"
    assert "something else" in unknown.json()["error"]["message"]
    assert "turn 2" in ended.json()["error"]["message"]


def test_a_request_without_tools_gets_the_side_reply(stage: Stage, model: httpx.Client) -> None:
    stage.model.play({"side_reply": "A title", "scripts": [{"match": "known", "turns": [{"text": "a"}]}]})

    response = model.post("/v1/messages", json=asking("make a title", tools=[]))

    assert response.json()["content"][0]["text"] == "A title"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication_error"), (403, "permission_error"), (429, "rate_limit_error"), (529, "overloaded_error")],
)
def test_an_error_has_the_api_s_status_type_and_headers(
    stage: Stage, model: httpx.Client, status: int, kind: str
) -> None:
    stage.model.play(one({"error": {"status": status, "message": "no", "headers": {"retry-after": "7"}}}))

    response = model.post("/v1/messages", json=asking("go"))

    assert response.status_code == status
    assert response.json() == {"type": "error", "error": {"type": kind, "message": "no"}}
    assert response.headers["retry-after"] == "7"
    assert stage.model.requests[0].status == status


def test_a_failure_with_times_ends_for_each_conversation_on_its_own(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "at last", "error": 529, "times": 2}))

    for session in ("a", "b"):
        headers = {"x-claude-code-session-id": session}
        answers = [model.post("/v1/messages", json=asking("go"), headers=headers).status_code for _ in range(3)]
        assert answers == [529, 529, 200]

    assert [request.attempt for request in stage.model.requests] == [1, 2, 3, 1, 2, 3]


@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
def test_a_line_that_breaks_inside_a_stream_leaves_it_unfinished(stage: Stage, model: httpx.Client, kind: str) -> None:
    stage.model.play(one({"text": "all of it", "fault": {"kind": kind, "after_events": 2}}))

    with model.stream("POST", "/v1/messages", json=asking("go", stream=True)) as response:
        chunks = response.iter_raw()
        first = next(chunks)
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)

    assert first.startswith(b"event: message_start")
    assert model.post("/v1/messages", json=asking("go")).status_code == 200


def test_a_disconnect_comes_before_the_first_byte(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "never", "fault": "disconnect"}))

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        model.post("/v1/messages", json=asking("go", stream=True))


def test_a_malformed_an_empty_and_a_broken_stream_end_as_they_say(stage: Stage, model: httpx.Client) -> None:
    texts = {}
    for kind in ("malformed", "empty", "error_event"):
        stage.model.play(one({"text": "all of it", "fault": kind}))
        texts[kind] = model.post("/v1/messages", json=asking("go", stream=True)).text

    assert "{this is no JSON" in texts["malformed"]
    assert texts["empty"] == ""
    assert texts["error_event"].endswith('"error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n')


def test_a_hang_lasts_until_the_client_leaves(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "never", "fault": "hang"}))

    with pytest.raises(httpx.ReadTimeout):
        model.post("/v1/messages", json=asking("go", stream=True), timeout=0.2)

    assert stage.model.requests[0].fault == "hang"


def test_a_gate_holds_an_answer_until_it_is_released(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "at last", "gate": "door"}))
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(model.post, "/v1/messages", json=asking("go"))
        stage.model.wait_for_gate("door")
        assert not answer.done()

        stage.model.release("door")

        assert answer.result().json()["content"][0]["text"] == "at last"
    assert model.post("/v1/messages", json=asking("go")).status_code == 200


def test_waiting_for_what_does_not_come_says_so(stage: Stage) -> None:
    with pytest.raises(TimeoutError, match="0 of 1"):
        stage.model.wait_for_gate("door", seconds=0.01)
    with pytest.raises(TimeoutError, match="0 of 3"):
        stage.model.wait_for_requests(3, seconds=0.01)


def test_a_wrong_key_is_refused_and_the_right_one_never_kept(stage: Stage, model: httpx.Client) -> None:
    stage.model.play(one({"text": "hello"}))

    wrong = model.post("/v1/messages", json=asking("go"), headers={"x-api-key": "wrong"})
    bearer = {"authorization": f"Bearer {stage.anthropic_api_key}", "x-api-key": ""}
    right = model.post("/v1/messages", json=asking("go"), headers=bearer)

    assert wrong.status_code == 401
    assert wrong.json()["error"]["type"] == "authentication_error"
    assert right.status_code == 200
    stage.model.wait_for_requests(1)
    assert stage.anthropic_api_key not in repr(stage.model.requests)
    assert stage.model.requests[0].headers["authorization"] == "(hidden)"


def test_the_other_routes_answer_as_the_api_does(stage: Stage, model: httpx.Client) -> None:
    assert model.head("/").status_code == 200
    assert model.get("/health").json()["rehearsal"] is True
    assert model.get("/v1/models").json()["data"][0]["type"] == "model"
    assert model.post("/v1/messages/count_tokens", json=asking("go")).json()["input_tokens"] > 0
    assert model.get("/v1/nothing").status_code == 404
    assert model.post("/v1/messages", content=b"{").status_code == 400
    assert model.post("/v1/messages", content=b"[]").status_code == 400
    assert stage.model.requests == ()
