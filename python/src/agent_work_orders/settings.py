"""Every setting once: type, default, bounds, unit, environment name, and what it is for. Knows no database, no file."""

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

# Where a setting may be given. The environment always; what decides who is trusted with which credential, or what
# has to be known before the database can be asked, is kept out of the reach of whoever may only use the API.
Place = Literal["environment", "file", "database"]
ENVIRONMENT: tuple[Place, ...] = ("environment",)
OPERATOR: tuple[Place, ...] = ("environment", "file")
ANYWHERE: tuple[Place, ...] = ("environment", "database", "file")


@dataclass(frozen=True)
class Knob:
    """How a setting is named outside, in which unit it is given, whether it is a secret (never shown), where it may be
    given, and whether a change takes effect without a restart.

    A `program` is taken from the database only if AWO_ALLOWED_PROGRAMS names it. `alias` is an older variable.
    """

    env: str
    unit: str = ""
    secret: bool = False
    places: tuple[Place, ...] = ANYWHERE
    live: bool = True
    program: bool = False
    alias: str | None = None


def _flag(value: Any) -> Any:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return known.get(value.strip().lower(), value) if isinstance(value, str) else value


def _names(value: Any) -> Any:
    if isinstance(value, str):
        return frozenset(part.strip().lower() for part in value.split(",") if part.strip())
    return value


def _host_names(value: frozenset[str]) -> frozenset[str]:
    for name in value:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?", name):
            raise ValueError("must be a list of host or host:port, with commas between them")
    return value


def _programs(value: Any) -> Any:
    if isinstance(value, str):
        return frozenset(part.strip() for part in value.split(",") if part.strip())
    return value


def _absolute_paths(value: frozenset[str]) -> frozenset[str]:
    if not all(path.startswith("/") for path in value):
        raise ValueError("must be a list of absolute paths, with commas between them")
    return value


def _web_origins(value: frozenset[str]) -> frozenset[str]:
    for origin in value:
        if not re.fullmatch(r"https?://(\[[0-9a-f:]+\]|[a-z0-9][a-z0-9.-]*)(:[0-9]{1,5})?", origin):
            raise ValueError("must be a list of origins such as http://localhost:3737, with commas between them")
    return value


