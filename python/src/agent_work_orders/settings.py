"""Every setting once: type, default, bounds, unit, environment name, and what it is for. Knows no database, no file."""

import ipaddress
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError


@dataclass(frozen=True)
class Knob:
    """How a setting is named outside, in which unit it is given, and whether it is a secret (never shown)."""

    env: str
    unit: str = ""
    secret: bool = False


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
Address = Annotated[str, AfterValidator(_web_address)]
Directory = Annotated[Path, AfterValidator(_expanded)]
PermissionMode = Literal["acceptEdits", "bypassPermissions", "dontAsk"]


class Settings(BaseModel):
    """The settings in force. Field names are the settings' names; `Knob` holds the environment's."""

    model_config = ConfigDict(frozen=True)

    enabled: Annotated[Flag, Knob("ARCHON_AWO_ENABLED"), Field(description="Whether AWO works at all.")] = False
    home: Annotated[Directory, Knob("ARCHON_HOME"), Field(description="Where Archon keeps what must last.")] = Path(
        "~/.archon"
    )
    repository_dir: Annotated[
        Directory | None,
        Knob("AWO_REPOSITORY_DIR"),
        Field(description="Mirrors and checkouts; `repositories` in the home directory when unset."),
    ] = None
    work_order_dir: Annotated[
        Directory | None,
        Knob("AWO_WORK_ORDER_DIR"),
        Field(description="Prompts, outputs and evidence; `work-orders` in the home directory when unset."),
    ] = None
    commands_dir: Annotated[
        Directory | None,
        Knob("AGENT_WORK_ORDER_COMMANDS_DIR"),
        Field(description="Command files that stand in for the built-in ones of the same name."),
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
        str, Knob("CLAUDE_CLI_PATH"), Field(min_length=1, max_length=1_000, description="The Claude Code program.")
    ] = "claude"
    claude_model: Annotated[
        str | None,
        Knob("AWO_CLAUDE_MODEL"),
        Field(max_length=100, description="Model of orders that name none; `sonnet` keeps bills predictable."),
    ] = "sonnet"
    claude_permission_mode: Annotated[
        PermissionMode, Knob("AWO_CLAUDE_PERMISSION_MODE"), Field(description="Claude Code's permission mode.")
    ] = "acceptEdits"
    anthropic_base_url: Annotated[
        Address | None, Knob("ANTHROPIC_BASE_URL"), Field(description="A model gateway; Anthropic's own when unset.")
    ] = None
    github_api_url: Annotated[
        Address, Knob("AWO_GITHUB_API_URL"), Field(description="GitHub's API; of an Enterprise server: …/api/v3.")
    ] = "https://api.github.com"
    allowed_repository_hosts: Annotated[
        Hosts, Knob("AWO_ALLOWED_REPOSITORY_HOSTS"), Field(description="Hosts repositories may live on.")
    ] = frozenset({"github.com"})
    insecure_repository_hosts: Annotated[
        Hosts,
        Knob("AWO_INSECURE_REPOSITORY_HOSTS"),
        Field(description="Hosts that may be plain http and private: test servers and closed networks only."),
    ] = frozenset()
    fetch_freshness: Annotated[
        float,
        Knob("AWO_FETCH_FRESHNESS_SECONDS", unit="seconds"),
        Field(ge=0, le=3600, description="A repository fetched less than this ago is not fetched again."),
    ] = 5.0
    agent_user: Annotated[
        str | None,
        Knob("AWO_AGENT_USER"),
        Field(max_length=64, description="User that agents and checks run as, when the server runs as root."),
    ] = None
    host: Annotated[str, Knob("HOST"), Field(max_length=255, description="Address that the server listens on.")] = (
        "127.0.0.1"
    )
    api_token: Annotated[
        str | None,
        Knob("AWO_API_TOKEN", secret=True),
        Field(
            min_length=16,
            max_length=512,
            description="Bearer token; needed as soon as others can reach the server.",
        ),
    ] = None
    allowed_hosts: Annotated[
        Hosts, Knob("AWO_ALLOWED_HOSTS"), Field(description="Host headers accepted beside the loopback names.")
    ] = frozenset()
    allowed_origins: Annotated[
        Origins, Knob("AWO_ALLOWED_ORIGINS"), Field(description="Origins of other pages that may use the API.")
    ] = frozenset({"http://localhost:3737", "http://127.0.0.1:3737"})
    rehearsal: Annotated[
        Flag, Knob("AWO_REHEARSAL"), Field(description="Pretend model, pretend GitHub and a sample repository.")
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


def catalogue() -> dict[str, Knob]:
    """Every setting's name and how it is named outside."""
    return {
        name: next(extra for extra in info.metadata if isinstance(extra, Knob))
        for name, info in Settings.model_fields.items()
    }


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings an environment gives; empty variables count as unset. InvalidSettings names all that are wrong."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for name, knob in catalogue().items():
        info = Settings.model_fields[name]
        raw = environ.get(knob.env, "").strip() or (str(info.default) if name == "home" else "")
        if not raw:
            continue
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(Annotated[info.annotation, info])  # type: ignore[arg-type]  # built at run time
            values[name] = adapter.validate_python(raw)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            problems[knob.env] = str(first["msg"]).removeprefix("Value error, ")
    if problems:
        raise InvalidSettings(problems)
    return Settings.model_construct(**{**_defaults(), **values})


def _defaults() -> dict[str, Any]:
    return {name: info.get_default(call_default_factory=True) for name, info in Settings.model_fields.items()}
