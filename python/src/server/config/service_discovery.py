"""Where the other Archon services answer: by name inside Docker, on localhost elsewhere."""

import os
from enum import Enum
from functools import lru_cache
from pathlib import Path

_SERVICES = {
    # name: (Docker name, variable with the port, default port)
    "api": ("archon-server", "ARCHON_SERVER_PORT", 8181),
    "mcp": ("archon-mcp", "ARCHON_MCP_PORT", 8051),
    "agents": ("archon-agents", "ARCHON_AGENTS_PORT", 8052),
}


class Environment(Enum):
    """Where this process runs, as far as addresses are concerned."""

    DOCKER_COMPOSE = "docker_compose"
    LOCAL = "local"


class ServiceDiscovery:
    """Addresses of Archon's services, fixed when it is made. Ports come from the environment or are Archon's own.

    Raises:
        ValueError: a port variable is set to something that is not a port.
    """

    def __init__(self) -> None:
        in_docker = bool(os.environ.get("DOCKER_CONTAINER")) or Path("/.dockerenv").exists()
        self.environment = Environment.DOCKER_COMPOSE if in_docker else Environment.LOCAL
        self._ports = {name: _port(variable, default) for name, (_, variable, default) in _SERVICES.items()}

    def get_service_url(self, service: str, protocol: str = "http") -> str:
        """Base URL without a trailing slash. ARCHON_SERVER_HOST and its like override the host.

        Raises:
            ValueError: no such service.
        """
        name = next((key for key, (docker_name, _, _) in _SERVICES.items() if service in (key, docker_name)), None)
        if name is None:
            raise ValueError(f"Unknown service {service!r}; known are {', '.join(_SERVICES)}.")
        docker_name = _SERVICES[name][0]
        default = docker_name if self.environment is Environment.DOCKER_COMPOSE else "localhost"
        host = os.environ.get(f"{docker_name.upper().replace('-', '_')}_HOST", "").strip() or default
        return f"{protocol}://{host}:{self._ports[name]}"

    async def health_check(self, service: str, timeout: float = 5.0) -> bool:
        """Whether the service answers 200 on /health within `timeout` seconds."""
        import httpx  # only callers of this need it

        try:
            async with httpx.AsyncClient(timeout=timeout) as client:
                return (await client.get(f"{self.get_service_url(service)}/health")).status_code == 200
        except httpx.HTTPError:
            return False


@lru_cache(maxsize=1)
def get_discovery() -> ServiceDiscovery:
    """The process's own, made on first use."""
    return ServiceDiscovery()


def get_api_url() -> str:
    """Base URL of this server."""
    return get_discovery().get_service_url("api")


def get_mcp_url() -> str:
    """Base URL of the MCP server."""
    return get_discovery().get_service_url("mcp")


def get_agents_url() -> str:
    """Base URL of the agents service."""
    return get_discovery().get_service_url("agents")


async def is_service_healthy(service: str) -> bool:
    """Whether a service answers its health check."""
    return await get_discovery().health_check(service)


def _port(variable: str, default: int) -> int:
    raw = os.environ.get(variable, "").strip()
    try:
        port = int(raw) if raw else default
    except ValueError:
        port = 0
    if not 1 <= port <= 65535:
        raise ValueError(f"{variable} must be a port number from 1 to 65535.")
    return port
