import os
import subprocess
import sys

from src.agent_work_orders.agent.strays import descendants, is_alive, process_identity, sweep_run


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
