"""What of this machine's set-up package managers need inside a root of a test's own: mirror, proxies, certificates.

Read from the machine when a test runs; nothing of it stands in the repository or stays in a root.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

INSIDE = "/run/machine"
CERTIFICATES = ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
DEFAULT_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def debian_mirror() -> str | None:
    """Where apt gets Debian's own packages from, if it does."""
    fields = "$(REPO_URI)|$(ORIGIN)|$(COMPONENT)|$(RELEASE)"
    for line in _said("apt-get", "indextargets", "--format", fields, "Created-By: Packages").splitlines():
        address, origin, component, release = line.split("|")
        # The origin is not known where the lists were thrown away.
        if origin in ("Debian", "") and component == "main" and "security" not in release + address:
            return address
    return None


def set_up(folder: Path) -> dict[str, str]:
    """Variables for a process inside, with the files that they name put into `folder`, which it sees as INSIDE."""
    environment = {name: value for name, value in os.environ.items() if re.fullmatch(r"(?i)[a-z]+_proxy", name)}
    environment |= _pip()
    environment["APT_CONFIG"] = _keep(folder / "apt.conf", apt_options())
    for name in ("userconfig", "globalconfig"):
        file = Path(_said("npm", "config", "get", name).strip() or "/nonexistent")
        environment[f"npm_config_{name}"] = _keep(folder / name, file.read_text() if file.is_file() else "")
    if registry := _said("npm", "config", "get", "registry").strip():
        environment["npm_config_registry"] = registry
    named = (os.environ.get(name, "") for name in CERTIFICATES)
    bundle = next((Path(name) for name in (*named, DEFAULT_CERTIFICATES) if name and Path(name).is_file()), None)
    if bundle is not None:
        kept = _keep(folder / "ca.crt", bundle.read_text(encoding="utf-8"))
        environment |= dict.fromkeys((*CERTIFICATES, "PIP_CERT", "npm_config_cafile"), kept)
    return environment


def apt_options() -> str:
    """How apt reaches its mirror from here, and how it looks at the clock."""
    lines = _said("apt-config", "dump").splitlines()
    return "".join(f"{line}\n" for line in lines if re.match(r"Acquire::(https?|Check-|Retries|Force)", line))


def _pip() -> dict[str, str]:
    """pip's configuration as variables. Folders of this machine are left out: no builder would see them either."""
    found: dict[str, str] = {}
    for line in _said(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, quoted = line.partition("=")
        value: str = ast.literal_eval(quoted)
        kept = [word for word in value.split() if not word.startswith(("file:", "/"))]
        if kept:
            found["PIP_" + name.rpartition(".")[2].upper().replace("-", "_")] = " ".join(kept)
    return found


def _keep(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)
    return f"{INSIDE}/{file.name}"


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60).stdout