def _web_address(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/@?#]+(/[^\s?#]*)?", value):
        raise ValueError("must be an http or https address without user name, query or fragment")
    return value.rstrip("/")


def _expanded(value: Path) -> Path:
    try:
        path = value.expanduser()
    except RuntimeError:
        raise ValueError("must be an absolute path: whose home directory '~' means is not known") from None
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


Flag = Annotated[bool, BeforeValidator(_flag)]
Hosts = Annotated[frozenset[str], BeforeValidator(_names), AfterValidator(_host_names)]
Origins = Annotated[frozenset[str], BeforeValidator(_names), AfterValidator(_web_origins)]
Programs = Annotated[frozenset[str], BeforeValidator(_programs), AfterValidator(_absolute_paths)]
Address = Annotated[str, AfterValidator(_web_address)]
Directory = Annotated[Path, AfterValidator(_expanded)]
PermissionMode = Literal["acceptEdits", "bypassPermissions", "dontAsk"]
DEFAULT_HOME = Path("~/.archon")


class Settings(BaseModel):
    """The settings in force. Field names are the settings' names; `Knob` holds the environment's."""

    model_config = ConfigDict(frozen=True)

    enabled: Annotated[
        Flag, Knob("ARCHON_AWO_ENABLED", places=OPERATOR, live=False), Field(description="Whether AWO works at all.")
    ] = False
    home: Annotated[
        Directory,
        Knob("ARCHON_HOME", places=ENVIRONMENT, live=False),
        Field(description="Where Archon keeps what must last."),
    ] = Path("~/.archon")
    repository_dir: Annotated[
        Directory | None,
        Knob("AWO_REPOSITORY_DIR", live=False),
        Field(description="Mirrors and checkouts; `repositories` in the home directory when unset."),
    ] = None
    work_order_dir: Annotated[
        Directory | None,
        Knob("AWO_WORK_ORDER_DIR", live=False),
        Field(description="Prompts, outputs and evidence; `work-orders` in the home directory when unset."),
    ] = None
    config_dir: Annotated[
        Directory | None,
        Knob("AWO_CONFIG_DIR", places=ENVIRONMENT, live=False, alias="ARCHON_CONFIG_DIR"),
        Field(
            description="Where `agent-settings.yaml`, `commands` and `workflows` are; `config` in the home directory "
            "when unset."
        ),
    ] = None
    commands_dir: Annotated[
        Directory | None,
        Knob("AGENT_WORK_ORDER_COMMANDS_DIR"),
        Field(
            description="Command files that stand in for the built-in ones of the same name; `commands` in the "
            "configuration directory when unset."
        ),
    ] = None
    max_concurrent: Annotated[
        int, Knob("AWO_MAX_CONCURRENT"), Field(ge=1, le=200, description="Orders that run at once on this server.")
    ] = 5
    max_concurrent_per_repository: Annotated[
        int,
        Knob("AWO_MAX_CONCURRENT_PER_REPOSITORY"),
        Field(ge=1, le=64, description="Orders that run at once on one repository."),
    ] = 2
    step_timeout: Annotated[
        int,
        Knob("AGENT_WORK_ORDER_TIMEOUT", unit="seconds"),
        Field(ge=1, le=86_400, description="Longest time of one turn of the agent, and of one check."),
    ] = 3600
    stall_timeout: Annotated[
        int,
        Knob("AWO_STALL_TIMEOUT", unit="seconds"),
        Field(ge=1, le=86_400, description="Longest silence of the agent before it is stopped."),
    ] = 300
    lease: Annotated[
        int,
        Knob("AWO_LEASE_SECONDS", unit="seconds"),
        Field(ge=5, le=3600, description="How long a silent server keeps its orders."),
    ] = 45
    max_cost_usd: Annotated[
        float | None,
        Knob("AWO_MAX_COST_USD", unit="US dollars"),
        Field(gt=0, le=10_000, allow_inf_nan=False, description="Most that one order may cost; no limit when unset."),
    ] = None
    verify_command: Annotated[
        str | None,
        Knob("AWO_VERIFY_COMMAND"),
        Field(max_length=2_000, description="Shell command that checks any repository; found out when unset."),
    ] = None
    claude_cli_path: Annotated[
        str,
        Knob("CLAUDE_CLI_PATH", program=True),
        Field(min_length=1, max_length=1_000, description="The Claude Code program."),
    ] = "claude"
    allowed_programs: Annotated[
        Programs,
        Knob("AWO_ALLOWED_PROGRAMS", places=OPERATOR),
        Field(description="Paths that the API may choose as CLAUDE_CLI_PATH; none when unset."),
    ] = frozenset()
    claude_model: Annotated[
        str | None,
        Knob("AWO_CLAUDE_MODEL"),
        Field(max_length=100, description="Model of orders that name none; `sonnet` keeps bills predictable."),
    ] = "sonnet"
    claude_permission_mode: Annotated[
        PermissionMode, Knob("AWO_CLAUDE_PERMISSION_MODE"), Field(description="Claude Code's permission mode.")
    ] = "acceptEdits"
    anthropic_base_url: Annotated[
        Address | None,
        Knob("ANTHROPIC_BASE_URL", places=OPERATOR),
        Field(description="A model gateway; Anthropic's own when unset."),
    ] = None
    agent_mcp_url: Annotated[
        Address | None,
        Knob("AWO_AGENT_MCP_URL", places=OPERATOR),
        Field(
            description="Archon's MCP server, such as http://127.0.0.1:8051/mcp, offered to the agents: they may then "
            "also file work orders; not offered when unset."
        ),
    ] = None
    github_api_url: Annotated[
        Address,
        Knob("AWO_GITHUB_API_URL", places=OPERATOR),
        Field(description="GitHub's API; of an Enterprise server: …/api/v3."),
    ] = "https://api.github.com"
    allowed_repository_hosts: Annotated[
        Hosts,
        Knob("AWO_ALLOWED_REPOSITORY_HOSTS", places=OPERATOR),
        Field(description="Hosts repositories may live on."),
    ] = frozenset({"github.com"})
    insecure_repository_hosts: Annotated[
        Hosts,
        Knob("AWO_INSECURE_REPOSITORY_HOSTS", places=OPERATOR),
        Field(description="Hosts that may be plain http and private: test servers and closed networks only."),
    ] = frozenset()
    fetch_freshness: Annotated[
        float,
        Knob("AWO_FETCH_FRESHNESS_SECONDS", unit="seconds"),
        Field(ge=0, le=3600, description="A repository fetched less than this ago is not fetched again."),
    ] = 5.0
    push_checkpoints: Annotated[
        Flag | None,
        Knob("AWO_PUSH_CHECKPOINTS"),
        Field(
            description="Whether work in progress goes to a hidden ref of the repository (refs/awo/<order>/head), from "
            "which another server can go on; when unset, only where servers share their state in Supabase."
        ),
    ] = None
    retention_days: Annotated[
        int,
        Knob("AWO_RETENTION_DAYS", unit="days"),
        Field(ge=1, le=3650, description="How long the checkout of an order that has ended is kept."),
    ] = 7
    retention_artifact_days: Annotated[
        int,
        Knob("AWO_RETENTION_ARTIFACT_DAYS", unit="days"),
        Field(ge=1, le=3650, description="How long its prompts, outputs and evidence are kept."),
    ] = 30
    retention_event_days: Annotated[
        int,
        Knob("AWO_RETENTION_EVENT_DAYS", unit="days"),
        Field(ge=1, le=36_500, description="How long the order itself and its journal are kept; its files go with it."),
    ] = 90
    retention_mirror_days: Annotated[
        int,
        Knob("AWO_RETENTION_MIRROR_DAYS", unit="days"),
        Field(ge=1, le=3650, description="How long a mirror that no order needs is kept after its last use."),
    ] = 30
    retention_max_gb: Annotated[
        float | None,
        Knob("AWO_RETENTION_MAX_GB", unit="gigabytes"),
        Field(
            gt=0,
            le=1_000_000,
            allow_inf_nan=False,
            description="Most that everything may hold together; what was used least recently goes first.",
        ),
    ] = None
    retention_max_checkouts: Annotated[
        int | None,
        Knob("AWO_RETENTION_MAX_CHECKOUTS"),
        Field(ge=0, le=1_000_000, description="Most checkouts of orders that have ended; no limit when unset."),
    ] = None
    archive_dir: Annotated[
        Directory | None,
        Knob("AWO_ARCHIVE_DIR", places=OPERATOR),
        Field(description="Where archived orders go; `archive` in the home directory when unset."),
    ] = None
    archive_s3_bucket: Annotated[
        str | None,
        Knob("AWO_ARCHIVE_S3_BUCKET", places=OPERATOR),
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$",
            description="Bucket of an S3-compatible store where archived orders go instead; needs the library boto3. "
            "Its keys are the secrets AWO_ARCHIVE_S3_ACCESS_KEY_ID and AWO_ARCHIVE_S3_SECRET_ACCESS_KEY.",
        ),
    ] = None
    archive_s3_endpoint: Annotated[
        Address | None,
        Knob("AWO_ARCHIVE_S3_ENDPOINT", places=OPERATOR),
        Field(description="Address of that store; Amazon's own when unset."),
    ] = None
    archive_s3_region: Annotated[
        str | None,
        Knob("AWO_ARCHIVE_S3_REGION", places=OPERATOR),
        Field(pattern=r"^[a-z0-9-]{1,60}$", description="Region of the bucket; us-east-1 when unset."),
    ] = None
    archive_s3_prefix: Annotated[
        str,
        Knob("AWO_ARCHIVE_S3_PREFIX", places=OPERATOR),
        Field(pattern=r"^[A-Za-z0-9._/-]{0,200}$", description="What the names in the bucket begin with."),
    ] = "agent-work-orders"
    disk_low_gb: Annotated[
        float,
        Knob("AWO_DISK_LOW_GB", unit="gigabytes"),
        Field(
            ge=0,
            le=1_000_000,
            allow_inf_nan=False,
            description="With less than this free, clean-up removes early what nobody needs.",
        ),
    ] = 5.0
    disk_min_free_gb: Annotated[
        float,
        Knob("AWO_DISK_MIN_FREE_GB", unit="gigabytes"),
        Field(
            ge=0,
            le=1_000_000,
            allow_inf_nan=False,
            description="What always stays free; orders that would need it wait until there is room.",
        ),
    ] = 1.0
    order_quota_mb: Annotated[
        int | None,
        Knob("AWO_ORDER_QUOTA_MB", unit="megabytes"),
        Field(
            ge=1,
            le=10_000_000,
            description="Most that one order's files may hold, where its repository says nothing; no limit when unset.",
        ),
    ] = None
    prepared_checkouts: Annotated[
        int,
        Knob("AWO_PREPARED_CHECKOUTS"),
        Field(ge=0, le=16, description="Checkouts that are kept ready of each repository in use; 0 prepares none."),
    ] = 1
    agent_user: Annotated[
        str | None,
        Knob("AWO_AGENT_USER", places=OPERATOR, live=False),
        Field(max_length=64, description="User that agents and checks run as, when the server runs as root."),
    ] = None
    host: Annotated[
        str,
        Knob("HOST", places=ENVIRONMENT, live=False),
        Field(max_length=255, description="Address that the server listens on."),
    ] = "127.0.0.1"
    api_token: Annotated[
        str | None,
        Knob("AWO_API_TOKEN", secret=True, places=ENVIRONMENT, live=False),
        Field(
            min_length=16,
            max_length=512,
            description="Bearer token; needed as soon as others can reach the server.",
        ),
    ] = None
    allowed_hosts: Annotated[
        Hosts,
        Knob("AWO_ALLOWED_HOSTS", places=OPERATOR),
        Field(description="Host headers accepted beside the loopback names."),
    ] = frozenset()
    allowed_origins: Annotated[
        Origins,
        Knob("AWO_ALLOWED_ORIGINS", places=OPERATOR),
        Field(description="Origins of other pages that may use the API."),
    ] = frozenset({"http://localhost:3737", "http://127.0.0.1:3737"})
    rehearsal: Annotated[
        Flag,
        Knob("AWO_REHEARSAL", places=ENVIRONMENT, live=False),
        Field(description="Pretend model, pretend GitHub and a sample repository."),
    ] = False

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        hidden = {name for name, knob in catalogue().items() if knob.secret}
        return [(name, value) for name, value in super().__repr_args__() if name not in hidden]

    @property
    def repositories(self) -> Path:
        return self.repository_dir or self.home / "repositories"

    @property
    def work_orders(self) -> Path:
        return self.work_order_dir or self.home / "work-orders"

    @property
    def archive(self) -> Path:
        return self.archive_dir or self.home / "archive"

    @property
    def config(self) -> Path:
        return self.config_dir or self.home / "config"

    @property
    def commands(self) -> Path:
        return self.commands_dir or self.config / "commands"

    @property
    def listens_on_loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


