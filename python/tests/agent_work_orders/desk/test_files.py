"""The settings files: what may stand in them, what is refused with its line, and what holds while one is broken."""

from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.desk.files import BrokenFile, SettingsFiles, read_file
from src.agent_work_orders.settings import catalogue


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    path = tmp_path / "agent-settings.yaml"
    path.write_text(text)
    return {name: one.value for name, one in read_file(path, None).items()}


def test_a_file_holds_settings_by_name(tmp_path: Path) -> None:
    assert read(
        tmp_path,
        "# a comment\nmax_concurrent: 7\nmax_cost_usd: 2.5\nclaude_model: opus\nallowed_repository_hosts:\n"
        "  - github.com\n  - git.corp:8443\nverify_command: |\n  make lint\n  make test\n"
        "repository_dir: /srv/r\nlease:\nenabled: true\n",
    ) == {
        "max_concurrent": 7,
        "max_cost_usd": 2.5,
        "claude_model": "opus",
        "allowed_repository_hosts": frozenset({"github.com", "git.corp:8443"}),
        "verify_command": "make lint\nmake test",
        "repository_dir": Path("/srv/r"),
        "enabled": True,
    }


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "{}\n", "~\n"])
def test_an_empty_file_sets_nothing(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == {}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("max_concurrent: 3\nmax_concurrent: 4\n", 2, "twice"),
        ("lease: 10\nmax_concurent: 3\n", 2, "no setting"),
        ("max_concurrent: '3'\n", 1, "whole number"),
        ("\n\nmax_concurrent: 012\n", 3, "whole number"),
        ("max_concurrent: 1:30\n", 1, "whole number"),
        ("max_concurrent: true\n", 1, "whole number"),
        ("max_concurrent: 0x10\n", 1, "whole number"),
        ("max_concurrent: 1_000\n", 1, "whole number"),
        ("max_concurrent: 0\n", 1, "greater"),
        ("max_cost_usd: .nan\n", 1, ""),
        ("enabled: on\n", 1, "true or false"),
        ("enabled: 'true'\n", 1, "true or false"),
        ("claude_model: 2026-01-01\nlease: no\n", 2, "whole number"),
        ("claude_model: [a]\n", 1, "text"),
        ("claude_model: {a: b}\n", 1, "mapping"),
        ("max_concurrent: [\n", 2, "YAML"),
        ("a: b: c\n", 1, "YAML"),
        ("- max_concurrent\n", 1, "name: value"),
        ("? [a]\n: 3\n", 1, "word"),
        ("home: /srv\n", 1, "ARCHON_HOME"),
        ("api_token: 0123456789abcdef\n", 1, "AWO_API_TOKEN"),
        ("claude_model: !!python/object/apply:os.system [id]\n", 1, ""),
        ("claude_model: &a opus\nlease: *b\n", 2, "YAML"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(BrokenFile) as refused:
        read(tmp_path, text)
    assert refused.value.where == f"{tmp_path / 'agent-settings.yaml'}:{line}"
    assert said in refused.value.problem
    assert "0123456789abcdef" not in str(refused.value)


@pytest.mark.parametrize("name", [name for name, knob in catalogue().items() if "file" not in knob.places])
def test_what_only_the_environment_may_set_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BrokenFile, match=catalogue()[name].env):
        read(tmp_path, f"{name}: x\n")


@pytest.mark.parametrize(
    ("raw", "said"),
    [(b"max_concurrent: 3\xff\n", "UTF-8"), (b"# " + b"x" * 300_000, "larger"), (b"[" * 100_000, "no YAML")],
    ids=["no text", "too large", "too deep"],
)
def test_a_file_that_is_no_settings_file_is_refused(tmp_path: Path, raw: bytes, said: str) -> None:
    path = tmp_path / "agent-settings.yaml"
    path.write_bytes(raw)
    with pytest.raises(BrokenFile, match=said):
        read_file(path, None)


def test_the_shared_file_holds_ours_in_a_section_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("ui: {theme: dark}\nagent_work_orders:\n  max_concurrent: 4\n")
    assert {name: one.value for name, one in read_file(path, "agent_work_orders").items()} == {"max_concurrent": 4}
    path.write_text("ui: {theme: dark}\n")
    assert read_file(path, "agent_work_orders") == {}


@pytest.fixture
def files(tmp_path: Path) -> SettingsFiles:
    (tmp_path / "config").mkdir()
    return SettingsFiles(tmp_path / "config", tmp_path)


def values(files: SettingsFiles) -> dict[str, Any]:
    return {name: one.value for name, one in files.values.items()}


def replace(path: Path, text: str) -> None:
    """As editors and deployments do it: another file takes the name."""
    draft = path.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(path)


def test_the_agents_file_wins_over_the_shared_one(files: SettingsFiles, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("agent_work_orders: {max_concurrent: 4, lease: 20}\n")
    (tmp_path / "config" / "agent-settings.yaml").write_text("max_concurrent: 6\n")
    assert files.look()
    assert values(files) == {"max_concurrent": 6, "lease": 20}
    assert files.values["max_concurrent"].origin == "agent-settings.yaml:1"
    assert not files.look(), "nothing has changed since"


def test_a_change_is_seen_and_a_broken_file_keeps_its_last_good_values(files: SettingsFiles, tmp_path: Path) -> None:
    path = tmp_path / "config" / "agent-settings.yaml"
    assert not files.look()
    replace(path, "max_concurrent: 6\n")
    assert files.look()
    replace(path, "max_concurrent: 7\nlease: soon\n")
    assert files.look()
    assert values(files) == {"max_concurrent": 6}
    assert files.problems == [f"{path}:2: lease must be a whole number"]
    replace(path, "max_concurrent: 8\n")
    assert files.look()
    assert (values(files), files.problems) == ({"max_concurrent": 8}, [])
    path.unlink()
    assert files.look()
    assert (values(files), files.problems) == ({}, [])


def test_a_folder_in_the_place_of_a_file_is_named(files: SettingsFiles, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    assert files.look()
    assert "config.yaml" in files.problems[0]
