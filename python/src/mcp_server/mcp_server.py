"""`python -m src.mcp_server.mcp_server`: the MCP server of this host, streamable HTTP on ARCHON_MCP_PORT at /mcp.

Chooses between the two generations of the MCP library; the tools know neither.
"""

import ipaddress
import os
import sys
from typing import Any

from .features.agent_work_orders import register_work_order_tools

NAME = "archon-mcp-server"
INSTRUCTIONS = """\
Archon's tools for coding agents. Work orders: file one with manage_work_order("create", …), follow it with
find_work_orders(work_order_id, wait_seconds=45, after_seq=…) until its status is completed, failed or cancelled, and
read what happened with find_work_order_events. A work order ends with a pull request that people review; its status
tells the truth, also when verification failed. Answer `waiting` with reason `approval` by approve or reject.
"""
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class BadEnvironment(Exception):
    """A variable that makes no sense, in one sentence."""


def allowed_names(port: int) -> list[str]:
    """Host headers that are answered: loopback, and what ARCHON_MCP_ALLOWED_HOSTS adds (`host` or `host:port`)."""
    more = [name.strip() for name in os.environ.get("ARCHON_MCP_ALLOWED_HOSTS", "").split(",") if name.strip()]
    names = [*_LOOPBACK, *more]
    return [name if name.rpartition(":")[2].isdigit() else f"{name}:{port}" for name in names]


def make_server() -> Any:
    """The server object of whichever MCP library is installed, with all tools."""
    try:
        from mcp.server import MCPServer
    except ImportError:
        from mcp.server.fastmcp import FastMCP  # type: ignore[attr-defined]  # the older library alone has it

        server = FastMCP(NAME, instructions=INSTRUCTIONS)
    else:
        server = MCPServer(NAME, instructions=INSTRUCTIONS)
    register_work_order_tools(server)
    return server


def make_app(host: str, port: int) -> Any:
    """The ASGI application. A Host or an Origin that is not ours gets nothing, whatever the address it is bound to."""
    from mcp.server.transport_security import TransportSecuritySettings

    names = allowed_names(port)
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=names,
        allowed_origins=[f"http://{name}" for name in names],
    )
    server = make_server()
    if hasattr(server, "settings") and hasattr(server.settings, "transport_security"):
        server.settings.host, server.settings.port = host, port
        server.settings.transport_security = security
        return server.streamable_http_app()
    return server.streamable_http_app(host=host, transport_security=security)


def bind() -> tuple[str, int]:
    """Address and port to listen on: loopback, unless ARCHON_MCP_HOST says otherwise. BadEnvironment."""
    host = os.environ.get("ARCHON_MCP_HOST", "").strip() or "127.0.0.1"
    text = os.environ.get("ARCHON_MCP_PORT", "").strip() or "8051"
    if not text.isdigit() or not 1 <= int(text) <= 65535:
        raise BadEnvironment("ARCHON_MCP_PORT must be a port number from 1 to 65535.")
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError:
            raise BadEnvironment("ARCHON_MCP_HOST must be an address of this machine, such as 127.0.0.1.") from None
    return host, int(text)


def main() -> int:
    """Serves until a signal. 1, after one sentence on stderr, if it cannot start."""
    try:
        host, port = bind()
        app = make_app(host, port)
    except BadEnvironment as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except ImportError as error:
        sys.stderr.write(f"The MCP server needs the `mcp` library ({error}); run `make setup`.\n")
        return 1
    import uvicorn

    sys.stderr.write(f"Archon's MCP server on http://{host}:{port}/mcp\n")
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=5))
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
