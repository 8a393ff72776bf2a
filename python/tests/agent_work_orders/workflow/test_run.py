"""A claimed order from its checkout to its outcome, on a real store, with fakes for git, the agent and the forge."""

import errno
import json
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from src.agent_work_orders.domain.errors import FailureClass, MustWait, NotFound, StepFailed
from src.agent_work_orders.domain.status import Status, WaitingReason
from src.agent_work_orders.domain.work_order import utc_now
from src.agent_work_orders.ports import AgentFailure, AgentTurn
from src.agent_work_orders.workflow import progress
from src.agent_work_orders.workflow.run import run_work_order

from ..fakes import URL, Bench, Hang, Tell, nothing, open_bench, raises, writes

pytestmark = pytest.mark.anyio
SECRET = "a-github-token-1234"


async def test_an_order_goes_from_words_to_a_pull_request(bench: Bench) -> None:
    order_id = await bench.file(user_request="# Say hello\n\nIn a file.", github_issue_number=7)
    assert await bench.run() is None

    order = await bench.order(order_id)
    assert (order.status, order.failure_class, order.error_message) == (Status.COMPLETED, None, None)
    assert order.github_pull_request_url == f"{URL}/pull/1"
    assert order.git_branch_name == f"awo/{order_id[3:11]}-say-hello-in-a-file"
    assert (order.base_branch, order.agent_session_id) == ("main", "session-1")
    assert (order.cost_usd, order.input_tokens, order.output_tokens) == (0.75, 30, 15)
    assert (order.git_commit_count, order.git_files_changed) == (1, 1)
    assert await bench.outcomes(order_id) == dict.fromkeys(order.selected_commands, "completed")

    checkout = bench.checkouts.opened[order_id]
    ((pushed, token),) = checkout.pushed
    assert token == SECRET
    assert {file.path for file in (await checkout.diff(pushed)).files} == {"hello.txt"}  # nothing the check left
    (request,) = bench.forge.opened
    assert (request["branch"], request["base"], request["title"]) == (order.git_branch_name, "main", "Say hello")
    assert "Closes #7" in request["body"]
    assert "make test" in request["body"]

    turns = bench.agent.turns
    assert [turn.session_id for turn in turns] == [None, "session-1", "session-1"]
    assert [turn.read_only for turn in turns] == [True, False, False]
    assert turns[0].home == bench.folder(order_id) / "home"
    assert turns[0].model == "sonnet"


async def test_its_journal_tells_the_story_without_gaps(bench: Bench) -> None:
    bench.agent.script = [nothing, writes(hello_txt="hello\n")]
    order_id = await bench.file()
    await bench.run()
    events = await bench.events(order_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.kind for event in events if event.kind not in ("agent_spoke", "checkout_progressed")]
    assert kinds == [
        "order_enqueued", "order_claimed",
        "step_started", "checkout_opened", "step_finished",
        "step_started", "agent_started", "usage_counted", "step_finished",
        "step_started", "agent_started", "usage_counted", "checkpoint_saved", "step_finished",
        "step_started", "agent_started", "usage_counted", "step_finished",
        "step_started", "check_run", "step_finished",
        "step_started", "policy_checked", "branch_pushed", "step_finished",
        "step_started", "pull_request_opened", "step_finished",
        "order_finished",
    ]  # fmt: skip
    assert {event.step_order for event in events} == {None, 1, 2, 3, 4, 5, 6, 7}
    (finished,) = await bench.payloads(order_id, "order_finished")
    assert finished["summary"] == f"Opened {URL}/pull/1."


async def test_a_turn_that_was_only_to_read_costs_no_checkpoint_and_what_it_wrote_all_the_same_is_not_lost(
    bench: Bench,
) -> None:
    bench.agent.script = [writes(sly_txt="sly\n"), writes(hello_txt="hello\n")]
    order_id = await bench.file()
    await bench.run()
    checkout = bench.checkouts.opened[order_id]
    assert checkout.labels[0] == "3-execute"
    assert {file.path for file in (await checkout.diff(checkout.pushed[0][0])).files} == {"sly.txt", "hello.txt"}


