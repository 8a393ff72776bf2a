"""The whole environment of whatever runs on a repository's behalf: an allow-list of the server's, and its own home.
No credential is in it; the agent's own is added by the one who starts it."""

import os
from collections.abc import Mapping
from pathlib import Path

# Where programs and their data are, which language and time, and how the network is reached: nothing else is inherited.
_INHERITED = frozenset(
    {
        "PATH", "LANG", "LANGUAGE", "TZ", "TERM",
        "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE", "GIT_SSL_CAINFO",
        "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY",
        "http_proxy", "https_proxy", "all_proxy", "no_proxy",
        "PYENV_ROOT", "RUSTUP_HOME", "JAVA_HOME", "GOROOT", "NVM_DIR",
    }
)  # fmt: skip


def environment(home: Path, server: Mapping[str, str] = os.environ) -> dict[str, str]:
    """For a process whose home is `home`. `<home>/tmp` has to exist."""
    inherited = {name: value for name, value in server.items() if name in _INHERITED or name.startswith("LC_")}
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        **inherited,
        **_past_the_proxy(inherited),
        "HOME": str(home),
        "TMPDIR": str(temporary(home)),
        "PYTHONDONTWRITEBYTECODE": "1",
        # Commits of the agent's are told from a person's at a glance; a question would wait for ever.
        "GIT_AUTHOR_NAME": "Agent Work Orders",
        "GIT_AUTHOR_EMAIL": "agent-work-orders@localhost",
        "GIT_COMMITTER_NAME": "Agent Work Orders",
        "GIT_COMMITTER_EMAIL": "agent-work-orders@localhost",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _past_the_proxy(inherited: Mapping[str, str]) -> dict[str, str]:
    """A gateway on this machine is not reached through a proxy elsewhere, whether or not the operator thought of it."""
    if not any(name.lower().endswith("_proxy") for name in inherited):
        return {}
    excepted = inherited.get("NO_PROXY") or inherited.get("no_proxy")
    hosts = ",".join(filter(None, (excepted, "127.0.0.1,localhost,::1")))
    return {"NO_PROXY": hosts, "no_proxy": hosts}


def prepare_home(home: Path) -> None:
    """Makes the home and what is expected in it, for its owner alone."""
    for directory in (home, temporary(home)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def temporary(home: Path) -> Path:
    return home / "tmp"
