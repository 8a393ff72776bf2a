"""Whether Claude Code would work here: program, version, options, confinement, credential; the model only when told."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import anyio
from anyio import to_thread

from ..domain.errors import StepFailed
from ..domain.setting import Finding
from ..ports import AgentTurn
from .claude_cli import ClaudeCli
from .confinement import Confinement
from .environment import environment, prepare_home
from .process import open_child

_MODEL_WITHIN = timedelta(seconds=45)
_MOST_HELP = 256 * 1024
_QUESTION = "Reply with the single word OK and do nothing else."
_MOST_DOLLARS = 0.10


async def probe_claude(
    cli: ClaudeCli,
    path: str,
    confinement: Confinement,
    credentials: Mapping[str, str],
    *,
    ask_model: bool,
    model: str | None,
) -> list[Finding]:
    """One by one, in the order in which a person would look. `cli` should not repeat what fails."""
    program = shutil.which(path)
    if program is None:
        return [
            _bad(
                "program",
                f"{path!r} is not there or not executable.",
                "Install Claude Code, or set CLAUDE_CLI_PATH to a `claude` that runs on this machine.",
            )
        ]
    findings = [_good("program", f"{program} is there.")]
    try:
        findings.append(_good("version", f"{await cli.describe()} starts."))
        findings.append(_options(cli.options(), await _help(program, confinement)))
    except StepFailed as failed:
        return [*findings, _bad("version", failed.message, failed.next_action.replace(", then retry", ""))]
    findings += [_confined(confinement), _credential(credentials)]
    if ask_model and credentials and findings[2].ok:
        findings.append(await _model(cli, credentials, model))
    return findings


def _options(used: frozenset[str], text: str) -> Finding:
    known = set(re.findall(r"(?<![\w-])--?[A-Za-z][A-Za-z-]*", text))
    missing = sorted(used - known)
    if not missing:
        return _good("options", f"All {len(used)} options that a turn uses are known to it.")
    return _bad("options", f"It does not know {', '.join(missing)}.", "Install a newer Claude Code (2.1.197 or later).")


def _confined(confinement: Confinement) -> Finding:
    if confinement.name != "same-user":
        return _good("confinement", f"Agents run confined: {confinement.name}.")
    return Finding(
        name="confinement",
        ok=False,
        required=False,
        detail="Agents run as the server's own user and can read what it can read.",
        next_action="Run the server in its container, or set AWO_AGENT_USER to another user.",
    )


def _credential(credentials: Mapping[str, str]) -> Finding:
    if credentials:
        return _good("credential", f"{' and '.join(sorted(credentials))} is set.")
    told = "Neither an API key nor a subscription's token is set."
    return _bad("credential", told, "Save one here: an Anthropic API key, or a token made by `claude setup-token`.")


async def _model(cli: ClaudeCli, credentials: Mapping[str, str], model: str | None) -> Finding:
    with tempfile.TemporaryDirectory(prefix="awo-claude-") as scratch:
        cwd, home = Path(scratch) / "work", Path(scratch) / "home"
        await to_thread.run_sync(_make_reachable, cwd)
        turn = AgentTurn(
            run_id=f"probe-{uuid4().hex}",
            prompt=_QUESTION,
            cwd=cwd,
            home=home,
            run_dir=Path(scratch) / "run",
            session_id=None,
            model=model,
            read_only=True,
            timeout=_MODEL_WITHIN,
            stall_timeout=_MODEL_WITHIN,
            max_cost_usd=_MOST_DOLLARS,
            credentials=dict(credentials),
        )
        try:
            result = await cli.run(turn, lambda payload: None)
        except StepFailed as failed:
            return _bad("model", failed.message, failed.next_action)
    if result.failure is not None:
        return _bad("model", result.failure.message, result.failure.next_action.replace(", then retry", ""))
    return _good("model", f"The model answered; it cost {result.cost_usd:.4f} US dollars.")


def _make_reachable(cwd: Path) -> None:
    """Another user must get to what is handed over to it."""
    cwd.mkdir()
    cwd.parent.chmod(0o711)


async def _help(program: str, confinement: Confinement) -> str:
    with tempfile.TemporaryDirectory(prefix="awo-claude-") as scratch:
        home = Path(scratch)
        prepare_home(home)
        confinement.hand_over(home)
        async with open_child(
            [program, "--help"],
            env={**environment(home), "CLAUDE_CONFIG_DIR": str(home / ".claude"), "DISABLE_AUTOUPDATER": "1"},
            cwd=home,
            stdout=home / "help.txt",
            stderr=None,
            run_id=f"help-{uuid4().hex}",
            confinement=confinement,
        ) as child:
            with anyio.move_on_after(20):
                await child.wait()
        with (home / "help.txt").open("rb") as file:
            return file.read(_MOST_HELP).decode("utf-8", "replace")


def _good(name: str, detail: str) -> Finding:
    return Finding(name=name, ok=True, detail=detail)


def _bad(name: str, detail: str, next_action: str) -> Finding:
    return Finding(name=name, ok=False, detail=detail, next_action=next_action)
