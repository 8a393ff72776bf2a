import os
import subprocess
import sys

import pytest

from src.agent_work_orders.agent.strays import (
    OWNER_MARKER,
    RUN_MARKER,
    descendants,
    is_alive,
    owner_mark,
    pid_space,
    process_identity,
    sweep_run,
    sweep_strays,
)


def test_an_identity_is_true_of_one_process_and_of_no_later_one() -> None:
    own = process_identity()
    assert own.startswith(f"{os.getpid()}-")
    assert is_alive(own)
    assert not is_alive(f"{os.getpid()}-1")
    assert not is_alive("4194304999-1")
    assert not is_alive("nonsense")


def test_an_ended_process_is_not_alive() -> None:
    said = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid(), open('/proc/self/stat').read().split()[21])"],
        capture_output=True,
        text=True,
        check=True,
    )
    pid, started = said.stdout.split()
    assert not is_alive(f"{pid}-{started}")


def test_a_sweep_of_nothing_ends_nothing() -> None:
    assert sweep_run("wo-that-never-was") == []
    assert not is_alive("1-0")
    assert process_identity() not in descendants(os.getpid())


@pytest.mark.parametrize(
    ("space", "ends"),
    [
        (f"@{pid_space()}", True),
        ("", True),  # as servers marked them before there was a space in it
        ("@1", False),  # of a container's server, whose number means nothing out here
    ],
)
def test_only_what_a_dead_server_of_this_space_left_is_a_stray(space: str, ends: bool) -> None:
    environ = {RUN_MARKER: "wo-stray.1", OWNER_MARKER: f"4194304999-1{space}"}
    with subprocess.Popen(["sleep", "100"], env={"PATH": os.environ["PATH"], **environ}) as left:  # noqa: TID251 - it ends here
        try:
            assert (left.pid in sweep_strays()) is ends
            assert (left.poll() is None) is not ends
        finally:
            left.kill()


def test_what_a_living_server_runs_is_no_stray() -> None:
    environ = {RUN_MARKER: "wo-running.1", OWNER_MARKER: owner_mark()}
    with subprocess.Popen(["sleep", "100"], env={"PATH": os.environ["PATH"], **environ}) as running:  # noqa: TID251 - it ends here
        try:
            assert running.pid not in sweep_strays()
            assert running.poll() is None
        finally:
            running.kill()
