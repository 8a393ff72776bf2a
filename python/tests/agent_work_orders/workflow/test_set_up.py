"""The operator's set-up command within a run: when it runs, what it is told, and how its end is the order's."""

import dataclasses
from pathlib import Path
from typing import Any

import anyio
import pytest

from src.agent_work_orders.domain.repository import Repository, RepositoryOptions
from src.agent_work_orders.domain.status import Status

from ..fakes import Bench, Hang

pytestmark = pytest.mark.anyio


def say(bench: Bench, **options: Any) -> None:
    async def answer(repository: Repository) -> RepositoryOptions:
        return RepositoryOptions(**options)

    bench.tools = dataclasses.replace(bench.tools, options=answer)


async def test_the_command_runs_once_before_the_agents_first_step_and_its_log_is_kept(bench: Bench) -> None:
    say(bench, setup_command="make ready", environment={"STAGE": "test"})
    order_id = await bench.file()
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert bench.checks.commands[0] == ("/bin/sh", "-c", "make ready")
    assert bench.checks.commands.count(("/bin/sh", "-c", "make ready")) == 1
    assert bench.checkouts.opened[order_id].set_up
    kinds = [event.kind for event in await bench.events(order_id)]
    assert kinds.index("checkout_opened") < kinds.index("setup_run") < kinds.index("agent_started")
    (ran,) = await bench.payloads(order_id, "setup_run")
    assert (ran["command"], ran["exit_code"], ran["passed"]) == ("make ready", 0, True)
    assert "ok" in ran["output_tail"]
    assert (bench.folder(order_id) / "outputs" / "1-set-up.log").read_text() == "ok\n"


async def test_the_operators_variables_reach_the_set_up_the_agent_and_the_check(bench: Bench) -> None:
    say(bench, setup_command="make ready", environment={"STAGE": "test"})
    await bench.file()
    await bench.run()
    assert bench.checks.environments == [{"STAGE": "test"}] * 2
    assert {turn.environment["STAGE"] for turn in bench.agent.turns} == {"test"}


async def test_without_a_command_nothing_runs(bench: Bench) -> None:
    order_id = await bench.file()
    await bench.run()
    assert ("/bin/sh", "-c", "make ready") not in bench.checks.commands
    assert await bench.payloads(order_id, "setup_run") == []


async def test_what_is_there_already_is_not_made_again(bench: Bench) -> None:
    say(bench, setup_command="make ready")
    order_id = await bench.file()
    opened = bench.checkouts.open

    async def all_set_up(*arguments: Any, **named: Any) -> Any:
        checkout = await opened(*arguments, **named)
        checkout.set_up = checkout.prepared = True
        return checkout

    bench.checkouts.open = all_set_up  # type: ignore[method-assign]  # a checkout from the pool
    await bench.run()
    assert await bench.payloads(order_id, "setup_run") == []
    assert (await bench.payloads(order_id, "checkout_opened"))[0]["prepared"] is True


@pytest.mark.parametrize(
    ("exit_code", "failure_class", "words"),
    [(2, "verification", "ended with exit code 2"), (None, "timeout", "did not end within 900 s")],
)
async def test_a_set_up_that_fails_ends_the_order_before_any_agent_starts(
    bench: Bench, exit_code: int | None, failure_class: str, words: str
) -> None:
    say(bench, setup_command="make ready")
    bench.checks.exit_codes = [exit_code]
    order_id = await bench.file()
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, failure_class)
    assert words in (order.error_message or "")
    assert "log" in (order.next_action or "")
    assert bench.agent.turns == []
    assert not bench.checkouts.opened[order_id].set_up
    assert (bench.folder(order_id) / "outputs" / "1-set-up.log").is_file()


async def test_an_interrupted_set_up_is_run_again_when_the_order_comes_back(bench: Bench) -> None:
    say(bench, setup_command="make ready")
    hang = Hang()
    bench.checks.before_end = hang
    order_id = await bench.file()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bench.run)
        await hang.reached.wait()
        bench.stopping.set()
    assert (await bench.order(order_id)).status is Status.PENDING
    bench.checks.before_end, bench.stopping = anyio.lowlevel.checkpoint, anyio.Event()
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert bench.checks.commands.count(("/bin/sh", "-c", "make ready")) == 2
    assert len(await bench.payloads(order_id, "setup_run")) == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"environment": {"LD_PRELOAD": "x.so"}}, "environment.LD_PRELOAD"),
        ({"environment": {"anthropic_api_key": "sk-abcdefgh"}}, "environment.anthropic_api_key"),
        ({"files": {"../outside": "x"}}, "files.../outside"),
        ({"files": {".git/config": "x"}}, "files..git/config"),
    ],
    ids=["loader", "credential", "outside", "git"],
)
async def test_what_must_not_reach_a_checkout_is_refused_by_name_and_not_by_value(
    bench: Bench, options: dict[str, Any], named: str
) -> None:
    say(bench, **options)
    order_id = await bench.file()
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, "policy")
    assert named in (order.error_message or "")
    assert "sk-abcdefgh" not in (order.error_message or "")
    assert bench.checkouts.opened == {}


async def test_secrets_among_the_variables_are_hidden_in_every_word(bench: Bench, tmp_path: Path) -> None:
    say(bench, setup_command="echo token-of-the-registry", environment={"NPM_TOKEN": "token-of-the-registry"})
    bench.checks.output = "logged in with token-of-the-registry\n"
    order_id = await bench.file()
    await bench.run()
    texts = [event.payload for event in await bench.events(order_id)]
    texts += [path.read_text() for path in bench.folder(order_id).rglob("*") if path.is_file()]
    assert not [text for text in texts if "token-of-the-registry" in text]