class InvalidSettings(Exception):
    """Settings that cannot be used, one sentence each; never a value, since it may be a secret."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{env} {problem}" for env, problem in problems.items()))
        self.problems = dict(problems)

    @classmethod
    def in_files(cls, problems: Iterable[str]) -> "InvalidSettings":
        """From sentences that begin with path and line."""
        return cls({path: problem for path, _, problem in (one.partition(": ") for one in problems)})


def catalogue() -> dict[str, Knob]:
    """Every setting's name and how it is named outside."""
    return {
        name: next(extra for extra in info.metadata if isinstance(extra, Knob))
        for name, info in Settings.model_fields.items()
    }


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings an environment gives; empty variables count as unset. InvalidSettings names all that are wrong."""
    return settings_of(from_environment(environ))


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Values by setting, of those that are set. InvalidSettings names all that are wrong."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, knob in catalogue().items():
        env, raw = variable_of(knob, environ)
        if not raw:
            continue
        try:
            values[name] = from_text(name, raw)
        except ValueError as error:
            problems[env] = str(error)
    if "home" not in values:
        try:
            _expanded(DEFAULT_HOME)
        except ValueError as error:
            problems.setdefault("ARCHON_HOME", str(error))
    if problems:
        raise InvalidSettings(problems)
    return values


def variable_of(knob: Knob, environ: Mapping[str, str]) -> tuple[str, str]:
    """The variable that gives a setting, and what it says; the text is empty when it is unset."""
    raw = environ.get(knob.env, "").strip()
    if not raw and knob.alias and (older := environ.get(knob.alias, "").strip()):
        return knob.alias, older
    return knob.env, raw


def settings_of(values: Mapping[str, Any]) -> Settings:
    """These checked values, and the defaults for the rest."""
    home = values.get("home") or _expanded(DEFAULT_HOME)
    return Settings.model_construct(**{**defaults(), **values, "home": home})


def defaults() -> dict[str, Any]:
    """What holds where nothing is set."""
    return {name: info.get_default(call_default_factory=True) for name, info in Settings.model_fields.items()}


# --- values as text (environment, database) and as JSON (API, YAML) ---


def from_text(name: str, raw: str) -> Any:
    """The value that a text gives; ValueError, without the text in it, if it gives none."""
    return _validated(name, raw)


def from_json(name: str, value: Any) -> Any:
    """The value that JSON or YAML gives, whose types must fit: 5 is no text, and "5" and true are no numbers."""
    kind = kind_of(name)
    if kind == "list" and isinstance(value, list) and all(isinstance(one, str) for one in value):
        if any("," in one for one in value):
            raise ValueError("must be a list without commas in it")
        return _validated(name, ",".join(value))
    fits = {
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, int | float) and not isinstance(value, bool),
        "text": isinstance(value, str),
        "list": isinstance(value, str),
    }
    if not fits[kind]:
        raise ValueError(_KINDS[kind])
    if isinstance(value, str) and not value.strip():
        raise ValueError("must not be empty")
    return _validated(name, value.strip() if isinstance(value, str) else value)


def as_json(value: Any) -> Any:
    """The value as JSON has it."""
    if isinstance(value, frozenset):
        return sorted(value)
    return str(value) if isinstance(value, Path) else value


def as_text(value: Any) -> str:
    """The value as `from_text` reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)


