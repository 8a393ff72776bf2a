import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage, open_stage, stage_in_thread
from src.agent_work_orders.rehearsal.stage import listen_at

from .conftest import Git, asking

PYTHON_ROOT = Path(__file__).parents[3]


@pytest.mark.anyio
async def test_a_stage_serves_inside_its_caller_s_event_loop_and_leaves_signals_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)

    async with open_stage(tmp_path) as stage, httpx.AsyncClient() as client:
        during = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
        pages = await client.get(stage.base_url)
        advertised = await client.get(f"{stage.repository_url}/info/refs?service=git-upload-pack")
        repository = await client.get(f"{stage.github_api_url}/repos/rehearsal/greeter")
        health = await client.get(f"{stage.model_url}/health")

    assert before == during
    for response in (pages, advertised, repository, health):
        assert response.status_code == 200
        assert response.headers["x-awo-rehearsal"] == "true"
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(stage.base_url)


@pytest.mark.anyio
async def test_a_cancelled_stage_ends_although_an_answer_hangs(tmp_path: Path) -> None:
    outcome: list[object] = []

    async def ask(stage: Stage) -> None:
        async with httpx.AsyncClient() as client:
            headers = {"x-api-key": stage.anthropic_api_key}
            try:
                outcome.append(await client.post(f"{stage.model_url}/v1/messages", json=asking("go"), headers=headers))
            except httpx.RemoteProtocolError as broken:
                outcome.append(broken)

    async with anyio.create_task_group() as tasks:
        with anyio.fail_after(10), anyio.CancelScope() as scope:
            async with open_stage(tmp_path) as stage:
                stage.model.play({"scripts": [{"turns": [{"text": "never", "fault": "hang"}]}]})
                tasks.start_soon(ask, stage)
                await anyio.to_thread.run_sync(stage.model.wait_for_requests, 1)
                scope.cancel()
                await anyio.sleep_forever()

    assert len(outcome) == 1
    assert isinstance(outcome[0], httpx.RemoteProtocolError)


@pytest.mark.anyio
async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with open_stage(tmp_path):
            raise KeyError("mine")


def test_the_next_stage_in_a_directory_has_the_same_address_and_what_was_there(
    tmp_path: Path, git: Git, push_branch: Callable[[Stage, str], str]
) -> None:
    with stage_in_thread(tmp_path / "stage") as first:
        push_branch(first, "topic")
        wanted = {"title": "Words", "head": "topic", "base": "main"}
        headers = {"authorization": f"Bearer {first.github_token}"}
        httpx.post(f"{first.github_api_url}/repos/rehearsal/greeter/pulls", json=wanted, headers=headers)
        issue = first.github.add_issue("rehearsal", "greeter", "An issue")

    with stage_in_thread(tmp_path / "stage") as second:
        pulls = httpx.get(f"{second.github_api_url}/repos/rehearsal/greeter/pulls").json()

        assert second.base_url == first.base_url
        assert second.github_token != first.github_token
        assert [one["title"] for one in pulls] == ["Words"]
        assert issue == 2
        assert "refs/heads/topic" in git("ls-remote", second.repository_url).stdout


def test_a_port_that_is_taken_is_an_error_when_asked_for_and_another_one_when_remembered(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        async def open_on_it() -> None:
            async with open_stage(tmp_path, port=port):
                pytest.fail("it is taken")

        with pytest.raises(OSError, match="in use"):
            anyio.run(open_on_it)
        (tmp_path / "port").write_text(str(port))
        with stage_in_thread(tmp_path) as stage:
            assert not stage.base_url.endswith(f":{port}")


def test_the_end_of_a_short_answer_does_not_wait_for_the_client_to_have_its_beginning() -> None:
    with (
        listen_at("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()),
        listener.accept()[0] as connection,
    ):
        # asyncio sees to it only where a socket was made with the protocol's number.
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_answers_to_git_take_as_long_as_they_are_told_to(stage: Stage, git: Git) -> None:
    stage.repositories.latency = 0.2
    began = time.monotonic()
    git("ls-remote", stage.repository_url)  # asks twice

    assert time.monotonic() - began >= 0.4


@pytest.mark.parametrize("said", ["-1", "soon", "60001", "1.5"])
def test_a_latency_that_is_none_is_an_error_that_says_what_one_is(said: str) -> None:
    command = [sys.executable, "-m", "src.agent_work_orders.rehearsal", "--latency", said]
    ended = subprocess.run(command, cwd=PYTHON_ROOT, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert "a whole number from 0 to 60000" in ended.stderr


@pytest.mark.anyio
async def test_only_loopback_addresses_are_served(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="loopback"):
        async with open_stage(tmp_path, host="0.0.0.0"):  # noqa: S104 - the address that must be refused
            pytest.fail("it listens")


def test_its_settings_are_an_operator_s(stage: Stage) -> None:
    environment = stage.environment()

    assert environment["ANTHROPIC_BASE_URL"] == stage.model_url
    assert environment["AWO_GITHUB_API_URL"] == stage.github_api_url
    assert stage.base_url == f"http://{environment['AWO_INSECURE_REPOSITORY_HOSTS']}"


def test_it_runs_on_its_own_and_ends_at_sigterm(tmp_path: Path) -> None:
    scenario = tmp_path / "scenario.json"
    scenario.write_text('{"scripts": [{"turns": [{"text": "from my file"}]}]}')
    command = [sys.executable, "-m", "src.agent_work_orders.rehearsal", "--scenario", str(scenario)]
    with subprocess.Popen(  # noqa: TID251 - a server of its own, and this block is its scope
        [*command, "--directory", str(tmp_path / "stage")], cwd=PYTHON_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(7)]
        settings = dict(line.removeprefix("export ").strip().split("=", 1) for line in said[1:])
        headers = {"x-api-key": settings["ANTHROPIC_API_KEY"]}
        answer = httpx.post(f"{settings['ANTHROPIC_BASE_URL']}/v1/messages", json=asking("go"), headers=headers)
        os.kill(process.pid, signal.SIGTERM)
        status = process.wait(timeout=20)

    assert said[0].startswith("# The sample repository: http://127.0.0.1:")
    assert answer.json()["content"][0]["text"] == "from my file"
    assert status == 0