@pytest.mark.parametrize("failing", [False, True])
async def test_a_turn_that_was_only_to_read_and_is_the_last_has_its_work_kept(bench: Bench, failing: bool) -> None:
    bench.agent.script = [writes(sly_txt="sly\n")]
    if failing:
        bench.agent.failures = {0: AgentFailure(FailureClass.AGENT, "It broke.", "Look.")}
    order_id = await bench.file(**({} if failing else {"workflow_type": "plan_only"}))
    await bench.run()
    assert len(bench.checkouts.opened[order_id].labels) == 1
    assert (await bench.order(order_id)).git_files_changed == 1


async def test_only_a_slow_clone_tells_how_it_goes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = await bench.file(workflow_type="plan_only")
    await bench.run()
    assert await bench.payloads(quick, "checkout_progressed") == []
    monkeypatch.setattr(progress, "PROGRESS_EVERY", 0.0)
    slow = await bench.file(workflow_type="plan_only")
    await bench.run()
    assert [told["percent"] for told in await bench.payloads(slow, "checkout_progressed")] == [0, 1, 50, 100]


async def test_its_files_and_rows_are_kept_and_nothing_raw_stays(bench: Bench) -> None:
    order_id = await bench.file()
    await bench.run()
    folder = bench.folder(order_id)
    artifacts = await bench.store.artifacts(order_id)
    for artifact in artifacts:
        file = folder / artifact.path
        assert file.stat().st_size == artifact.size_bytes
        assert file.stat().st_mode & 0o777 == 0o600
    assert {artifact.path for artifact in artifacts} == {
        "prompts/1-2-planning.md", "outputs/1-2-planning.jsonl", "prompts/1-3-execute.md", "outputs/1-3-execute.jsonl",
        "prompts/1-4-prp-review.md", "outputs/1-4-prp-review.jsonl", "outputs/1-5-check-1.log",
        "outputs/1-5-check-1.json",
    }  # fmt: skip
    assert list((folder / "run").iterdir()) == []
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["work_order"]["status"] == "completed"
    assert len(metadata["steps"]) == 7
    assert len(metadata["artifacts"]) == 8


async def test_an_agent_that_changes_nothing_completes_without_a_pull_request(bench: Bench) -> None:
    bench.agent.script = [nothing]
    order_id = await bench.file()
    await bench.run()
    order = await bench.order(order_id)
    assert order.status is Status.COMPLETED
    assert order.github_pull_request_url is None
    assert bench.forge.opened == []
    assert bench.checkouts.opened[order_id].pushed == []
    assert bench.checks.commands == []
    outcomes = await bench.outcomes(order_id)
    assert [outcomes[name] for name in ("prp-review", "verify", "commit", "create-pr")] == ["skipped"] * 4
    (finished,) = await bench.payloads(order_id, "order_finished")
    assert finished["summary"] == "The agent changed nothing, so there is nothing to push and no pull request."


async def test_plan_only_pushes_nothing(bench: Bench) -> None:
    bench.agent.script, bench.agent.said = [nothing], "1. Do it."
    order_id = await bench.file(workflow_type="plan_only")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.git_branch_name) == (Status.COMPLETED, None)
    (step,) = await bench.steps(order_id)
    assert (step.output, step.cost_usd) == ("1. Do it.", 0.25)
    (finished,) = await bench.payloads(order_id, "order_finished")
    assert finished["summary"] == "Done; nothing was pushed, as the workflow asks."


async def test_the_plan_is_given_to_the_next_step_literally(bench: Bench) -> None:
    bench.agent.script, bench.agent.said = [nothing, writes(a_txt="a")], "Use {{user_request}} as it is."
    await bench.file(user_request="Fill {{plan}} in.")
    await bench.run()
    assert "Use {{user_request}} as it is." in bench.agent.turns[1].prompt
    assert "Fill {{plan}} in." in bench.agent.turns[1].prompt


# --- verification ---


async def test_a_check_that_stays_red_fails_the_order_and_pushes_nothing(bench: Bench) -> None:
    bench.checks.exit_codes, bench.checks.output = [2], "1 failed\n"
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.VERIFICATION)
    assert "exit code 2, also after 2 repair turns" in (order.error_message or "")
    assert "pushed nowhere" in (order.next_action or "")
    assert bench.checkouts.opened[order_id].pushed == []
    assert bench.forge.opened == []
    runs = await bench.payloads(order_id, "check_run")
    assert [(run["repair_round"], run["passed"], run["exit_code"]) for run in runs] == [
        (0, False, 2), (1, False, 2), (2, False, 2),
    ]  # fmt: skip
    repairs = bench.agent.turns[1:]
    assert len(repairs) == 2
    assert all("1 failed" in turn.prompt and "make test" in turn.prompt for turn in repairs)
    assert (await bench.outcomes(order_id))["verify"] == "failed"


