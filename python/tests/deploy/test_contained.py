"""The server as its container runs it: an ordinary user, a read-only root, no capabilities, volumes that last."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from src.agent_work_orders.rehearsal import Stage
from tests.agent_work_orders.story.archon import running_archon
from tests.agent_work_orders.story.conftest import Play, make_repository, play, remote, stage
from tests.agent_work_orders.story.processes import processes_of
from tests.agent_work_orders.story.remote import Remote
from tests.agent_work_orders.story.scripts import bash, executing, says

from .contained import SCRATCH, USER

__all__ = ["make_repository", "play", "remote", "stage"]

PROGRAM = ("-m", "tests.deploy.contained")


def may_be_contained() -> bool:
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    tried = subprocess.run(["unshare", "--mount", "--propagation", "private", "true"], capture_output=True)
    return tried.returncode == 0


needs_root = pytest.mark.skipif(
    not may_be_contained(), reason="NOT TESTED: the container's conditions can be made by root with unshare only"
)


@pytest.fixture
def volumes() -> Iterator[dict[str, Path]]:
    """As the compose file mounts them, owned by the image's user."""
    # Not below the tests' own folder, which no other user may pass through.
    top = Path(mkdtemp(dir="/var/tmp", prefix="awo-volumes-"))
    try:
        home = top / "archon"
        made = {
            "ARCHON_HOME": home,
            "AWO_REPOSITORY_DIR": top / "repositories",
            "AWO_WORK_ORDER_DIR": top / "work-orders",
            "AWO_CONFIG_DIR": top / "config",
        }
        top.chmod(0o755)
        for folder in made.values():
            folder.mkdir(mode=0o700)
            os.chown(folder, USER, USER)
        yield made
    finally:
        shutil.rmtree(top)


@needs_root
def test_an_order_survives_its_container_and_ends_with_a_pull_request(
    stage: Stage, remote: Remote, play: Play, volumes: dict[str, Path]
) -> None:
    settings = {
        **{name: str(folder) for name, folder in volumes.items()},
        "CONTAINED_VOLUMES": ",".join(map(str, volumes.values())),
        "HOME": SCRATCH,
        "TMPDIR": SCRATCH,
        "PYTHONDONTWRITEBYTECODE": "1",
        "COVERAGE_PROCESS_START": "",
        "COVERAGE_PROCESS_CONFIG": "",
    }
    play(executing(bash("echo half > half.txt"), says("Half is done.", gate=f"half-{remote.name}")))
    with running_archon(volumes["ARCHON_HOME"], stage, settings, PROGRAM) as first:
        conditions = Path(f"/proc/{first.process.pid}/status").read_text()
        assert f"Uid:\t{USER}\t{USER}\t{USER}\t{USER}" in conditions
        assert "NoNewPrivs:\t1" in conditions
        assert "CapBnd:\t0000000000000000" in conditions
        mounts = Path(f"/proc/{first.process.pid}/mounts").read_text().splitlines()
        root = next(line.split() for line in reversed(mounts) if line.split()[1] == "/")
        assert "ro" in root[3].split(",")
        order = first.file(remote.url)
        order.at_gate(f"half-{remote.name}")
        assert processes_of(order.id)
        first.kill()

    play(executing(bash("cat half.txt > whole.txt")))
    with running_archon(volumes["ARCHON_HOME"], stage, settings, PROGRAM) as second:
        done = second.order(order.id).completed()
    assert done["github_pull_request_url"]
    [pull_request] = remote.pull_requests()
    assert pull_request.state == "open"
    assert "whole.txt" in remote.git("diff", "--name-only", f"main..{done['git_branch_name']}").splitlines()
    assert processes_of(order.id) == {}
