"""Makes `.env.example` and `docs/reference/settings.md` from the catalogue; run as a program, writes them."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..settings import Settings, as_text, catalogue, defaults, kind_of, schema_of
from .files import SECTION
from .live import FILES_EVERY, STORED_EVERY

MADE_BY = "python -m src.agent_work_orders.desk.document"


@dataclass(frozen=True)
class Neighbour:
    """A variable that is no setting of the catalogue: a secret, or one that the server around the plugin reads."""

    env: str
    description: str
    default: str = ""
    secret: bool = False


NEIGHBOURS = (
    Neighbour("GITHUB_TOKEN", "GitHub token; contents and pull requests, read and write.", secret=True),
    Neighbour("ANTHROPIC_API_KEY", "Anthropic API key for the agent.", secret=True),
    Neighbour("CLAUDE_CODE_OAUTH_TOKEN", "A Claude subscription's token, instead of the key.", secret=True),
    Neighbour("AWO_ARCHIVE_S3_ACCESS_KEY_ID", "Key of the bucket that archives go to.", secret=True),
    Neighbour("AWO_ARCHIVE_S3_SECRET_ACCESS_KEY", "Its secret part.", secret=True),
    Neighbour("SUPABASE_URL", "Supabase project; everything is kept under ARCHON_HOME when unset."),
    Neighbour("SUPABASE_SERVICE_KEY", "The project's service_role key.", secret=True),
    Neighbour("ARCHON_ENCRYPTION_KEY", "Passphrase that new secrets are encrypted with.", secret=True),
    Neighbour("ARCHON_ENCRYPTION_KEY_PREVIOUS", "Former passphrases, with commas; they only read.", secret=True),
    Neighbour("ARCHON_SERVER_PORT", "Port of the server.", "8181"),
    Neighbour("ARCHON_MCP_PORT", "Port of the MCP server.", "8051"),
    Neighbour("ARCHON_MCP_HOST", "Address that the MCP server listens on.", "127.0.0.1"),
    Neighbour("ARCHON_MCP_ALLOWED_HOSTS", "Host headers that the MCP server answers to, beside localhost."),
    Neighbour("ARCHON_UI_PORT", "Port of Archon's page.", "3737"),
    Neighbour("LOGFIRE_TOKEN", "Sends logs and spans to Logfire.", secret=True),
    Neighbour("LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", "INFO"),
)


_INTRODUCTION = f"""\
# Settings

Made from the catalogue by `{MADE_BY}` (in `python/`); a test keeps it equal.

Each setting is looked for in the environment, then in Archon's own settings (the database, or files in embedded mode),
then in `agent-settings.yaml` in the configuration directory, then in `config.yaml` in the home directory (there under
`{SECTION}:`); else it has its default. What the environment sets is locked in the API.

A change takes effect without a restart where the table says *live*: at once when made over the API, within
{2 * FILES_EVERY:g} s in a file, within {STORED_EVERY + 2:g} s on the other servers. Orders that run keep what they
started with. A file that cannot be used changes nothing, and health names its line. What decides where credentials are
sent, or which programs run, is out of the API's reach.

"""
_ABOUT_SECRETS = """\
## Secrets, and what the server around the plugin reads

Secrets are best saved through the API or Archon's page: they are encrypted at rest and take effect at once. The
environment comes first. A GitHub token may also be saved for one repository, where it comes before any other:
`PUT /api/awo/settings/secrets/github_token?repository_url=https://github.com/owner/name`.

"""


def main(root: Path) -> int:
    """Writes both below the repository's root."""
    for path, text in documents().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return 0


def documents() -> dict[str, str]:
    """Both texts by path."""
    return {".env.example": env_example(), "docs/reference/settings.md": reference()}


def env_example() -> str:
    lines = [
        "# Every variable that the server reads, with its default. Copy to .env and change what you need.",
        f"# Made by `{MADE_BY}`; docs/reference/settings.md says more.",
        "",
        "# --- Secrets and the server around the plugin ---",
        "",
    ]
    for one in NEIGHBOURS:
        lines += [f"# {one.description}", f"# {one.env}={one.default}", ""]
    lines += ["# --- Agent Work Orders ---", ""]
    for name, knob in catalogue().items():
        lines += [f"# {_sentence(name)}", f"# {knob.env}={_default(name)}", ""]
    return "\n".join(lines)


def reference() -> str:
    return "\n".join(_reference()) + "\n"


def _reference() -> Iterator[str]:
    yield from _INTRODUCTION.splitlines()
    yield "| setting | variable | default | values | where | live | |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name, knob in catalogue().items():
        default = f"`{_default(name)}`" if _default(name) else "none"
        places = ", ".join("API" if place == "database" else place for place in knob.places)
        variable = f"`{knob.env}`" + (f" (or `{knob.alias}`)" if knob.alias else "")
        live = "live" if knob.live else "restart"
        yield f"| `{name}` | {variable} | {default} | {_values(name)} | {places} | {live} | {_sentence(name)} |"
    yield ""
    yield from _ABOUT_SECRETS.splitlines()
    yield "| variable | default | |"
    yield "| --- | --- | --- |"
    for one in NEIGHBOURS:
        yield f"| `{one.env}` | {f'`{one.default}`' if one.default else 'none'} | {one.description} |"


def _default(name: str) -> str:
    value = defaults()[name]
    return "" if value is None else as_text(value)


def _values(name: str) -> str:
    shape, knob = schema_of(name), catalogue()[name]
    if choices := shape.get("enum"):
        return ", ".join(f"`{choice}`" for choice in choices)
    least = shape.get("minimum")
    above = shape.get("exclusiveMinimum")
    most = shape.get("maximum")
    if most is None:
        return {"boolean": "`true`, `false`", "list": "with commas between"}.get(kind_of(name), "text")
    low = f"{least:g}" if least is not None else f"above {above:g}"
    return f"{low} to {most:g}" + (f" {knob.unit}" if knob.unit else "")


def _sentence(name: str) -> str:
    return (Settings.model_fields[name].description or "").replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(Path.cwd().parent if Path.cwd().name == "python" else Path.cwd()))