async def test_a_check_that_is_repaired_at_the_second_turn_is_published_as_it_then_was(bench: Bench) -> None:
    bench.agent.script = [writes(a_txt="1"), writes(a_txt="2"), writes(a_txt="3")]
    bench.checks.exit_codes = [1, None, 0]
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    order = await bench.order(order_id)
    assert order.status is Status.COMPLETED
    runs = await bench.payloads(order_id, "check_run")
    assert [(run["passed"], run["exit_code"]) for run in runs] == [(False, 1), (False, None), (True, 0)]
    assert len({run["commit"] for run in runs}) == 3
    ((pushed, _),) = bench.checkouts.opened[order_id].pushed
    assert pushed == runs[-1]["commit"]
    assert "after 2 repair turns" in bench.forge.opened[0]["body"]
    step = next(step for step in await bench.steps(order_id) if step.step_name == "verify")
    assert step.cost_usd == 0.5
    assert {a.path for a in await bench.store.artifacts(order_id)} >= {
        "prompts/1-3-repair.md", "prompts/1-3-repair-2.md", "outputs/1-3-check-3.json",
    }  # fmt: skip


async def test_a_repository_without_a_check_is_published_and_says_so(bench: Bench) -> None:
    bench.checkouts.files = {"README.md": "# Name\n"}
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert (await bench.outcomes(order_id))["verify"] == "skipped"
    assert "**Not verified:**" in bench.forge.opened[0]["body"]


async def test_a_secret_in_the_change_is_not_pushed(bench: Bench) -> None:
    bench.agent.script = [writes(config_py=f"TOKEN = '{SECRET}'\n")]
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.POLICY)
    assert bench.checkouts.opened[order_id].pushed == []
    (checked,) = await bench.payloads(order_id, "policy_checked")
    assert checked == {"passed": False, "problems": ["config.py adds what looks like a secret"]}
    assert SECRET not in " ".join(event.payload for event in await bench.events(order_id))


# --- failures ---


@pytest.mark.parametrize("failure_class", sorted(set(FailureClass) - {FailureClass.LIMIT}))  # a limit waits: see below
async def test_a_failed_turn_fails_its_step_and_its_order_in_its_class(
    bench: Bench, failure_class: FailureClass
) -> None:
    bench.agent.failures = {1: AgentFailure(failure_class, f"It broke near {SECRET}.", "Mend it.")}
    order_id = await bench.file()
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, failure_class)
    assert (order.error_message, order.next_action) == ("It broke near [REDACTED].", "Mend it.")
    assert order.cost_usd == 0.5
    assert await bench.outcomes(order_id) == {
        "create-branch": "completed", "planning": "completed", "execute": "failed",
    }  # fmt: skip
    assert bench.checkouts.opened[order_id].labels[-1] == "3-execute"  # its work is kept
    assert SECRET not in " ".join(event.payload for event in await bench.events(order_id))


@pytest.mark.parametrize(
    ("where", "failure_class"),
    [
        ("agent", FailureClass.AGENT), ("agent", FailureClass.INTERNAL), ("open", FailureClass.NETWORK),
        ("open", FailureClass.GIT), ("open", FailureClass.DISK), ("push", FailureClass.CONFLICT),
        ("push", FailureClass.AUTH), ("forge", FailureClass.LIMIT),
    ],
)  # fmt: skip
async def test_a_step_that_raises_fails_the_order_in_its_class(
    bench: Bench, failure_class: FailureClass, where: str
) -> None:
    failure = StepFailed(failure_class, f"No way past {SECRET}.", next_action="Go round.")
    if where == "agent":
        bench.agent.script = [raises(failure)]
    elif where == "open":

        async def refuse() -> None:
            raise failure

        bench.checkouts.before_open = refuse
    elif where == "push":

        async def last_check() -> None:
            bench.checkouts.opened[order_id].broken = failure

        bench.checks.before_end = last_check
    else:
        bench.forge.broken = failure
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, failure_class)
    assert (order.error_message, order.next_action) == ("No way past [REDACTED].", "Go round.")
    failed = [name for name, status in (await bench.outcomes(order_id)).items() if status == "failed"]
    assert failed == [{"agent": "execute", "open": "create-branch", "push": "commit", "forge": "create-pr"}[where]]
    assert SECRET not in " ".join(event.payload for event in await bench.events(order_id))


