"""Environment over database over file over default: every setting, from every source, in every conflict."""

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.desk.resolve import Filed, Resolution, resolve
from src.agent_work_orders.domain.setting import Source
from src.agent_work_orders.settings import InvalidSettings, Settings, as_text, catalogue, from_text

# Three values of each setting, all different from its default: one for each source.
VALUES: dict[str, tuple[str, str, str]] = {
    "enabled": ("true", "true", "true"),
    "home": ("/a", "/b", "/c"),
    "repository_dir": ("/a", "/b", "/c"),
    "work_order_dir": ("/a", "/b", "/c"),
    "config_dir": ("/a", "/b", "/c"),
    "commands_dir": ("/a", "/b", "/c"),
    "archive_dir": ("/a", "/b", "/c"),
    "archive_s3_bucket": ("bucket-a", "bucket-b", "bucket-c"),
    "archive_s3_endpoint": ("https://a", "https://b", "https://c"),
    "archive_s3_region": ("region-a", "region-b", "region-c"),
    "archive_s3_prefix": ("a", "b", "c"),
    "max_concurrent": ("11", "12", "13"),
    "max_concurrent_per_repository": ("11", "12", "13"),
    "step_timeout": ("11", "12", "13"),
    "stall_timeout": ("11", "12", "13"),
    "lease": ("11", "12", "13"),
    "max_cost_usd": ("1.5", "2.5", "3.5"),
    "verify_command": ("make a", "make b", "make c"),
    "claude_cli_path": ("/bin/a", "/bin/b", "/bin/c"),
    "allowed_programs": ("/bin/a", "/bin/b", "/bin/b"),
    "claude_model": ("opus", "haiku", "fable"),
    "claude_permission_mode": ("dontAsk", "bypassPermissions", "dontAsk"),
    "agent_mcp_url": ("http://a/mcp", "http://b/mcp", "http://c/mcp"),
    "anthropic_base_url": ("http://a", "http://b", "http://c"),
    "github_api_url": ("http://a", "http://b", "http://c"),
    "allowed_repository_hosts": ("a.example", "b.example", "c.example"),
    "insecure_repository_hosts": ("a.example", "b.example", "c.example"),
    "fetch_freshness": ("1.0", "2.0", "3.0"),
    "prepared_checkouts": ("2", "3", "4"),
    "push_checkpoints": ("true", "false", "true"),
    "retention_days": ("11", "12", "13"),
    "retention_artifact_days": ("11", "12", "13"),
    "retention_event_days": ("11", "12", "13"),
    "retention_mirror_days": ("11", "12", "13"),
    "retention_max_gb": ("1.5", "2.5", "3.5"),
    "retention_max_checkouts": ("11", "12", "13"),
    "disk_low_gb": ("1.5", "2.5", "3.5"),
    "disk_min_free_gb": ("1.5", "2.5", "3.5"),
    "order_quota_mb": ("11", "12", "13"),
    "agent_user": ("a", "b", "c"),
    "host": ("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    "api_token": ("a" * 16, "b" * 16, "c" * 16),
    "allowed_hosts": ("a.example", "b.example", "c.example"),
    "allowed_origins": ("http://a", "http://b", "http://c"),
    "rehearsal": ("true", "true", "true"),
}
SOURCES = (Source.ENVIRONMENT, Source.DATABASE, Source.FILE)
# What a file may hold is decided where files are read; here it only ever holds what it may.
SUBSETS = [subset for size in range(4) for subset in combinations(SOURCES, size)]
CASES = [
    pytest.param(name, given, id=f"{name}-{'+'.join(given) or 'nothing'}")
    for name in VALUES
    for given in SUBSETS
    if Source.FILE not in given or "file" in catalogue()[name].places
]


def resolved(name: str, given: tuple[Source, ...]) -> Resolution:
    """With this setting in these sources, and a list of programs that allows what the database says."""
    env = catalogue()[name].env
    by_source = dict(zip(SOURCES, VALUES[name], strict=True))
    filed: dict[str, Filed] = {}
    if name == "claude_cli_path":
        filed["allowed_programs"] = Filed(frozenset({"/bin/b"}), "agent-settings.yaml:1")
    if Source.FILE in given:
        filed[name] = Filed(from_text(name, by_source[Source.FILE]), "agent-settings.yaml:2")
    return resolve(
        {env: by_source[Source.ENVIRONMENT]} if Source.ENVIRONMENT in given else {},
        {env: by_source[Source.DATABASE]} if Source.DATABASE in given else {},
        filed,
    )


def test_there_is_no_setting_that_these_tests_do_not_know() -> None:
    assert set(VALUES) == set(Settings.model_fields)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_the_first_source_that_has_a_value_wins_and_says_so(name: str, given: tuple[Source, ...]) -> None:
    knob = catalogue()[name]
    allowed = [one for one in given if one in knob.places or (one is Source.FILE and "file" in knob.places)]
    found = resolved(name, given)
    one = found.given[name]
    if allowed:
        winner = allowed[0]
        expected = from_text(name, dict(zip(SOURCES, VALUES[name], strict=True))[winner])
        assert (one.source, one.value) == (winner, expected)
        assert getattr(found.settings, name) == expected
        assert one.locked is (winner is Source.ENVIRONMENT)
    else:
        assert one.source is Source.DEFAULT
        assert one.value == getattr(resolve({}).settings, name)
    if Source.DATABASE in given and "database" not in knob.places and name != "host":
        assert knob.env in (one.problem or "")
        assert len(found.problems) == 1
        assert VALUES[name][1] not in found.problems[0] or len(VALUES[name][1]) < 8
    else:
        assert found.problems == ()
    losers = {as_text(from_text(name, dict(zip(SOURCES, VALUES[name], strict=True))[other])) for other in allowed[1:]}
    differing = losers - {as_text(one.value)}
    assert (len(found.conflicts) > 0) is bool(differing)
    assert all(conflict.setting == name and conflict.winner is allowed[0] for conflict in found.conflicts)


def test_a_conflict_is_one_sentence_with_both_places() -> None:
    found = resolve({"AWO_MAX_CONCURRENT": "3"}, {"AWO_MAX_CONCURRENT": "4"}, {})
    assert [one.sentence() for one in found.conflicts] == [
        "max_concurrent is given twice: by the environment (AWO_MAX_CONCURRENT), which wins, "
        "and by the database (AWO_MAX_CONCURRENT)."
    ]
    assert resolve({"AWO_MAX_CONCURRENT": "3"}, {"AWO_MAX_CONCURRENT": "3"}, {}).conflicts == ()


def test_a_wrong_value_in_the_database_is_named_and_the_next_source_holds() -> None:
    found = resolve({}, {"AWO_MAX_CONCURRENT": "many"}, {"max_concurrent": Filed(7, "agent-settings.yaml:3")})
    assert found.settings.max_concurrent == 7
    assert found.given["max_concurrent"].source is Source.FILE
    assert "AWO_MAX_CONCURRENT" in found.problems[0]
    assert "many" not in found.problems[0]


def test_a_wrong_variable_is_an_error_whatever_the_other_sources_say() -> None:
    with pytest.raises(InvalidSettings, match="AWO_MAX_CONCURRENT"):
        resolve({"AWO_MAX_CONCURRENT": "many"}, {"AWO_MAX_CONCURRENT": "4"})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "claude"),
        ({"AWO_ALLOWED_PROGRAMS": "/opt/claude"}, "/opt/claude"),
        ({"AWO_ALLOWED_PROGRAMS": "/opt/other"}, "claude"),
        ({"AWO_ALLOWED_PROGRAMS": "/opt/claude", "CLAUDE_CLI_PATH": "/usr/bin/claude"}, "/usr/bin/claude"),
    ],
)
def test_a_program_of_the_database_must_be_on_the_operators_list(environ: dict[str, str], expected: str) -> None:
    assert resolve(environ, {"CLAUDE_CLI_PATH": "/opt/claude"}).settings.claude_cli_path == expected


def test_the_older_name_of_a_variable_holds_until_the_newer_is_set() -> None:
    older = {"ARCHON_CONFIG_DIR": "/old"}
    assert resolve(older).settings.config == Path("/old")
    assert resolve(older).given["config_dir"].origin == "ARCHON_CONFIG_DIR"
    both = resolve({**older, "AWO_CONFIG_DIR": "/new"})
    assert both.settings.config == Path("/new")
    assert [one.loser_origin for one in both.conflicts] == ["ARCHON_CONFIG_DIR"]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_survives_its_way_through_text(name: str) -> None:
    for raw in VALUES[name]:
        value: Any = from_text(name, raw)
        assert from_text(name, as_text(value)) == value
