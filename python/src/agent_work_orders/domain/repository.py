"""Repository addresses and branch names: our own grammar, stricter than git's, so nothing odd ever reaches git."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .errors import FieldProblem, InvalidInput
from .grammar import model_problem, name_problem, text_problem

MAX_URL = 500
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
_NAME = re.compile(r"\.?[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")  # `.github` is a name that many owners have
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\Z")
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)\Z")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,120}\Z")


@dataclass(frozen=True)
class Repository:
    """A repository that passed the grammar. `key` is one per repository whatever way its address was written."""

    url: str
    host: str
    owner: str
    name: str

    @property
    def key(self) -> str:
        return f"{self.host}/{self.owner}/{self.name}".lower()

    @property
    def slug(self) -> str:
        return f"{self.owner}/{self.name}"


def _without(problem: Callable[[str], str | None]) -> AfterValidator:
    def check(value: Any) -> Any:
        if isinstance(value, str) and (found := problem(value)):
            raise ValueError(found)
        return value

    return AfterValidator(check)


def _command_problem(text: str) -> str | None:
    return "must not be blank; leave it out instead" if not text.strip() else text_problem(text, 16_000)


Command = Annotated[str, _without(_command_problem)]


class RepositoryOptions(BaseModel):
    """What an operator says of one repository. What nobody spoke of has these defaults; None means the server's own.

    Which variables and files may be placed is in `checkout_options`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_branch: Annotated[
        Annotated[str, _without(lambda name: branch_problem(name))] | None,
        Field(max_length=121, description="Branch that orders start from when they name none."),
    ] = None
    workflow_type: Annotated[
        Annotated[str, _without(name_problem)] | None,
        Field(max_length=60, description="Workflow of orders that name none."),
    ] = None
    model: Annotated[
        Annotated[str, _without(model_problem)] | None,
        Field(max_length=100, description="Model of orders that name none."),
    ] = None
    verify_command: Annotated[Command | None, Field(max_length=2_000, description="Shell command that checks it.")] = (
        None
    )
    max_concurrent: Annotated[
        int | None, Field(strict=True, ge=0, le=1_000, description="Orders that run at once; 0 pauses it.")
    ] = None
    max_cost_usd: Annotated[
        float | None,
        Field(
            strict=True, gt=0, le=10_000, allow_inf_nan=False, description="Most that one order may cost, US dollars."
        ),
    ] = None
    trusted: Annotated[
        bool,
        Field(
            strict=True,
            description="Whether the agent loads the repository's own CLAUDE.md, settings, hooks and commands. They "
            "then run with the agent's rights and can read its model key, whoever wrote them.",
        ),
    ] = False
    lfs: Annotated[bool, Field(strict=True, description="Whether Git LFS files are fetched.")] = False
    submodules: Annotated[bool, Field(strict=True, description="Whether submodules are fetched.")] = False
    partial_clone: Annotated[bool, Field(strict=True, description="Mirror without blobs, fetched when needed.")] = False
    depth: Annotated[
        int | None, Field(strict=True, ge=1, le=1_000_000, description="Commits of history kept; all when unset.")
    ] = None
    sparse: Annotated[
        bool,
        Field(
            strict=True, description="Whether orders with a working_subdir have only that part of the files on disk."
        ),
    ] = True
    prepared_checkouts: Annotated[
        int | None,
        Field(strict=True, ge=0, le=16, description="Checkouts kept ready; the server's setting when unset."),
    ] = None
    push_checkpoints: Annotated[
        bool, Field(strict=True, description="Whether checkpoints go to a hidden ref of the remote, for other servers.")
    ] = True
    setup_command: Annotated[Command | None, Field(max_length=4_000, description="Run in a new checkout.")] = None
    setup_inputs: Annotated[
        tuple[str, ...],
        Field(max_length=50, description="Files on which the set-up depends; its result is cached."),
    ] = ()
    cleanup_command: Annotated[
        Command | None, Field(max_length=4_000, description="Run when a checkout is removed.")
    ] = None
    setup_timeout: Annotated[int, Field(strict=True, ge=1, le=86_400, description="Seconds for either command.")] = 900
    environment: Annotated[
        dict[str, str],
        Field(
            max_length=100,
            description="Environment variables of commands, checks and agent. No place for secrets: they are shown.",
        ),
    ] = {}
    files: Annotated[
        dict[str, str],
        Field(max_length=50, description="Files placed in a checkout, by path; never committed."),
    ] = {}
    quota_mb: Annotated[
        int | None,
        Field(strict=True, ge=1, le=10_000_000, description="Most an order's checkout may hold, megabytes."),
    ] = None