async def test_a_pull_request_refused_leaves_the_pushed_branch_and_a_retry_opens_it(bench: Bench) -> None:
    bench.forge.broken = StepFailed(FailureClass.AUTH, "The token may not.", next_action="Give it the right.")
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    bench.forge.broken = None
    await bench.store.retry(order_id, None)
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 2)
    assert len(bench.agent.turns) == len(bench.checks.commands) == len(bench.forge.opened) == 1
    assert "exit code 0" in bench.forge.opened[0]["body"]  # the evidence of the first attempt
    assert (await bench.outcomes(order_id)) == {"create-pr": "completed"}


async def test_commit_cannot_be_retried_past_a_red_verification(bench: Bench) -> None:
    bench.checks.exit_codes = [1]
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    await bench.store.retry(order_id, 4)
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.VERIFICATION)
    assert bench.checkouts.opened[order_id].pushed == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EIO])
async def test_a_disk_that_cannot_be_used_fails_the_order_as_disk(bench: Bench, number: int) -> None:
    bench.agent.script = [raises(OSError(number, "the disk's own words"))]
    order_id = await bench.file()
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.DISK)
    assert "the disk's own words" in (order.error_message or "")


async def test_a_disk_that_is_full_at_the_checkpoint_too_lets_the_order_wait(bench: Bench) -> None:
    async def fills(turn: AgentTurn, tell: Tell) -> None:
        bench.checkouts.opened[order_id].broken = OSError(errno.ENOSPC, "No space left on device")

    bench.agent.script = [fills]
    order_id = await bench.file()
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.waiting_reason) == (Status.WAITING, WaitingReason.DISK)
    assert (await bench.outcomes(order_id))["execute"] == "cancelled"


async def test_metadata_that_cannot_be_written_takes_nothing_back(bench: Bench) -> None:
    async def block(turn: AgentTurn, tell: Tell) -> None:
        (bench.folder(order_id) / "metadata.json").unlink(missing_ok=True)
        (bench.folder(order_id) / "metadata.json").mkdir(parents=True)

    bench.agent.script = [block]
    order_id = await bench.file(workflow_type="plan_only")
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED


async def test_any_other_error_is_a_bug_and_goes_on_up(bench: Bench) -> None:
    for error in (OSError(errno.ENOENT, "no such file"), ZeroDivisionError(), NotFound("gone")):
        bench.agent.script = [raises(error)]
        await bench.file(workflow_type="plan_only")
        with pytest.raises(ExceptionGroup) as raised:
            await bench.run()
        assert raised.value.split(type(error))[1] is None


# --- waiting ---


async def test_a_used_up_account_waits_longer_each_time_and_then_gives_up(bench: Bench) -> None:
    bench.agent.failures = dict.fromkeys(range(99), AgentFailure(FailureClass.LIMIT, "Used up.", "Wait."))
    order_id = await bench.file(workflow_type="plan_only")
    waited = []
    for _ in range(8):
        before = utc_now()
        until = await bench.run()
        order = await bench.order(order_id)
        assert until is not None
        assert (order.status, order.waiting_reason) == (Status.WAITING, WaitingReason.USAGE_LIMIT)
        assert order.waiting_until == until
        waited.append(round((until - before) / timedelta(minutes=1)))
        bench.clock.ahead += until - before + timedelta(seconds=1)
    assert waited == [1, 2, 4, 8, 16, 32, 64, 128]
    assert await bench.run() is None
    order = await bench.order(order_id)
    assert (order.status, order.failure_class, order.attempt) == (Status.FAILED, FailureClass.LIMIT, 1)
    assert all(turn.session_id == "session-1" for turn in bench.agent.turns[1:])

    # A person's retry begins to count anew.
    await bench.store.retry(order_id, None)
    assert await bench.run() is not None
    assert (await bench.order(order_id)).status is Status.WAITING


