"""The images and the compose files: linted, valid, and merged by a real Compose implementation."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
DOCKERFILES = (
    "python/Dockerfile.server",
    "python/Dockerfile.mcp",
    "python/Dockerfile.awo",
    "archon-ui-main/Dockerfile",
)
# The shape of the public Archon v1 file, as far as an override of it can matter.
PUBLIC = """\
services:
  archon-server:
    build:
      context: ./python
      dockerfile: Dockerfile.server
    container_name: archon-server
    ports:
      - "8181:8181"
    environment:
      - SUPABASE_URL=${SUPABASE_URL}
      - ARCHON_SERVER_PORT=8181
    networks:
      - app-network
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
      - ./python/src:/app/src
      - ./python/tests:/app/tests
      - ./migration:/app/migration
    command: ["python", "-m", "uvicorn", "src.server.main:app", "--host", "0.0.0.0", "--port", "8181", "--reload"]
  archon-mcp:
    build:
      context: ./python
      dockerfile: Dockerfile.mcp
    environment:
      - ARCHON_MCP_PORT=8051
    depends_on:
      archon-server:
        condition: service_healthy
networks:
  app-network:
    driver: bridge
"""


@pytest.mark.parametrize("name", DOCKERFILES)
def test_an_image_is_built_as_the_linter_wants_it(name: str) -> None:
    said = run([str(BIN / "hadolint"), str(ROOT / name)])
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", ["docker-compose.yml", "docker-compose.dev.yml"])
def test_a_compose_file_follows_the_specification(name: str) -> None:
    said = run([str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(ROOT / name)])
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("name", ["python/Dockerfile.server", "python/Dockerfile.mcp"])
def test_what_an_image_copies_is_there_and_reaches_the_builder(name: str) -> None:
    let_in = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                if source.startswith("python/requirements/"):
                    assert "python/requirements" in let_in
                assert (ROOT / source).exists(), source
                assert any(source.rstrip("/").startswith(one) for one in let_in), source


def test_no_container_runs_as_root_or_may_become_it(tmp_path: Path) -> None:
    services = merged(tmp_path, ROOT, "docker-compose.yml", profile="ui")["services"]
    assert set(services) == {"archon-server", "archon-mcp", "archon-ui"}
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not any("docker.sock" in str(volume) for volume in service.get("volumes", [])), name
        assert all(str(port).startswith("127.0.0.1:") for port in service["ports"]), name
    for name in ("archon-server", "archon-mcp"):
        assert services[name]["read_only"] is True
    for name in DOCKERFILES:
        last_user = [line for line in (ROOT / name).read_text().splitlines() if line.startswith("USER ")][-1]
        assert last_user.split()[1].split(":")[0].isdigit()


def test_agent_work_orders_are_opt_in_and_their_volumes_last(tmp_path: Path) -> None:
    merged_file = merged(tmp_path, ROOT, "docker-compose.yml")
    server = merged_file["services"]["archon-server"]
    assert server["environment"]["ARCHON_AWO_ENABLED"] == "false"
    assert {"awo-home", "awo-repositories", "awo-config", "awo-work-orders"} == set(merged_file["volumes"])
    mounted = {volume.partition(":")[2] for volume in map(str, server["volumes"])}
    assert mounted == {
        "/var/archon",
        "/var/archon/repositories",
        "/var/archon/config",
        "/var/archon/work-orders",
    }


def test_the_override_adds_awo_to_the_public_file_and_takes_the_socket_away(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text(PUBLIC)
    (tmp_path / "docker-compose.awo.yml").write_text((ROOT / "docker-compose.awo.yml").read_text())
    (tmp_path / "python").mkdir()
    token = {"AWO_API_TOKEN": "0123456789abcdef", "SUPABASE_URL": "http://example.invalid"}
    services = merged(tmp_path, tmp_path, "docker-compose.yml", "docker-compose.awo.yml", **token)["services"]
    server = services["archon-server"]
    assert not any("docker.sock" in str(volume) for volume in server["volumes"])
    assert {str(volume).partition(":")[0] for volume in server["volumes"]} >= {"awo-home", "awo-repositories"}
    assert server["environment"]["ARCHON_AWO_ENABLED"] == "true"
    assert server["environment"]["SUPABASE_URL"] == "http://example.invalid"
    assert server["build"]["dockerfile"] == "Dockerfile.awo"
    assert "uvicorn" in str(server["command"])
    assert services["archon-mcp"]["depends_on"]


def test_the_override_insists_on_a_token(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.yml").write_text(PUBLIC)
    (tmp_path / "docker-compose.awo.yml").write_text((ROOT / "docker-compose.awo.yml").read_text())
    said = compose(tmp_path, tmp_path, "docker-compose.yml", "docker-compose.awo.yml")
    assert said.returncode != 0
    assert "AWO_API_TOKEN" in said.stdout + said.stderr


def test_hot_reload_mounts_only_the_sources(tmp_path: Path) -> None:
    server = merged(tmp_path, ROOT, "docker-compose.yml", "docker-compose.dev.yml")["services"]["archon-server"]
    assert server["environment"]["ARCHON_RELOAD"] == "true"
    assert sum(str(volume).endswith(":ro") for volume in server["volumes"]) == 2


def merged(scratch: Path, folder: Path, *files: str, profile: str = "", **variables: str) -> dict[str, Any]:
    said = compose(scratch, folder, *files, profile=profile, **variables)
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = yaml.safe_load(said.stdout)
    return found


def compose(
    scratch: Path, folder: Path, *files: str, profile: str = "", **variables: str
) -> "subprocess.CompletedProcess[str]":
    """What `config` prints. The implementation asks for an engine's version and for nothing else of it."""
    programs = scratch / "programs"
    programs.mkdir(exist_ok=True)
    engine = programs / "podman"
    engine.write_text("#!/bin/sh\necho 'podman version 5.0.0'\n")
    engine.chmod(0o755)
    named = [word for name in files for word in ("-f", str(folder / name))]
    profiles = ["--profile", profile] if profile else []
    environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "HOME": str(scratch), **variables}
    return run([str(BIN / "podman-compose"), *named, *profiles, "config"], environment, folder)


def run(
    command: list[str], environment: Mapping[str, str] | None = None, folder: Path = ROOT
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "HOME": os.devnull} if environment is None else dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
