"""The host's own settings, read from the environment alone. Refuses to know what is stored in the database."""

import base64
import binascii
import ipaddress
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
MINIMUM_PASSPHRASE_LENGTH = 16


class ConfigurationError(Exception):
    """The environment cannot be used as it is; the text is one sentence that says what to change."""


@dataclass(frozen=True)
class EnvironmentConfig:
    """A checked environment. `supabase_url` is None in embedded mode; `host` is an address or a name, never empty."""

    host: str
    port: int
    ui_port: int
    reload: bool
    supabase_url: str | None
    supabase_service_key: str | None = field(repr=False)


def get_config() -> EnvironmentConfig:
    """Read and check the environment.

    Raises:
        ConfigurationError: a value is missing or cannot be used; names the variable, never a secret's value.
    """
    supabase_url: str | None = None
    service_key: str | None = None
    if not is_embedded():
        supabase_url = _checked_supabase_url(os.environ["SUPABASE_URL"].strip())
        service_key = os.environ.get("SUPABASE_SERVICE_KEY", "")
        _check_service_key(service_key)
    _check_encryption_key()
    return EnvironmentConfig(
        host=bind_host(),
        port=_port("ARCHON_SERVER_PORT", 8181),
        ui_port=ui_port(),
        reload=is_true("ARCHON_RELOAD"),
        supabase_url=supabase_url,
        supabase_service_key=service_key,
    )


def is_embedded() -> bool:
    """Without SUPABASE_URL everything is kept in files under ARCHON_HOME."""
    return not os.environ.get("SUPABASE_URL", "").strip()


def archon_home() -> Path:
    """Where embedded mode keeps its state: ARCHON_HOME, else ~/.archon. Absolute; it may not exist yet."""
    return Path(os.environ.get("ARCHON_HOME", "").strip() or "~/.archon").expanduser().absolute()


def bind_host() -> str:
    """The address to listen on: HOST, else loopback. `localhost` means 127.0.0.1, so that it is one address."""
    host = os.environ.get("HOST", "").strip() or "127.0.0.1"
    return "127.0.0.1" if host.lower() == "localhost" else host


def ui_port() -> int:
    """The port of Archon's UI: ARCHON_UI_PORT, else 3737."""
    return _port("ARCHON_UI_PORT", 3737)


def is_true(name: str) -> bool:
    """Whether an environment variable says yes, in any of the words Archon accepts."""
    return os.environ.get(name, "").strip().lower() in TRUE_WORDS


def words(name: str) -> list[str]:
    """A comma-separated environment variable as its non-empty words."""
    return [word for raw in os.environ.get(name, "").split(",") if (word := raw.strip())]


def is_loopback(host: str) -> bool:
    """True for localhost and for addresses that never leave this machine; other names are not looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _port(name: str, default: int) -> int:
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= 65535:
        raise ConfigurationError(f"{name} must be a port number from 1 to 65535; set it, or unset it to use {default}.")
    return int(raw)


def _checked_supabase_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("SUPABASE_URL must be an http(s) URL; copy it from your Supabase project's settings.")
    if parts.scheme == "http" and not _is_private(parts.hostname):
        raise ConfigurationError("SUPABASE_URL must use https unless the host is private; change http:// to https://.")
    return url


def _is_private(host: str) -> bool:
    """Private addresses, and names that only resolve inside one network (Docker services, .local, .internal)."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))


def _check_service_key(key: str) -> None:
    if not key:
        raise ConfigurationError(
            "SUPABASE_SERVICE_KEY is not set; copy the service_role key from your Supabase project's API settings."
        )
    if _jwt_role(key) == "anon":
        raise ConfigurationError(
            "SUPABASE_SERVICE_KEY holds the anon key, which cannot write; use the service_role key instead."
        )


def _jwt_role(token: str) -> str | None:
    """The role that a JWT claims, unverified: enough to catch a mix-up of two keys."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    role = claims.get("role") if isinstance(claims, dict) else None
    return role if isinstance(role, str) else None


def _check_encryption_key() -> None:
    key = os.environ.get("ARCHON_ENCRYPTION_KEY", "").strip()
    if key and len(key) < MINIMUM_PASSPHRASE_LENGTH:
        raise ConfigurationError(
            f"ARCHON_ENCRYPTION_KEY is shorter than {MINIMUM_PASSPHRASE_LENGTH} characters; "
            "make a long random one, for example with `openssl rand -base64 32`."
        )
