"""The pages in a checkout of the public Archon v1: which file goes where, and how its styles are kept apart.

The features keep their places. Shared code and primitives, of which Archon has its own by the same names, come along in
`features/agent-work-orders/archon/`, and both `host.ts` point there; the only code of Archon's that ours calls is its
toast. Knows files and lines, and no checkout.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UI = "archon-ui-main"
_SOURCES = ROOT / UI / "src" / "features"
_CARRIED = f"{UI}/src/features/agent-work-orders/archon"
# Archon's settings have pages of their own.
_NOT_THERE = re.compile(r"\.test\.tsx?$|\.fixture\.ts$|^settings/views/|^shared/(hooks/useTheme|queryClient)\.ts$")
_MOVED = re.compile(r'(from|import\()( ?)"@/features/(shared|ui)/')
_TOAST = re.compile(r'^export \{ ToastProvider, useToast \} from "\./toast";$', re.MULTILINE)
_PACKAGE = re.compile(r'(?:from|import\(|^import) ?"((?:@[a-z][\w.-]*/)?[a-z][\w.-]*)(?:/[^"]*)?"', re.MULTILINE)


class Unlike(Exception):
    """Our own sources are not as this program knows them; says where."""


def files() -> dict[str, bytes]:
    """Everything that goes into the checkout's pages, by its path there."""
    return {name: content.encode() for name, content in sorted(_texts())}


def packages(there: dict[str, bytes]) -> dict[str, str]:
    """The npm packages that these files import, in the versions that we are tried with."""
    named: set[str] = set()
    for name, content in there.items():
        if name.endswith((".ts", ".tsx")):
            named |= set(_PACKAGE.findall(content.decode()))
    ours: dict[str, str] = json.loads((ROOT / UI / "package.json").read_text(encoding="utf-8"))["dependencies"]
    unknown = named - set(ours)
    if unknown:
        raise Unlike(f"the pages import {', '.join(sorted(unknown))}, and package.json does not name it")
    return {name: ours[name] for name in sorted(named)}


def _texts() -> Iterator[tuple[str, str]]:
    for path in sorted(_SOURCES.rglob("*")):
        name = path.relative_to(_SOURCES).as_posix()
        if not path.is_file() or _NOT_THERE.search(name):
            continue
        text = _MOVED.sub(r'\1\2"@/features/agent-work-orders/archon/\3/', path.read_text(encoding="utf-8"))
        if name == "ui/primitives/index.ts":
            text, found = _TOAST.subn('export { ToastProvider, useToast } from "../../toast";', text)
            if found != 1:
                raise Unlike(f"{name} does not export the toasts in a line of their own")
        at = _CARRIED if name.startswith(("shared/", "ui/")) else f"{UI}/src/features"
        yield f"{at}/{name}", text
    for path in sorted((ROOT / UI / "mount").glob("*.tsx")):
        yield f"{_CARRIED}/{path.name}", path.read_text(encoding="utf-8")
    yield f"{_CARRIED}/awo.css", styles()


def styles() -> str:
    """Our stylesheet, every rule of it inside `.awo`: Archon has classes and variables of the same names."""
    blocks = _blocks((ROOT / UI / "src" / "index.css").read_text(encoding="utf-8"))
    theme = blocks["@theme inline"].replace("@theme inline", "@theme inline reference", 1)
    components = blocks["@layer components"].replace("@layer components", ".awo", 1)
    reset = (ROOT / UI / "mount" / "reset.css").read_text(encoding="utf-8")
    whole = "\n".join(
        (
            '@import "tailwindcss/theme" theme(inline reference);',
            '@source "../../settings";',
            blocks["@custom-variant dark"],
            blocks[":root"].replace(":root", ".awo", 1),
            blocks[".dark"].replace(".dark", ".dark .awo", 1),
            theme,
            blocks["@keyframes fade-in"],
            blocks["@utility animate-fade-in"],
            reset,
            components,
            '.awo {\n  @tailwind utilities source("..");\n}\n',
        )
    )
    return whole.replace("@keyframes fade-in", "@keyframes awo-fade-in").replace(
        "animation: fade-in", "animation: awo-fade-in"
    )


def _blocks(css: str) -> dict[str, str]:
    """The outermost blocks and statements, by what stands before their brace."""
    found: dict[str, str] = {}
    for match in re.finditer(r"^([@:.\w][^{;\n]*?) ?(?:\{\n.*?^\}|(\([^;]*\))?;)\n", css, re.MULTILINE | re.DOTALL):
        found[match[1]] = match[0]
    missing = {
        ":root",
        ".dark",
        "@custom-variant dark",
        "@theme inline",
        "@layer components",
        "@keyframes fade-in",
        "@utility animate-fade-in",
    } - set(found)
    if missing:
        raise Unlike(f"index.css has no block {sorted(missing)[0]}")
    return found
