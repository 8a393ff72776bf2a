"""Every setting from the environment: its name, its bounds, and errors that never show a value."""

import re
from pathlib import Path

import pytest

from src.agent_work_orders.settings import InvalidSettings, Settings, catalogue, load_settings

TOKEN = "a-bearer-token-of-24-chars"
GIVEN: list[tuple[str, str, str, object]] = [
    ("enabled", "ARCHON_AWO_ENABLED", "true", True),
    ("home", "ARCHON_HOME", "/srv/archon", Path("/srv/archon")),
    ("repository_dir", "AWO_REPOSITORY_DIR", "/srv/repositories", Path("/srv/repositories")),
    ("work_order_dir", "AWO_WORK_ORDER_DIR", "/srv/orders", Path("/srv/orders")),
    ("config_dir", "AWO_CONFIG_DIR", "/srv/config", Path("/srv/config")),
    ("commands_dir", "AGENT_WORK_ORDER_COMMANDS_DIR", "/srv/commands", Path("/srv/commands")),
    ("max_concurrent", "AWO_MAX_CONCURRENT", "12", 12),
    ("max_concurrent_per_repository", "AWO_MAX_CONCURRENT_PER_REPOSITORY", "3", 3),
    ("archive_dir", "AWO_ARCHIVE_DIR", "/srv/archive", Path("/srv/archive")),
    ("archive_s3_bucket", "AWO_ARCHIVE_S3_BUCKET", "orders", "orders"),
    ("archive_s3_endpoint", "AWO_ARCHIVE_S3_ENDPOINT", "https://s3.local:9000", "https://s3.local:9000"),
    ("archive_s3_region", "AWO_ARCHIVE_S3_REGION", "eu-central-1", "eu-central-1"),
    ("archive_s3_prefix", "AWO_ARCHIVE_S3_PREFIX", "team/orders", "team/orders"),
    ("step_timeout", "AGENT_WORK_ORDER_TIMEOUT", "60", 60),
    ("stall_timeout", "AWO_STALL_TIMEOUT", "61", 61),
    ("lease", "AWO_LEASE_SECONDS", "5", 5),
    ("max_cost_usd", "AWO_MAX_COST_USD", "2.5", 2.5),
    ("verify_command", "AWO_VERIFY_COMMAND", "make lint && make test", "make lint && make test"),
    ("claude_cli_path", "CLAUDE_CLI_PATH", "/opt/claude", "/opt/claude"),
    ("allowed_programs", "AWO_ALLOWED_PROGRAMS", "/opt/A, /opt/b", frozenset({"/opt/A", "/opt/b"})),
    ("claude_model", "AWO_CLAUDE_MODEL", "opus", "opus"),
    ("claude_permission_mode", "AWO_CLAUDE_PERMISSION_MODE", "dontAsk", "dontAsk"),
    ("agent_mcp_url", "AWO_AGENT_MCP_URL", "http://127.0.0.1:8051/mcp", "http://127.0.0.1:8051/mcp"),
    ("anthropic_base_url", "ANTHROPIC_BASE_URL", "http://127.0.0.1:9/v1/", "http://127.0.0.1:9/v1"),
    ("github_api_url", "AWO_GITHUB_API_URL", "https://git.corp/api/v3", "https://git.corp/api/v3"),
    (
        "allowed_repository_hosts",
        "AWO_ALLOWED_REPOSITORY_HOSTS",
        " GitHub.com, git.corp:8443,",
        frozenset({"github.com", "git.corp:8443"}),
    ),
    ("insecure_repository_hosts", "AWO_INSECURE_REPOSITORY_HOSTS", "[::1]:80", frozenset({"[::1]:80"})),
    ("fetch_freshness", "AWO_FETCH_FRESHNESS_SECONDS", "0", 0.0),
    ("prepared_checkouts", "AWO_PREPARED_CHECKOUTS", "0", 0),
    ("push_checkpoints", "AWO_PUSH_CHECKPOINTS", "off", False),
    ("retention_days", "AWO_RETENTION_DAYS", "3", 3),
    ("retention_artifact_days", "AWO_RETENTION_ARTIFACT_DAYS", "4", 4),
    ("retention_event_days", "AWO_RETENTION_EVENT_DAYS", "365", 365),
    ("retention_mirror_days", "AWO_RETENTION_MIRROR_DAYS", "5", 5),
    ("retention_max_gb", "AWO_RETENTION_MAX_GB", "0.5", 0.5),
    ("retention_max_checkouts", "AWO_RETENTION_MAX_CHECKOUTS", "0", 0),
    ("disk_low_gb", "AWO_DISK_LOW_GB", "2", 2.0),
    ("disk_min_free_gb", "AWO_DISK_MIN_FREE_GB", "0", 0.0),
    ("order_quota_mb", "AWO_ORDER_QUOTA_MB", "2000", 2000),
    ("agent_user", "AWO_AGENT_USER", "agent", "agent"),
    ("host", "HOST", "0.0.0.0", "0.0.0.0"),  # noqa: S104 - a setting that is read, nothing listens
    ("api_token", "AWO_API_TOKEN", TOKEN, TOKEN),
    ("allowed_hosts", "AWO_ALLOWED_HOSTS", "archon.lan", frozenset({"archon.lan"})),
    ("allowed_origins", "AWO_ALLOWED_ORIGINS", "https://Archon.lan:3737", frozenset({"https://archon.lan:3737"})),
    ("rehearsal", "AWO_REHEARSAL", "1", True),
]


