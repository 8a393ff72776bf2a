"""A running server obeys new settings without a restart, and a secret that was saved over the API shows up nowhere."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon, eventually, running_archon
from .conftest import MakeRepository, Play, StartArchon
from .remote import Remote
from .scripts import bash, executing, in_step, says
from .test_secrets import everything_told, files_below, found_in, sampled_command_lines

# Empty counts as unset: what the operator does not give is saved over the API.
NO_SECRETS = {"GITHUB_TOKEN": "", "ANTHROPIC_API_KEY": ""}
Json = dict[str, Any]


def setting(archon: Archon, name: str) -> Json:
    [found] = [one for one in archon.client.get("/settings").json()["settings"] if one["name"] == name]
    return dict(found)


def change(archon: Archon, **changes: Any) -> None:
    answer = archon.client.patch("/settings", json=changes, headers={"If-Match": "*", "X-Archon-User": "Ana"})
    assert answer.status_code == 200, answer.text


def save(archon: Archon, name: str, value: str, **parameters: str) -> str:
    answer = archon.client.put(f"/settings/secrets/{name}", json={"value": value}, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.text


def check(archon: Archon, name: str) -> Json:
    [found] = [one for one in archon.client.get("/health").json()["checks"] if one["name"] == name]
    return dict(found)


def test_a_new_limit_lets_the_next_order_start_and_the_running_one_go_on(
    start_archon: StartArchon, stage: Stage, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon(AWO_MAX_CONCURRENT="")
    change(archon, max_concurrent=1)
    first, second = f"first-{uuid4().hex[:8]}", f"second-{uuid4().hex[:8]}"
    play(
        executing({"gate": first, "text": "Done."}, request=first),
        executing({"gate": second, "text": "Done."}, request=second),
    )
    one = archon.file(make_repository().url, f"Say {first}.")
    one.at_gate(first)
    other = archon.file(make_repository().url, f"Say {second}.")
    assert other.now()["status"] == "pending"
    change(archon, max_concurrent=2)
    other.at_gate(second)
    assert archon.client.get("/status").json()["worker"]["slots"] == 2
    assert one.now()["status"] == "running"
    stage.model.release(first)
    stage.model.release(second)
    assert {one.ended()["status"], other.ended()["status"]} == {"completed"}


def test_a_file_is_obeyed_within_two_seconds_and_a_broken_one_is_named(start_archon: StartArchon) -> None:
    archon = start_archon()
    path = archon.home / "config" / "agent-settings.yaml"

    def write(text: str) -> None:
        draft = path.with_suffix(".draft")
        draft.write_text(text)
        draft.replace(path)

    write("max_concurrent: 9\n")
    eventually(lambda: setting(archon, "max_concurrent")["value"] == 9, within=2.5)
    assert setting(archon, "max_concurrent")["source"] == "file"
    write("max_concurrent: 11\nstall_timeout: soon\n")
    eventually(lambda: not check(archon, "settings")["ok"], within=2.5)
    assert f"{path}:2" in check(archon, "settings")["detail"]
    assert setting(archon, "max_concurrent")["value"] == 9
    assert archon.client.get("/health").status_code == 200
    write("max_concurrent: 11\n")
    eventually(lambda: check(archon, "settings")["ok"], within=2.5)
    assert setting(archon, "max_concurrent")["value"] == 11
    change(archon, max_concurrent=12)
    assert setting(archon, "max_concurrent")["source"] == "database"
    assert "given twice" in check(archon, "settings")["detail"]
    assert archon.log.count("max_concurrent is given twice") <= 1


def test_a_new_token_is_used_by_the_next_order(
    start_archon: StartArchon, stage: Stage, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon(**NO_SECRETS)
    save(archon, "anthropic_api_key", stage.anthropic_api_key)
    save(archon, "github_token", "ghp_wrong0123456789wrong0123456789wrong0")
    play(executing(bash("echo hello > hello.txt"), says("Done.")))
    archon.file(make_repository().url).failed("auth")
    save(archon, "github_token", stage.github_token)
    archon.file(make_repository().url).completed()


def test_a_repository_s_own_token_comes_before_the_general_one(
    start_archon: StartArchon, stage: Stage, play: Play, make_repository: MakeRepository
) -> None:
    archon = start_archon(GITHUB_TOKEN="ghp_wrong0123456789wrong0123456789wrong0")
    remote = make_repository()
    save(archon, "github_token", stage.github_token, repository_url=remote.url)
    play(executing(bash("echo hello > hello.txt"), says("Done.")))
    archon.file(remote.url).completed()
    archon.file(make_repository().url).failed("auth")


def test_another_server_on_the_same_files_follows_within_five_seconds(
    start_archon: StartArchon, stage: Stage, tmp_path: Path
) -> None:
    one = start_archon(tmp_path / "home", **NO_SECRETS)
    other = start_archon(tmp_path / "home", **NO_SECRETS)
    change(one, max_concurrent=17)
    save(one, "github_token", stage.github_token)
    eventually(lambda: setting(other, "max_concurrent")["value"] == 17, within=5)
    eventually(lambda: check(other, "github_token")["ok"], within=5)


def test_secrets_saved_over_the_api_are_nowhere_after_a_whole_order(
    start_traced_archon: StartArchon, stage: Stage, play: Play, remote: Remote
) -> None:
    archon = start_traced_archon(**NO_SECRETS)
    seen_by_agent = "cat /proc/$PPID/environ | tr '\\0' '\\n' | cut -d= -f1; cat .git/config"
    play(
        in_step("planning", says("# The plan")),
        executing(bash(f"echo hello > hello.txt; {seen_by_agent}"), says("Done.")),
        in_step("prp-review", says("Well.")),
    )
    environments: dict[str, str] = {}
    with sampled_command_lines() as arguments:
        answers = {
            "saving the token": save(archon, "github_token", stage.github_token),
            "saving the key": save(archon, "anthropic_api_key", stage.anthropic_api_key),
            "testing github": archon.client.post("/settings/test/github", json={"repository_url": remote.url}).text,
            "testing claude": archon.client.post("/settings/test/claude", json={}).text,
        }
        order = archon.file(remote.url, workflow_type="agent_workflow_plan")
        order.completed()
        for name in ("environ", "cmdline"):
            environments[name] = Path(f"/proc/{archon.process.pid}/{name}").read_bytes().decode("latin-1")
    assert json.loads(answers["testing github"])["ok"], answers["testing github"]
    answers |= {name: archon.client.get(name).text for name in ("/settings", "/settings/audit", "/health", "/status")}
    address = archon.address
    answers |= {
        name: archon.client.get(f"{address}{name}").text
        for name in ("/api/credentials", "/api/credentials/GITHUB_TOKEN")
    }
    assert found_in(answers, stage) == []
    assert found_in({line: line for line in arguments}, stage) == []
    assert found_in(environments, stage) == [], "the server's own environment has never heard of them"
    assert found_in(everything_told(order), stage) == []
    assert found_in({"log": archon.log}, stage) == []
    left = files_below(archon.home)
    assert {Path(name).name for name in left} >= {"awo.db", "github.json", "claude.json", "config"}
    assert found_in(left, stage) == []
    # What is kept is not a mere encoding of it.
    kept = json.loads((archon.home / "credentials" / "github.json").read_text())["credentials"]["GITHUB_TOKEN"]
    assert stage.github_token.encode() not in base64.urlsafe_b64decode(kept["encrypted_value"])


@pytest.fixture
def broken_home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    if path.is_dir():
        path.chmod(0o755)


def test_a_home_that_cannot_be_used_keeps_awo_off_and_says_why(stage: Stage, broken_home: Path) -> None:
    broken_home.mkdir()
    (broken_home / "work-orders").write_text("in the way")
    with ExitStack() as stack:
        archon = stack.enter_context(running_archon(broken_home, stage))
        [told] = archon.client.get("/health").json()["checks"]
        assert str(broken_home / "work-orders") in told["detail"]
        assert f"mv {broken_home / 'work-orders'}" in told["next_action"]
        refused = archon.client.get("/settings")
        assert (refused.status_code, refused.json()["detail"]["error"]) == (503, told["detail"])
        # The host lives on.
        assert archon.client.get(f"{archon.address}/health").status_code == 200


def test_a_broken_file_at_the_start_keeps_awo_off_and_names_its_line(start_archon: StartArchon, tmp_path: Path) -> None:
    (tmp_path / "home" / "config").mkdir(parents=True)
    (tmp_path / "home" / "config" / "agent-settings.yaml").write_text("lease: 10\nmax_concurent: 3\n")
    archon = start_archon()
    [told] = archon.client.get("/health").json()["checks"]
    assert "agent-settings.yaml:2" in told["detail"]
    assert "max_concurent" in told["detail"]