async def test_it_waits_until_the_time_that_was_said_but_never_less_than_a_minute(bench: Bench) -> None:
    said = utc_now() + timedelta(hours=3)
    bench.agent.failures = {
        0: AgentFailure(FailureClass.LIMIT, "Used up.", "Wait.", retry_at=said),
        1: AgentFailure(FailureClass.LIMIT, "Used up.", "Wait.", retry_at=utc_now() - timedelta(hours=1)),
    }
    order_id = await bench.file(workflow_type="plan_only")
    assert await bench.run() == said
    bench.clock.ahead = timedelta(hours=3, minutes=1)
    assert (await bench.run() or said) > utc_now() + timedelta(seconds=55)
    bench.clock.ahead = timedelta(hours=4)
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert (await bench.order(order_id)).cost_usd == 0.75


async def test_a_forge_that_asks_to_wait_parks_the_order_and_no_account(bench: Bench) -> None:
    until = utc_now() + timedelta(minutes=5)
    bench.forge.broken = MustWait(
        WaitingReason.CHECKS, "Slow down.", until=until, next_action="Nothing: it goes on by itself."
    )
    order_id = await bench.file(workflow_type="quick_fix")
    assert await bench.run() is None
    order = await bench.order(order_id)
    assert (order.status, order.waiting_reason, order.waiting_until) == (Status.WAITING, WaitingReason.CHECKS, until)
    bench.forge.broken = None
    bench.clock.ahead = timedelta(minutes=6)
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert len(bench.agent.turns) == 1


async def test_an_order_that_has_spent_its_limit_starts_no_other_turn(bench: Bench) -> None:
    order_id = await bench.file(max_cost_usd=0.5)
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class, order.cost_usd) == (Status.FAILED, FailureClass.BUDGET, 0.5)
    assert [turn.max_cost_usd for turn in bench.agent.turns] == [0.5, 0.25]


async def test_the_lower_of_two_limits_counts(tmp_path: Path) -> None:
    async with open_bench(tmp_path, max_cost_usd=0.3) as bench:
        await bench.file(max_cost_usd=2.0, workflow_type="plan_only", timeout_seconds=77, model="opus")
        await bench.run()
        (turn,) = bench.agent.turns
        assert (turn.max_cost_usd, turn.timeout, turn.model) == (0.3, timedelta(seconds=77), "opus")


# --- interruptions ---


async def test_a_cancel_in_the_middle_of_a_turn_ends_it_first_and_keeps_its_work(bench: Bench) -> None:
    hang = Hang()
    bench.agent.script = [nothing, hang]
    order_id = await bench.file()
    claim = await bench.claim()
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        await bench.store.cancel(order_id)
    assert bench.agent.running == 0
    order = await bench.order(order_id)
    assert order.status is Status.CANCELLED
    assert await bench.outcomes(order_id) == {
        "create-branch": "completed", "planning": "completed", "execute": "cancelled",
    }  # fmt: skip
    assert bench.checkouts.opened[order_id].labels[-1] == "3-execute"
    kinds = [event.kind for event in await bench.events(order_id)]
    assert kinds.count("cancel_requested") == kinds.count("order_finished") == 1
    assert kinds.index("cancel_requested") < kinds.index("order_finished") == len(kinds) - 1
    assert any("interrupted-stdout" in a.path for a in await bench.store.artifacts(order_id))
    assert list((bench.folder(order_id) / "run").iterdir()) == []


async def test_a_cancel_between_two_steps_starts_no_other(bench: Bench) -> None:
    async def cancel() -> None:
        await bench.store.cancel(order_id)
        with anyio.move_on_after(5):
            await anyio.sleep_forever()  # until the cancel was seen

    bench.checks.before_end = cancel
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    assert (await bench.order(order_id)).status is Status.CANCELLED
    assert list(await bench.outcomes(order_id)) == ["create-branch", "execute", "verify"]
    assert bench.checkouts.opened[order_id].pushed == []


async def test_an_order_cancelled_before_its_claim_was_started_does_nothing(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    await bench.store.cancel(order_id)
    bench.checkouts.before_open = anyio.sleep_forever
    await run_work_order(claim, bench.tools, bench.stopping)
    assert (await bench.order(order_id)).status is Status.CANCELLED
    assert bench.agent.turns == []


async def test_a_stop_of_the_server_gives_the_order_back_and_it_goes_on_in_the_same_session(bench: Bench) -> None:
    hang = Hang()
    bench.agent.script = [nothing, hang, writes(done_txt="done\n")]
    order_id = await bench.file()
    claim = await bench.claim("w1")
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        bench.stopping.set()
    order = await bench.order(order_id)
    assert (order.status, order.worker_id, order.attempt) == (Status.PENDING, None, 1)
    assert order.agent_session_id == "session-1"

    bench.stopping = anyio.Event()
    await run_work_order(await bench.claim("w2"), bench.tools, bench.stopping)
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 1)
    assert bench.agent.turns[2].session_id == "session-1"
    assert [step.status for step in await bench.steps(order_id)] == ["completed"] * 7
    assert len(bench.forge.opened) == 1
    assert [event.seq for event in await bench.events(order_id)] == list(range(1, order.last_seq + 1))
    assert any("interrupted-stdout" in a.path for a in await bench.store.artifacts(order_id))


