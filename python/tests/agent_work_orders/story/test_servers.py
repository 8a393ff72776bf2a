"""Two servers on one database, each with a disk of its own: one dies, the other ends what it began."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.rehearsal import Stage

from ..postgres.project import MIGRATION, Project
from .archon import Archon, eventually, running_archon
from .conftest import Play, StartArchon
from .processes import processes_of
from .remote import Remote
from .scripts import bash, executing, in_step, says

LEASE = 8
STEPS = ["create-branch", "planning", "execute", "prp-review", "commit", "create-pr"]


@pytest.fixture
def shared(project: Project) -> dict[str, str]:
    return {
        "SUPABASE_URL": project.url,
        "SUPABASE_SERVICE_KEY": project.service_key,
        "AWO_LEASE_SECONDS": str(LEASE),
    }


def claimant(servers: tuple[Archon, Archon], worker_id: str) -> tuple[Archon, Archon]:
    """The server that runs it, and the other."""
    first, second = servers
    mine = first.client.get("/status").raise_for_status().json()["worker"]["worker_id"]
    return (first, second) if worker_id == mine else (second, first)


@pytest.mark.parametrize(
    ("step", "pushed", "taken_again"),
    [
        # In the middle of the first change nothing was saved yet; later there is a checkpoint on a hidden ref.
        ("execute", "on", ["execute", "prp-review"]),
        ("prp-review", "on", ["prp-review"]),
        # The plan stands in the database; what was changed died with the other's disk, and is made anew.
        ("prp-review", "off", ["execute", "prp-review"]),
    ],
    ids=["execute", "prp-review", "prp-review-unshared"],
)
def test_the_other_server_ends_what_a_killed_one_began(
    start_archon: StartArchon,
    play: Play,
    remote: Remote,
    shared: dict[str, str],
    tmp_path: Path,
    step: str,
    pushed: str,
    taken_again: list[str],
) -> None:
    if pushed == "off":
        shared = {**shared, "AWO_PUSH_CHECKPOINTS": "off"}
    gate = f"{step}-{remote.name}"
    writes = (bash("echo hello > hello.txt"), says("I wrote it."))
    stuck = in_step(step, says("Never said.", gate=gate))
    play(in_step("planning", says("# The plan")), *([] if step == "execute" else [executing(*writes)]), stuck)
    servers = start_archon(tmp_path / "one", **shared), start_archon(tmp_path / "two", **shared)
    order = servers[0].file(remote.url, workflow_type="agent_workflow_plan", selected_commands=STEPS)
    order.at_gate(gate)
    runs_it, other = claimant(servers, order.now()["worker_id"])
    end = other.order(order.id).now()["last_seq"]

    runs_it.kill()
    killed_at = time.monotonic()
    play(in_step("planning", says("No.")), executing(*writes), in_step("prp-review", says("It is good.")))
    order = other.order(order.id)
    order.until("order_claimed", end)
    taken_over_after = time.monotonic() - killed_at

    later = order.follow(end)
    done = order.now()
    assert done["status"] == "completed", done
    assert taken_over_after <= 2 * LEASE
    assert done["attempt"] == 2
    started = [event.payload["step_name"] for event in later if event.kind == "step_started"]
    assert started == [*taken_again, "verify", "commit", "create-pr"]
    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"
    assert len(remote.pull_requests()) == 1
    eventually(lambda: remote.git("for-each-ref", "refs/awo/") == "")


@pytest.mark.parametrize("pushed", ["on", "off"])
def test_a_branch_that_a_killed_server_had_pushed_is_no_conflict_for_the_other(
    start_archon: StartArchon, play: Play, remote: Remote, shared: dict[str, str], tmp_path: Path, pushed: str
) -> None:
    # The remote has taken the branch when its hook starts, and keeps the client waiting for its answer.
    answer, arrived = tmp_path / "answer", tmp_path / "arrived"
    hook = remote.path / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    wait = f"touch {arrived}; while [ ! -e {answer} ]; do sleep 0.05; done"
    hook.write_text(f'#!/bin/sh\nread old new ref\ncase "$ref" in refs/heads/*) {wait} ;; esac\n')
    hook.chmod(0o755)
    play(executing(bash("date +%N > hello.txt"), says("I wrote it.")))
    shared = {**shared, "AWO_PUSH_CHECKPOINTS": pushed}
    servers = start_archon(tmp_path / "one", **shared), start_archon(tmp_path / "two", **shared)
    order = servers[0].file(remote.url)
    order.eventually(arrived.exists)
    runs_it, other = claimant(servers, order.now()["worker_id"])
    end = other.order(order.id).now()["last_seq"]

    runs_it.kill()
    answer.touch()
    order = other.order(order.id)

    later = order.follow(end)
    done = order.now()
    assert done["status"] == "completed", done
    assert "execute" not in [event.payload["step_name"] for event in later if event.kind == "step_started"]
    assert remote.git("rev-list", "--count", f"main..{done['git_branch_name']}") == "1"
    assert len(remote.pull_requests()) == 1


def test_any_server_files_follows_and_cancels_any_order(
    start_archon: StartArchon, play: Play, remote: Remote, shared: dict[str, str], tmp_path: Path
) -> None:
    gate = f"cancelled-{remote.name}"
    play(executing(says("Never said.", gate=gate)))
    servers = start_archon(tmp_path / "one", **shared), start_archon(tmp_path / "two", **shared)
    order = servers[0].file(remote.url)
    order.at_gate(gate)
    _, other = claimant(servers, order.now()["worker_id"])
    elsewhere = other.order(order.id)
    assert elsewhere.cancel().status_code in (200, 202)
    assert elsewhere.follow()[-1].payload["status"] == "cancelled"


def test_a_server_without_its_tables_starts_says_which_file_to_run_and_goes_on_by_itself(
    stage: Stage, play: Play, remote: Remote, shared: dict[str, str], project: Project, tmp_path: Path
) -> None:
    play(executing(bash("echo hello > hello.txt"), says("I wrote it.")))
    for down in sorted(MIGRATION.glob("awo-*/down/*.sql"), reverse=True):
        project.run(down.read_text(encoding="utf-8"))
    project.forget("awo_check_v1")
    with ExitStack() as stack:
        try:
            archon = stack.enter_context(running_archon(tmp_path / "home", stage, shared, health=503))
            refused = archon.client.get("/work-orders")
            assert refused.status_code == 503
            assert "migration/awo_setup.sql" in refused.json()["detail"]["next_action"]
            checks = archon.client.get("/health").json()["checks"]
            [store] = [check for check in checks if not check["ok"]]
            assert store["name"] == "store"
            assert "migration/awo_setup.sql" in store["next_action"]
        finally:
            project.migrate()
        eventually(lambda: archon.client.get("/work-orders").status_code == 200)
        assert archon.file(remote.url).completed()["status"] == "completed"


def test_a_database_that_is_away_for_a_while_costs_nothing_but_time(
    start_archon: StartArchon, play: Play, remote: Remote, shared: dict[str, str], project: Project
) -> None:
    gate = f"away-{remote.name}"
    play(executing(bash("echo hello > hello.txt"), says("Written.", gate=gate), says("Done.")))
    archon = start_archon(**{**shared, "AWO_LEASE_SECONDS": "60"})
    order = archon.file(remote.url)
    order.at_gate(gate)
    project.kill_postgrest()
    assert archon.client.get("/work-orders").status_code == 503
    archon.stage.model.release(gate)
    # Meanwhile the agent goes on: it ends its turn with nobody to write it down.
    eventually(lambda: not any("stream-json" in line for line in processes_of(order.id).values()))
    project.start_postgrest()
    done = order.completed()
    assert done["attempt"] == 1
    assert [event.kind for event in order.events()].count("order_claimed") == 1
    assert len(remote.pull_requests()) == 1


@pytest.fixture
def with_settings(project: Project, shared: dict[str, str]) -> Iterator[dict[str, str]]:
    forget = "delete from public.archon_settings"
    project.run(forget)
    # Empty counts as unset: what the operator does not give is saved over the API.
    yield {**shared, "AWO_LEASE_SECONDS": "", "GITHUB_TOKEN": "", "ANTHROPIC_API_KEY": ""}
    project.run(forget)


def test_limit_token_and_retention_that_are_saved_on_one_server_are_obeyed_by_the_other(
    start_archon: StartArchon,
    stage: Stage,
    play: Play,
    remote: Remote,
    with_settings: dict[str, str],
    tmp_path: Path,
) -> None:
    one, other = (start_archon(tmp_path / name, **with_settings) for name in ("one", "other"))

    def saved(**changes: Any) -> bool:
        answer = one.client.patch("/settings", json=changes, headers={"If-Match": "*"})
        return answer.status_code == 200

    assert saved(max_concurrent=7)
    eventually(lambda: other.client.get("/status").json()["worker"]["slots"] == 7, within=5)

    def kept_days() -> Any:
        listed = other.client.get("/settings").json()["settings"]
        return next(one["value"] for one in listed if one["name"] == "retention_days")

    assert saved(retention_days=23)
    eventually(lambda: kept_days() == 23, within=5)

    for name, value in (("github_token", stage.github_token), ("anthropic_api_key", stage.anthropic_api_key)):
        one.client.put(f"/settings/secrets/{name}", json={"value": value}).raise_for_status()

    def has_both() -> bool:
        checks = {check["name"]: check["ok"] for check in other.client.get("/health").json()["checks"]}
        return bool(checks["github_token"] and checks["claude_credentials"])

    eventually(has_both, within=5)
    play(executing(bash("echo hello > hello.txt"), says("I wrote it.")))
    assert saved(max_concurrent=7)
    one.terminate()  # so that the other one has to use them
    other.file(remote.url).completed()
    assert len(remote.pull_requests()) == 1
