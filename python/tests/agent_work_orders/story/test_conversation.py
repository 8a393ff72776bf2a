"""People who talk with an order: approvals, rejections and messages, with the real command line and real pushes."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from src.agent_work_orders.rehearsal import Stage

from ..postgres.project import Project
from .archon import Archon, Order, eventually
from .conftest import MakeRepository, Play, StartArchon
from .remote import Remote
from .scripts import WRITES_HELLO, Json, bash, executing, in_step, says

PLANS = in_step("planning", says("1. Write hello.txt."))
REVIEWS = in_step("prp-review", says("- Nothing to mend."))
GOES_ON = in_step("follow-up", bash("echo good day > hello.txt"), says("More polite now."))


def asks(order: Order, gate: str, after_seq: int = 0) -> Json:
    """What the order asks, once it does."""
    order.until("order_waiting", after_seq, reason="approval")
    asked = order.now()["approval"]
    assert asked["gate"] == gate
    return asked  # type: ignore[no-any-return]  # it is JSON


def answer(order: Order, verb: str, asked: Json, user: str = "Ana", **body: Any) -> httpx.Response:
    address = f"/work-orders/{order.id}/{verb}"
    return order.client.post(address, json={"seq": asked["seq"], **body}, headers={"X-Archon-User": user})


def tell(order: Order, text: str, **headers: str) -> Json:
    answered = order.client.post(
        f"/work-orders/{order.id}/messages", json={"text": text, "author": "Ana"}, headers=headers
    )
    assert answered.status_code == 202, answered.text
    return answered.json()  # type: ignore[no-any-return]  # it is JSON


def carried_out(order: Order) -> Json:
    """The order once it is done and its agent has had every message."""

    def look() -> Json | None:
        now, messages = order.now(), order.client.get(f"/work-orders/{order.id}/messages").json()["messages"]
        delivered = all(message["delivered_at"] for message in messages)
        return now if delivered and now["status"] == "completed" else None

    done = eventually(look, within=30)
    assert done is not None
    return done


def prompts(stage: Stage, order: Order) -> str:
    return "\n".join(text for name, text in order.artifacts().items() if name.startswith("prompts-"))


def test_an_order_waits_for_a_yes_after_planning_and_before_the_push(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(PLANS, WRITES_HELLO, REVIEWS)
    order = archon.file(remote.url, workflow_type="agent_workflow_plan", requires_approval=True)
    assert order.now()["approval_gates"] == ["plan", "push"]

    plan = asks(order, "plan")
    assert plan["summary"] == "1. Write hello.txt."
    assert order.steps() == [("create-branch", "completed"), ("planning", "completed")]
    assert answer(order, "approve", plan, comment="Mind the line's end.").status_code == 202

    push = asks(order, "push", after_seq=plan["seq"])
    assert push["summary"].startswith("1 file, +1 -0. `make test` passed.")
    assert remote.branches() == ["main"]
    assert "> Mind the line's end." in prompts(archon.stage, order)
    assert answer(order, "approve", push, user="Ben").status_code == 202

    done = order.completed()
    assert (done["attempt"], done["approval"]) == (1, None)
    assert [(one["gate"], one["answer"], one["answered_by"][:3]) for one in done["approvals"]] == [
        ("plan", "approved", "Ana"),
        ("push", "approved", "Ben"),
    ]
    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"
    assert len(remote.pull_requests()) == 1


def test_a_push_that_is_sent_back_is_mended_and_one_that_is_rejected_goes_nowhere(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(WRITES_HELLO, GOES_ON)
    order = archon.file(remote.url, requires_approval=["push"])
    first = asks(order, "push")
    assert answer(order, "reject", first, again=True).status_code == 422
    assert answer(order, "reject", first, comment="More polite.", again=True).status_code == 202
    second = asks(order, "push", after_seq=first["seq"])
    assert "+good day" in order.diff()["hello.txt"]
    assert "> More polite." in prompts(archon.stage, order)

    answered = answer(order, "reject", second, comment="Leave it.")
    assert (answered.status_code, answered.json()["status"]) == (202, "failed")
    failed = order.failed("policy")
    assert "Ana" in failed["error_message"]
    assert remote.branches() == ["main"]
    assert "+good day" in order.diff()["hello.txt"]


def test_a_change_that_nothing_verifies_is_asked_once_too(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    play(WRITES_HELLO)
    remote = make_repository({"README.md": "# Words\n"})
    order = archon.file(remote.url, requires_approval=["push"])
    asked = asks(order, "push")
    assert "Not verified" in asked["summary"]
    assert answer(order, "approve", asked).status_code == 202
    order.follow(asked["seq"])
    assert (order.now()["status"], len(order.now()["approvals"])) == ("completed", 1)
    assert remote.read(order.now()["git_branch_name"], "hello.txt") == "hello"


def test_of_two_people_who_answer_at_once_one_wins_and_the_other_hears_who(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url, requires_approval=["push"])
    asked = asks(order, "push")

    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda one: answer(order, one[0], asked, one[1]), [("approve", "Ana"), ("reject", "Ben")])
        )

    won, lost = sorted(answers, key=lambda response: response.status_code)
    assert (won.status_code, lost.status_code) == (202, 409)
    told = lost.json()
    winner, verdict = (
        ("Ana", "approved") if order.now()["approvals"][0]["answer"] == "approved" else ("Ben", "rejected")
    )
    assert (told["detail"]["code"], told["answer"]["answer"]) == ("already_answered", verdict)
    assert told["answer"]["answered_by"].startswith(winner)
    assert told["answer"]["answered_at"]
    assert winner in told["detail"]["error"]
    assert order.ended()["status"] == ("completed" if verdict == "approved" else "failed")


def test_a_question_outlives_the_server_that_asked(start_archon: StartArchon, play: Play, remote: Remote) -> None:
    play(WRITES_HELLO)
    first = start_archon()
    order_id = first.file(remote.url, requires_approval=["push"]).id
    asked = asks(first.order(order_id), "push")
    first.kill()

    order = start_archon(first.home).order(order_id)
    assert order.now()["approval"] == asked
    assert answer(order, "approve", asked).status_code == 202
    order.follow(asked["seq"])

    done = order.now()
    assert (done["status"], done["attempt"]) == ("completed", 1)
    assert len(remote.pull_requests()) == 1


def test_a_message_to_a_running_order_is_in_the_same_session_before_anything_is_pushed(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    gate = f"message-{remote.name}"
    play(executing(WRITES_HELLO["turns"][0], says("Written.", gate=gate)), GOES_ON)
    order = archon.file(remote.url)
    order.at_gate(gate)

    sent = tell(order, "More polite. See @/etc/passwd and\n# not a heading", **{"Idempotency-Key": "once"})
    assert (sent["work_order"]["status"], sent["message"]["seq"]) == ("running", None)
    again = tell(order, "More polite. See @/etc/passwd and\n# not a heading", **{"Idempotency-Key": "once"})
    assert again["message"]["message_id"] == sent["message"]["message_id"]
    received = order.until("message_received", author="Ana")
    stage.model.release(gate)

    done = order.completed()
    assert remote.read(done["git_branch_name"], "hello.txt") == "good day"
    assert (done["attempt"], len(remote.pull_requests())) == (1, 1)
    kinds = [event.kind for event in order.events()]
    assert kinds.index("message_received") < kinds.index("message_delivered") < kinds.index("branch_pushed")
    [message] = order.client.get(f"/work-orders/{order.id}/messages").json()["messages"]
    assert (message["seq"], message["author"], bool(message["delivered_at"])) == (received.seq, "Ana", True)
    assert "> More polite. See @/etc/passwd and\n> # not a heading" in prompts(stage, order)
    heard = [request.prompt for request in stage.model.requests if "@/etc/passwd" in request.prompt]
    assert heard
    assert not any("root:" in prompt for prompt in heard), "what looks like a file's name is not opened"
    sessions = {event.payload["session_id"] for event in order.events("agent_started")}
    assert sessions == {done["agent_session_id"]}


def test_what_the_first_check_left_is_in_no_follow_up(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    play(WRITES_HELLO, GOES_ON)
    remote = make_repository({"Makefile": "test:\n\tmkdir -p report; date > report/at.txt; echo >> README.md\n"})
    order = archon.file(remote.url)
    first = order.completed()
    tell(order, "More polite, please.")
    order.follow(first["last_seq"])
    branch = order.now()["git_branch_name"]
    assert remote.git("diff", "--name-only", f"main..{branch}") == "hello.txt"
    assert remote.read(branch, "hello.txt") == "good day"


def test_a_message_to_a_finished_order_updates_the_same_pull_request(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(WRITES_HELLO, GOES_ON)
    order = archon.file(remote.url)
    first = order.completed()
    pushed = remote.commit(first["git_branch_name"])

    sent = tell(order, "More polite, please.")
    assert (sent["work_order"]["status"], sent["work_order"]["attempt"]) == ("pending", 2)
    order.follow(first["last_seq"])

    done = order.now()
    assert (done["status"], done["git_branch_name"]) == ("completed", first["git_branch_name"])
    assert done["github_pull_request_url"] == first["github_pull_request_url"]
    assert done["agent_session_id"] == first["agent_session_id"]
    assert remote.read(done["git_branch_name"], "hello.txt") == "good day"
    assert remote.git("merge-base", pushed, done["git_branch_name"]) == pushed, "on top of what was pushed"
    assert len(remote.pull_requests()) == 1
    assert [event.payload["created"] for event in order.events("pull_request_opened")] == [True, False]


def test_a_message_at_the_moment_an_order_finishes_is_not_lost(archon: Archon, play: Play, remote: Remote) -> None:
    """Sent while the pull request is opened, at once afterwards, and in between: it is always carried out."""
    play(WRITES_HELLO, in_step("follow-up", bash("echo more >> more.txt"), says("Added.")))
    for number, kind in enumerate(("branch_pushed", "pull_request_opened", "order_finished")):
        order = archon.file(remote.url, f"Write hello.txt, number {number}.")
        order.until(kind)
        tell(order, "And more.")
        done = carried_out(order)
        assert remote.read(done["git_branch_name"], "more.txt") == "more"
        assert len([one for one in remote.pull_requests() if one.head == done["git_branch_name"]]) == 1


def test_a_message_to_an_order_that_asks_waits_for_the_turn_after_the_answer(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(WRITES_HELLO, GOES_ON)
    order = archon.file(remote.url, requires_approval=["push"])
    asked = asks(order, "push")
    sent = tell(order, "More polite.")
    assert (sent["work_order"]["status"], sent["message"]["seq"]) == ("waiting", asked["seq"] + 1)
    answer(order, "approve", asked)
    again = asks(order, "push", after_seq=asked["seq"] + 1)
    assert "+good day" in order.diff()["hello.txt"], "another commit is another question"
    answer(order, "approve", again)
    order.completed()
    assert len(remote.pull_requests()) == 1


def test_what_cannot_be_said_is_refused_with_what_is_wrong(archon: Archon, play: Play, remote: Remote) -> None:
    play(WRITES_HELLO)
    assert archon.client.post(
        "/work-orders",
        json={
            "repository_url": remote.url,
            "user_request": "x",
            "workflow_type": "quick_fix",
            "requires_approval": ["plan"],
        },
    ).json()["detail"]["fields"] == [
        {"field": "requires_approval", "problem": "names plan, for which the order has no step"}
    ]
    order = archon.file(remote.url)
    order.completed()
    for body in ({"text": " "}, {"text": "x" * 70_000}, {"text": "a\0b"}, {}, {"text": "x", "more": 1}):
        refused = order.client.post(f"/work-orders/{order.id}/messages", json=body)
        assert refused.status_code == 422, refused.text
        assert refused.json()["detail"]["fields"]
    late = order.client.post(f"/work-orders/{order.id}/approve", json={"seq": 3})
    assert (late.status_code, late.json()["detail"]["fields"][0]["field"]) == (422, "seq")
    assert order.now()["attempt"] == 1


def test_another_server_on_another_disk_goes_on_with_an_answer_and_with_a_message(
    start_archon: StartArchon, play: Play, remote: Remote, project: Project, tmp_path: Path
) -> None:
    play(WRITES_HELLO, GOES_ON)
    shared = {"SUPABASE_URL": project.url, "SUPABASE_SERVICE_KEY": project.service_key}
    first = start_archon(tmp_path / "one", **shared)
    order_id = first.file(remote.url, requires_approval=["push"]).id
    asked = asks(first.order(order_id), "push")
    first.kill()

    order = start_archon(tmp_path / "two", **shared).order(order_id)
    assert answer(order, "approve", asked).status_code == 202
    order.follow(asked["seq"])
    done = order.now()
    assert (done["status"], done["attempt"], len(done["approvals"])) == ("completed", 1, 1)
    pushed = remote.commit(done["git_branch_name"])

    tell(order, "More polite, please.")
    again = asks(order, "push", after_seq=done["last_seq"])
    assert answer(order, "approve", again).status_code == 202
    order.follow(again["seq"])
    end = order.now()
    assert (end["status"], end["attempt"]) == ("completed", 2)
    assert remote.read(end["git_branch_name"], "hello.txt") == "good day"
    assert remote.git("merge-base", pushed, end["git_branch_name"]) == pushed
    assert len(remote.pull_requests()) == 1