@dataclass(frozen=True)
class HostPolicy:
    """Which hosts repositories may live on; entries are `host` or `host:port`, lower case.

    `insecure` hosts may also be plain http and private: test servers and closed networks, by the operator's word only.
    """

    allowed: frozenset[str]
    insecure: frozenset[str] = frozenset()


def parse_repository_url(text: str, policy: HostPolicy, *, field: str = "repository_url") -> Repository:
    """The repository an address names, or InvalidInput for `field` with what is wrong with it."""

    def refuse(problem: str) -> InvalidInput:
        return InvalidInput([FieldProblem(field, problem)])

    if not text or len(text) > MAX_URL:
        raise refuse(f"must be an address of 1 to {MAX_URL} characters, such as https://github.com/owner/name")
    if any(not 32 < ord(char) < 127 for char in text):
        raise refuse("must not contain spaces, control characters or anything beyond ASCII")
    if text.startswith("-"):
        raise refuse("must not start with a dash")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise refuse("is not an address; write it like https://github.com/owner/name") from None
    if parts.scheme not in ("https", "http"):
        raise refuse("must start with https://")
    if "@" in parts.netloc:
        raise refuse("must not contain a user name or password; credentials belong in the settings")
    if "?" in text or "#" in text:
        raise refuse("must not contain a query or a fragment")
    hostname = (parts.hostname or "").lower()
    if not _HOST.match(hostname) and not _is_ip_v6(hostname):
        raise refuse("must name a host, such as github.com")
    written = f"[{hostname}]" if ":" in hostname else hostname
    usual_port = 443 if parts.scheme == "https" else 80
    short = written if port in (None, usual_port) else f"{written}:{port}"
    names = (short, f"{written}:{port or usual_port}")
    # One spelling, the operator's, whichever way the port was written.
    host = next((name for listed in (policy.insecure, policy.allowed) for name in names if name in listed), short)
    insecure = host in policy.insecure
    if parts.scheme == "http" and not insecure:
        raise refuse("must start with https://")
    if _is_private(hostname) and not insecure:
        raise refuse("must not name a private or local address")
    if host not in policy.allowed and not insecure:
        allowed = ", ".join(sorted(policy.allowed | policy.insecure)) or "none"
        raise refuse(f"is on the host {host}, which is not allowed here (allowed: {allowed})")
    segments = parts.path.strip("/").split("/")
    if len(segments) != 2 or parts.path.strip("/") == "":
        raise refuse("must name one owner and one repository: https://host/owner/name")
    owner, name = segments
    if name.lower().endswith(".git"):
        name = name[:-4]
    if not _OWNER.match(owner) or not _NAME.match(name) or ".." in owner + name or name.lower().endswith(".git"):
        raise refuse("has an owner or a name with characters that are not allowed")
    return Repository(url=f"{parts.scheme}://{host}/{owner}/{name}", host=host, owner=owner, name=name)


def named_repository(url: str) -> Repository:
    """A repository we only name, not reach: its host need not be allowed (any more)."""
    host = frozenset({url.partition("://")[2].partition("/")[0].lower()})
    return parse_repository_url(url, HostPolicy(allowed=host, insecure=host))


def branch_problem(name: str) -> str | None:
    """What is wrong with a branch name, or None. Git's own rules, inside a small ASCII grammar."""
    if not _BRANCH.match(name):
        return "must be 1 to 121 ASCII letters, digits, '.', '_', '/' or '-', starting with a letter or a digit"
    if name == "HEAD":
        return "must not be HEAD, which names no branch"
    if ".." in name or "//" in name or "/." in name or name.endswith(("/", ".", ".lock")) or ".lock/" in name:
        return "is not a valid branch name for git ('..', '//', '/.', a trailing '/', '.' or '.lock')"
    return None


def branch_for(order_id: str, user_request: str, prefix: str = "awo/") -> str:
    """The branch of an order, named by the server: `<prefix><short id>-<slug of the request>`."""
    words = re.findall(r"[a-z0-9]+", user_request[:400].lower())
    slug = "-".join(words)[:40].strip("-")
    short = order_id.removeprefix("wo-")[:8]
    return f"{prefix}{short}-{slug}" if slug else f"{prefix}{short}"


def _is_ip_v6(hostname: str) -> bool:
    try:
        return "%" not in hostname and ipaddress.ip_address(hostname).version == 6
    except ValueError:
        return False


def _is_private(hostname: str) -> bool:
    if hostname == "localhost" or hostname.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(hostname)
    except ValueError:
        # Dotless names, and those that end in a number ("0x7f.1", "127.0x1"), are read as addresses by resolvers.
        return "." not in hostname or _NUMBER.match(hostname.rsplit(".", 1)[-1]) is not None
    # Other protocols' addresses hide in those of version 6 in too many ways to tell.
    return address.version == 6 or not address.is_global or address.is_multicast