def problems(**environ: str) -> dict[str, str]:
    with pytest.raises(InvalidSettings) as refused:
        load_settings(environ)
    return refused.value.problems


@pytest.mark.parametrize(("name", "env", "given", "value"), GIVEN, ids=[row[0] for row in GIVEN])
def test_a_setting_is_read_from_its_variable(name: str, env: str, given: str, value: object) -> None:
    assert catalogue()[name].env == env
    assert getattr(load_settings({env: given}), name) == value
    assert getattr(load_settings({env: f"  {given} "}), name) == value


def test_there_is_no_setting_that_these_tests_do_not_know() -> None:
    assert {row[0] for row in GIVEN} == set(Settings.model_fields) == set(catalogue())
    names = [knob.env for knob in catalogue().values()]
    assert len(names) == len(set(names))


def test_all_of_them_can_be_given_at_once() -> None:
    found = load_settings({env: given for _, env, given, _ in GIVEN})
    assert {name: getattr(found, name) for name, *_ in GIVEN} == {name: value for name, *_, value in GIVEN}


@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_unset(blank: str) -> None:
    assert load_settings({knob.env: blank for knob in catalogue().values()}) == load_settings({})


def test_nothing_given_is_off_on_loopback_and_for_github_alone() -> None:
    found = load_settings({})
    assert not found.enabled
    assert not found.rehearsal
    assert found.listens_on_loopback
    assert found.api_token is None
    assert found.allowed_repository_hosts == {"github.com"}
    assert found.home == Path.home() / ".archon"
    assert found.repositories == found.home / "repositories"
    assert found.work_orders == found.home / "work-orders"


def test_the_directories_can_lie_elsewhere() -> None:
    found = load_settings({"ARCHON_HOME": "/a", "AWO_REPOSITORY_DIR": "/b", "AWO_WORK_ORDER_DIR": "~/c"})
    assert (found.repositories, found.work_orders) == (Path("/b"), Path.home() / "c")