Kind = Literal["boolean", "integer", "number", "text", "list"]
_KINDS: dict[Kind, str] = {
    "boolean": "must be true or false",
    "integer": "must be a whole number",
    "number": "must be a number",
    "text": "must be a text",
    "list": "must be a list of texts",
}
MAX_TEXT = 4096


def kind_of(name: str) -> Kind:
    """What a setting's value is in JSON."""
    shape = schema_of(name)
    of_type: dict[str, Kind] = {"boolean": "boolean", "integer": "integer", "number": "number", "array": "list"}
    return of_type.get(str(shape.get("type")), "text")


@cache
def schema_of(name: str) -> dict[str, Any]:
    """JSON schema of a setting's value, without the null of what may be unset."""
    shape: dict[str, Any] = _adapter(name).json_schema()
    if options := [one for one in shape.get("anyOf", []) if one.get("type") != "null"]:
        return {**shape, **options[0]}
    return shape


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    info = Settings.model_fields[name]
    return TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]  # built at run time


def _validated(name: str, value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"must not be longer than {MAX_TEXT} characters")
        if not value.isprintable() and name != "verify_command":
            raise ValueError("must be one line of printable characters")
        if "\0" in value or value != value.encode("utf-8", "replace").decode():
            raise ValueError("must be Unicode text without NUL")
    try:
        return _adapter(name).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        text = str(first["msg"]).removeprefix("Value error, ")
        raise ValueError(re.sub("^(?:Input|String) should ", "must ", text)) from None
