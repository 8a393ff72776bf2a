"""Checks that are red, repaired, endless or not there: what the server saw counts, and not what the agent says."""

import json

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon
from .conftest import MakeRepository, Play, StartArchon
from .processes import processes_of
from .remote import Remote
from .scripts import WRITES_HELLO, bash, executing, in_step, says

BREAKS_IT = executing(bash("echo hello > hello.txt && touch broken"), says("All tests are green."))


def test_a_red_check_is_repaired_by_the_agent_with_its_output_and_then_published(
    archon: Archon, stage: Stage, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository({"Makefile": "test:\n\t@test ! -e broken || (echo the reason is broken; exit 3)\n"})
    play(BREAKS_IT, in_step("repair", bash("rm broken"), says("It was broken.")))

    order = archon.file(remote.url)
    done = order.completed()

    rounds = [event.payload for event in order.events("check_run")]
    assert [(one["passed"], one["repair_round"]) for one in rounds] == [(False, 0), (True, 1)]
    assert "the reason is broken" in rounds[0]["output_tail"]
    assert rounds[0]["commit"] != rounds[1]["commit"]
    [prompt] = {
        request.prompt
        for request in stage.model.requests
        if request.script == "repair" and remote.name in str(request.body)
    }
    assert "the reason is broken" in prompt
    branch = done["git_branch_name"]
    assert remote.commit(branch) == rounds[1]["commit"]
    assert "broken" not in remote.files(branch)
    [pull_request] = remote.pull_requests()
    assert "after 1 repair turn" in (pull_request.body or "")


def test_a_check_that_stays_red_fails_the_order_pushes_nothing_and_keeps_the_work(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(BREAKS_IT, in_step("repair", says("It is fine.")))

    order = archon.file(remote.url)
    order.failed("verification")

    assert order.steps() == [("create-branch", "completed"), ("execute", "completed"), ("verify", "failed")]
    assert [event.payload["repair_round"] for event in order.events("check_run")] == [0, 1, 2]
    assert remote.branches() == ["main"]
    assert remote.pull_requests() == []
    # The work and the evidence can be read all the same.
    assert set(order.diff()) == {"hello.txt", "broken"}
    evidence = json.loads(order.artifacts()["outputs-1-3-check-3.json"])
    assert (evidence["command"], evidence["passed"]) == ("make test", False)

    # A retry takes up the verification alone, on the work that is there.
    play(in_step("repair", bash("rm broken"), says("Mended.")))
    end = order.now()["last_seq"]
    assert order.retry().status_code == 202
    order.follow(end)
    assert order.now()["status"] == "completed", order.now()
    assert [event.payload["step_name"] for event in order.events("step_started") if event.attempt == 2] == [
        "verify",
        "commit",
        "create-pr",
    ]
    assert len(remote.pull_requests()) == 1


def test_a_repository_without_a_check_is_published_with_a_warning(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository({"README.md": "# Words\n"})
    play(WRITES_HELLO)

    order = archon.file(remote.url)
    order.completed()

    assert ("verify", "skipped") in order.steps()
    assert order.events("check_run") == []
    [pull_request] = remote.pull_requests()
    assert "Not verified" in (pull_request.body or "")


def test_a_check_that_does_not_end_is_ended_with_everything_it_started(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon(AGENT_WORK_ORDER_TIMEOUT="10")
    remote = make_repository({"Makefile": "test:\n\tsetsid sleep 4711 & sleep 4712\n"})
    play(WRITES_HELLO, in_step("repair", bash("printf 'test:\\n\\ttrue\\n' > Makefile"), says("It slept.")))

    order = archon.file(remote.url)
    checked = order.until("check_run")
    assert not [line for line in processes_of(order.id).values() if "4711" in line or "4712" in line]
    order.completed()

    assert (checked.payload["exit_code"], checked.payload["passed"]) == (None, False)
    assert len(remote.pull_requests()) == 1


def test_the_operator_s_own_command_is_run_in_place_of_the_repository_s(
    start_archon: StartArchon, play: Play, remote: Remote
) -> None:
    archon = start_archon(AWO_VERIFY_COMMAND='grep -q hello hello.txt && echo "it says hello"')
    play(WRITES_HELLO)

    order = archon.file(remote.url)
    order.completed()

    [checked] = order.events("check_run")
    assert (checked.payload["source"], checked.payload["passed"]) == ("AWO_VERIFY_COMMAND", True)
    assert checked.payload["output_tail"] == "it says hello\n"


def test_what_a_check_leaves_behind_is_not_published(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository({"Makefile": "test:\n\t@date > litter.txt\n"})
    play(WRITES_HELLO)

    branch = archon.file(remote.url).completed()["git_branch_name"]

    assert remote.git("diff", "--name-only", f"main..{branch}") == "hello.txt"