@pytest.mark.parametrize(
    ("env", "given"),
    [
        ("ARCHON_AWO_ENABLED", "maybe"), ("AWO_REHEARSAL", "2"),
        ("ARCHON_HOME", "relative/path"), ("AWO_REPOSITORY_DIR", "."), ("ARCHON_HOME", "~no-such-user-here/x"),
        ("AWO_MAX_CONCURRENT", "0"), ("AWO_MAX_CONCURRENT", "201"), ("AWO_MAX_CONCURRENT", "five"),
        ("AWO_MAX_CONCURRENT", "1.5"), ("AWO_MAX_CONCURRENT_PER_REPOSITORY", "65"),
        ("AGENT_WORK_ORDER_TIMEOUT", "0"), ("AGENT_WORK_ORDER_TIMEOUT", "86401"), ("AWO_STALL_TIMEOUT", "-1"),
        ("AWO_LEASE_SECONDS", "4"), ("AWO_LEASE_SECONDS", "3601"),
        ("AWO_MAX_COST_USD", "0"), ("AWO_MAX_COST_USD", "nan"), ("AWO_MAX_COST_USD", "inf"),
        ("AWO_MAX_COST_USD", "10001"), ("AWO_VERIFY_COMMAND", "x" * 2001),
        ("AWO_CLAUDE_PERMISSION_MODE", "yolo"), ("AWO_CLAUDE_MODEL", "x" * 101), ("CLAUDE_CLI_PATH", "x" * 1001),
        ("ANTHROPIC_BASE_URL", "ftp://x"), ("ANTHROPIC_BASE_URL", "https://me:pw@x/"),
        ("ANTHROPIC_BASE_URL", "https://x/?key=1"), ("AWO_GITHUB_API_URL", "github.com"),
        ("AWO_ALLOWED_REPOSITORY_HOSTS", "https://github.com"), ("AWO_INSECURE_REPOSITORY_HOSTS", "a/b"),
        ("AWO_ALLOWED_HOSTS", "*"), ("AWO_ALLOWED_ORIGINS", "*"), ("AWO_ALLOWED_ORIGINS", "archon.lan"),
        ("AWO_ALLOWED_ORIGINS", "http://localhost:3737/"), ("AWO_ALLOWED_ORIGINS", "null"),
        ("AWO_FETCH_FRESHNESS_SECONDS", "-1"), ("AWO_AGENT_USER", "x" * 65), ("HOST", "x" * 256),
        ("AWO_API_TOKEN", "too-short"), ("AWO_API_TOKEN", "x" * 513),
    ],
)  # fmt: skip
def test_a_value_out_of_bounds_is_refused_by_the_name_of_its_variable(env: str, given: str) -> None:
    found = problems(**{env: given})
    assert set(found) == {env}
    # Whoever confuses two variables must not find the secret in the log. (One letter is in every sentence.)
    assert len(given) < 6 or given not in found[env]
    assert found[env]


def test_all_that_is_wrong_is_named_at_once() -> None:
    found = problems(AWO_MAX_CONCURRENT="0", AWO_LEASE_SECONDS="x", HOST="127.0.0.1", AWO_API_TOKEN="sh0rt-secret")
    assert set(found) == {"AWO_MAX_CONCURRENT", "AWO_LEASE_SECONDS", "AWO_API_TOKEN"}
    with pytest.raises(InvalidSettings, match=r"AWO_MAX_CONCURRENT .*; AWO_LEASE_SECONDS .*; AWO_API_TOKEN") as refused:
        load_settings({"AWO_MAX_CONCURRENT": "0", "AWO_LEASE_SECONDS": "x", "AWO_API_TOKEN": "sh0rt-secret"})
    assert "sh0rt-secret" not in str(refused.value)


def test_a_home_that_is_not_known_matters_only_if_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    assert set(problems()) == {"ARCHON_HOME"}


def test_secrets_are_marked_and_shown_nowhere() -> None:
    assert {name for name, knob in catalogue().items() if knob.secret} == {"api_token"}
    found = load_settings({"AWO_API_TOKEN": TOKEN})
    assert TOKEN not in repr(found)
    assert TOKEN not in str(found)
    assert "max_concurrent=5" in repr(found)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("localhost", True), ("LOCALHOST", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("127.evil.example", False),  # noqa: S104 - names to judge, nothing listens
        ("archon.lan", False),
    ],
)  # fmt: skip
def test_only_an_address_that_no_other_machine_reaches_is_loopback(host: str, loopback: bool) -> None:
    assert load_settings({"HOST": host}).listens_on_loopback is loopback


def test_every_setting_explains_itself_and_its_unit() -> None:
    for name, info in Settings.model_fields.items():
        assert info.description
        assert info.description.endswith(".")
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", catalogue()[name].env)
        if name.endswith(("timeout", "lease", "freshness")):
            assert catalogue()[name].unit == "seconds"