@pytest.mark.parametrize("how", ["stop", "cancel"])
async def test_a_run_interrupted_while_its_checkout_is_opened_ends_at_once(bench: Bench, how: str) -> None:
    bench.checkouts.before_open = hang = Hang()
    order_id = await bench.file()
    claim = await bench.claim()
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        if how == "stop":
            bench.stopping.set()
        else:
            await bench.store.cancel(order_id)
    order = await bench.order(order_id)
    assert order.status is (Status.PENDING if how == "stop" else Status.CANCELLED)
    assert bench.checkouts.opened == {}
    assert await bench.outcomes(order_id) == {"create-branch": "cancelled"}


async def test_a_server_that_stops_before_the_first_step_leaves_no_trace_of_one(bench: Bench) -> None:
    order_id = await bench.file()
    bench.stopping.set()
    await bench.run()
    assert (await bench.order(order_id)).status is Status.PENDING
    assert await bench.steps(order_id) == []
    assert [event.kind for event in await bench.events(order_id)] == ["order_enqueued", "order_claimed"]


async def test_a_process_that_would_not_die_is_not_reported_as_cancelled(bench: Bench) -> None:
    hang = Hang()

    async def immortal(turn: AgentTurn, tell: Tell) -> None:
        try:
            await hang()
        finally:
            raise StepFailed(FailureClass.INTERNAL, "Processes could not be stopped: 7.", next_action="End them.")

    bench.agent.script = [immortal]
    order_id = await bench.file()
    claim = await bench.claim()
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        await bench.store.cancel(order_id)
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.INTERNAL)
    assert order.error_message == "Processes could not be stopped: 7."


async def crash_while_pushing(bench: Bench) -> None:
    """Ends a run as a killed server does, at its push, and takes the order back from it."""
    claim = await bench.claim()
    bench.checkouts.before_push = hang = Hang()
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        group.cancel_scope.cancel()
    bench.checkouts.before_push = anyio.lowlevel.checkpoint
    (reaped,) = await bench.store.reap(10, [claim.worker_id])
    assert reaped.status is Status.PENDING


async def test_evidence_is_read_from_the_journal_after_a_crash_between_verify_and_commit(bench: Bench) -> None:
    order_id = await bench.file(workflow_type="quick_fix")
    await crash_while_pushing(bench)
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 2)
    assert len(bench.agent.turns) == len(bench.checks.commands) == 1
    (run,) = await bench.payloads(order_id, "check_run")
    checkout = bench.checkouts.opened[order_id]
    assert [commit for commit, _ in checkout.pushed] == [run["commit"]]
    assert not (checkout.root / "left-by-the-check.txt").exists()
    assert "exit code 0" in bench.forge.opened[0]["body"]
    outputs = [step.attempt for step in await bench.steps(order_id) if step.success]
    assert outputs == [1, 1, 1, 2, 2]


async def test_evidence_of_an_earlier_verification_does_not_count_for_a_later_change(bench: Bench) -> None:
    async def unverifiable(turn: AgentTurn, tell: Tell) -> None:
        (turn.cwd / "Makefile").unlink()
        (turn.cwd / "later.txt").write_text("later\n")

    bench.agent.script = [writes(first_txt="first\n"), unverifiable]
    order_id = await bench.file(workflow_type="quick_fix")
    await crash_while_pushing(bench)
    await bench.store.cancel(order_id)
    await bench.store.retry(order_id, 2)  # carried out again, and this time nothing is left that could verify it
    await crash_while_pushing(bench)
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    checkout = bench.checkouts.opened[order_id]
    ((pushed, _),) = checkout.pushed
    assert "later.txt" in {file.path for file in (await checkout.diff(pushed)).files}
    assert "**Not verified:**" in bench.forge.opened[0]["body"]
