"""The images of the servers, step by step, on a root of Debian's packages, and what runs in it; no engine is needed."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.agent_work_orders.story.archon import eventually, free_port

from . import machine
from .container import Container, running
from .dockerfile import Context, stages, variables
from .image import ALONE, builder

ROOT = Path(__file__).parents[3]
SERVER = ROOT / "python" / "Dockerfile.server"
MCP = ROOT / "python" / "Dockerfile.mcp"


def why_not() -> str | None:
    """What is missing for it here. A machine without Debian's packages, or without root, cannot build a root."""
    if os.geteuid() != 0:
        return "only root can build and mount a root"
    missing = [name for name in ("mmdebstrap", "unshare", "nsenter", "npm", "apt-get") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} is not installed here"
    if machine.debian_mirror() is None:
        return "apt is not set up with a mirror of Debian"
    return "nothing can be mounted here" if overlay_refused() else None


def overlay_refused() -> bool:
    """Whether this machine refuses what a layer is mounted with; it lies in a file system of its own."""
    options = "lowerdir=below,upperdir=above,workdir=work"
    script = f"mount -t tmpfs x /mnt; cd /mnt; mkdir below above work root; mount -t overlay -o {options} x root"
    return subprocess.run([*ALONE, script], capture_output=True, stdin=subprocess.DEVNULL).returncode != 0


needs_a_root = pytest.mark.skipif((reason := why_not()) is not None, reason=f"NOT TESTED: {reason}")


@needs_a_root
@pytest.mark.timeout(900)  # the first time all packages are fetched, for some minutes; after that it takes seconds
def test_every_step_of_the_images_is_taken_and_what_they_make_runs_an_order() -> None:
    with builder(Context(ROOT)) as build:
        image = build.build(SERVER)
        settings = {"ARCHON_SERVER_PORT": str(free_port()), "ARCHON_AWO_ENABLED": "true", "AWO_REHEARSAL": "true"}
        # Only this machine may file orders in a rehearsal; the image itself listens to all.
        with running(build, image, {**settings, "HOST": "127.0.0.1"}) as container:
            with httpx.Client(base_url=f"http://127.0.0.1:{settings['ARCHON_SERVER_PORT']}", timeout=30) as client:
                eventually(lambda: answers(container, client), within=60)
                its_process_may_do_nothing_more(container)
                its_tools_answer(container)
                assert healthy(container)
                an_order_gets_its_pull_request(client)
            assert container.stop() == 0
        # In the same breath, because a builder forgets the layers that it did not use.
        image = build.build(MCP)
        with running(build, image, {"ARCHON_MCP_PORT": str(free_port())}) as container:
            eventually(lambda: healthy(container), within=60)
            its_process_may_do_nothing_more(container)


def answers(container: Container, client: httpx.Client) -> bool:
    assert container.process.poll() is None, container.log.read_text()[-3000:]
    try:
        health = client.get("/health")
    except httpx.TransportError:
        return False
    assert health.status_code == 200, health.text
    assert "<html" in client.get("/", headers={"Accept": "text/html"}).text  # the pages of the image's first stage
    return True


def its_process_may_do_nothing_more(container: Container) -> None:
    conditions = Path(f"/proc/{container.pid}/status").read_text()
    assert "Uid:\t10001\t10001\t10001\t10001" in conditions
    assert "CapBnd:\t0000000000000000" in conditions
    assert "NoNewPrivs:\t1" in conditions
    assert container.run("touch", "/app/mine").returncode != 0
    for folder in ("/tmp", *container.image.volumes):  # noqa: S108 - the image's own, which is a tmpfs
        assert container.run("touch", f"{folder}/mine").returncode == 0


def its_tools_answer(container: Container) -> None:
    """Each in the version that the image is meant to have; `python` is Debian's, see the deployment guide."""
    pinned = json.loads((ROOT / "tools/claude-cli/package.json").read_text())["dependencies"]
    told = {
        name: container.run(name, "--version")
        for name in ("claude", "git", "git-lfs", "gh", "bwrap", "rg", "make", "python")
    }
    assert {name: one.returncode for name, one in told.items()} == dict.fromkeys(told, 0), told
    assert told["claude"].stdout.split()[0] == pinned["@anthropic-ai/claude-code"]
    assert version(told["git"].stdout) >= (2, 34)
    assert (3, 11) <= version(told["python"].stdout) < (3, 14)
    assert container.run("ssh", "-V").returncode == 0


def version(said: str) -> tuple[int, ...]:
    found = re.search(r"(\d+)\.(\d+)", said)
    assert found is not None, said
    return tuple(map(int, found.groups()))


def healthy(container: Container) -> bool:
    """What the image's own health check says."""
    assert container.process.poll() is None, container.log.read_text()[-3000:]
    return container.has_begun() and container.run(*container.image.health).returncode == 0


def an_order_gets_its_pull_request(client: httpx.Client) -> None:
    rehearsal = client.get("/api/awo/status").json()["rehearsal"]
    body = {"repository_url": rehearsal["repository_url"], "user_request": rehearsal["request"]}
    filed = client.post("/api/awo/work-orders", json=body)
    assert filed.status_code == 202, filed.text
    address = f"/api/awo/work-orders/{filed.json()['agent_work_order_id']}"
    with client.stream("GET", f"{address}/events/stream", timeout=120) as stream:
        for _ in stream.iter_lines():  # ends with the order
            pass
    order = client.get(address).json()
    assert order["status"] == "completed", order["error_message"]
    assert order["github_pull_request_url"]


@pytest.mark.parametrize("name", ["python/Dockerfile.server", "python/Dockerfile.mcp"])
def test_a_dockerfile_is_read_whole(name: str) -> None:
    read = stages((ROOT / name).read_text(encoding="utf-8"))
    written = re.findall(r"^[A-Z]+(?= )", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert [word for stage in read for word in ("FROM", *(step.name for step in stage.steps))] == written
    assert read[-1].name == ""


@pytest.mark.parametrize(
    "line",
    [
        "ADD a b",
        "RUN --mount=type=cache,target=/x y",
        "RUN <<EOF",
        "COPY --link a b",
        "COPY --chown=1:1 a b",
        "ONBUILD RUN x",
    ],
)
def test_a_step_that_the_interpreter_does_not_know_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match="does not know"):
        stages(f"FROM python:3.12-slim-bookworm\n{line}\n")


def test_a_variable_may_use_one_that_is_known() -> None:
    assert variables("PATH=/a:$PATH B='x y' C=${PATH}", {"PATH": "/b"}) == {"PATH": "/a:/b", "B": "x y", "C": "/b"}


def test_the_builder_is_sent_what_the_ignore_file_lets_through(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# why\n*\n!src\n**/node_modules\n**/.env*\n")
    for name in ("src/a.py", "src/b/.env.local", "src/b/node_modules/c/d.js", "src/b/e", "secret"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    context = Context(tmp_path)
    assert [str(name) for name in context.files("src/")] == ["src/a.py", "src/b/e"]
    with pytest.raises(FileNotFoundError, match="sent nothing"):
        context.files("secret")
    before = context.checksum(["src"])
    (tmp_path / "src/a.py").chmod(0o755)
    assert context.checksum(["src"]) != before
