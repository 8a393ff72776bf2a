"""Verification: the server runs the repository's own check and keeps the evidence. The agent's word does not count."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from anyio import to_thread

from ..domain.errors import FailureClass, StepFailed
from ..domain.events import CheckRun
from .agent_turn import ask_agent
from .progress import Progress

REPAIR_TURNS = 2
_MAX_FILE = 1 << 20


@dataclass(frozen=True)
class Check:
    """A command that tells whether a repository is well, and how it was found."""

    argv: tuple[str, ...]
    source: str

    @property
    def command(self) -> str:
        return self.argv[2] if self.argv[:2] == ("/bin/sh", "-c") else " ".join(self.argv)


@dataclass(frozen=True)
class Verified:
    """The evidence, or None where the repository has no check that could be found."""

    evidence: CheckRun | None
    sentence: str


async def verify(progress: Progress) -> Verified:
    """Runs the check on the checkpoint, with up to two repair turns. StepFailed (verification) if it stays red."""
    checkout = await progress.checkout()
    for repair_round in range(REPAIR_TURNS + 1):
        own = progress.options.verify_command
        source = "the repository's settings" if own else "AWO_VERIFY_COMMAND"
        check = await to_thread.run_sync(find_check, own or progress.limits.verify_command, checkout.workdir, source)
        if check is None:
            return Verified(None, "Not verified: the repository has no check that could be found.")
        evidence = await _run_check(progress, check, repair_round)
        progress.evidence = evidence
        await checkout.put_back(evidence.commit)  # what the check left is nobody's change, and later turns go on here
        if evidence.passed:
            return Verified(evidence, f"{evidence.command} passed on {evidence.commit[:12]}.")
        if repair_round == REPAIR_TURNS:
            raise _stays_red(evidence)
        await ask_agent(progress, "repair", check_output=evidence.output_tail)
        await progress.save_checkpoint(f"repaired-{repair_round + 1}")
    raise AssertionError("every round returns, raises or repairs")


def _stays_red(evidence: CheckRun) -> StepFailed:
    how = "ran into its time limit" if evidence.exit_code is None else f"ended with exit code {evidence.exit_code}"
    return StepFailed(
        FailureClass.VERIFICATION,
        f"The check {evidence.command!r} {how}, also after {REPAIR_TURNS} repair turns.",
        next_action="Read the evidence; the work is kept and was pushed nowhere. Retry, or say more in a new order.",
    )


async def _run_check(progress: Progress, check: Check, repair_round: int) -> CheckRun:
    checkout = await progress.checkout()
    checkpoint = progress.checkpoint or await progress.save_checkpoint("to-verify")
    order = progress.order
    limit = timedelta(seconds=order.timeout_seconds) if order.timeout_seconds else progress.limits.step_timeout
    result = await progress.tools.checks.run(
        f"{progress.claim.order_id}.{progress.claim.token}",
        check.argv,
        checkout.workdir,
        progress.artifacts.home,
        progress.artifacts.run_dir(progress.step_order or 0, 100 + repair_round),
        limit,
        environment=progress.options.environment,
    )
    name = f"{order.attempt}-{progress.step_order}-check-{repair_round + 1}"
    artifact_id = await progress.artifacts.keep_output(
        result.output, f"{name}.log", progress.step_name, "text/plain; charset=utf-8"
    )
    evidence = CheckRun(
        command=check.command,
        source=check.source,
        exit_code=result.exit_code,
        passed=result.exit_code == 0,
        duration_seconds=round(result.duration.total_seconds(), 3),
        commit=checkpoint.commit,
        output_tail=progress.tools.redactor.redact(result.output_tail),
        repair_round=repair_round,
        artifact_id=artifact_id,
    )
    progress.tell(evidence)
    await progress.artifacts.write_json(
        "evidence", f"{name}.json", evidence.model_dump(mode="json"), progress.step_name
    )
    return evidence


def find_check(configured: str | None, root: Path, source: str = "AWO_VERIFY_COMMAND") -> Check | None:
    """The operator's command, else what the repository itself offers: make, npm, cargo, go or pytest."""
    if configured:
        return Check(("/bin/sh", "-c", configured), source)
    for name in ("GNUmakefile", "makefile", "Makefile"):  # make reads the first of these, and no other
        if makefile := _text(root / name):
            for target in ("test", "check"):
                if _has_rule(makefile, target):
                    return Check(("make", target), f"{name}: {target}")
            break
    if _npm_tests(_text(root / "package.json")):
        return Check(("npm", "test"), "package.json: scripts.test")
    if (root / "Cargo.toml").is_file():
        return Check(("cargo", "test"), "Cargo.toml")
    if (root / "go.mod").is_file():
        return Check(("go", "test", "./..."), "go.mod")
    pytest_named = any(
        marker in _text(root / name)
        for name, marker in (
            ("pyproject.toml", "[tool.pytest"),
            ("setup.cfg", "[tool:pytest]"),
            ("tox.ini", "[pytest]"),
        )
    )
    if pytest_named or (root / "pytest.ini").is_file() or (root / "conftest.py").is_file():
        return Check(("python3", "-m", "pytest"), "pytest's configuration")
    tests = root / "tests"
    if tests.is_dir() and not tests.is_symlink() and any(tests.glob("test*.py")):
        return Check(("python3", "-m", "pytest"), "tests/")
    return None


def _has_rule(makefile: str, target: str) -> bool:
    """Whether a line names the target before a colon that begins no assignment."""
    return (
        re.search(rf"(?m)^(?:[^\s:=#]+[ \t]+)*{target}(?:[ \t]+[^\s:=#]+)*[ \t]*:(?!:{{0,2}}=)", makefile) is not None
    )


def _npm_tests(package: str) -> bool:
    """Whether the package has a test script that somebody wrote, rather than `npm init`."""
    try:
        found = json.loads(package or "{}")
    except (ValueError, RecursionError):
        return False
    scripts = found.get("scripts") if isinstance(found, dict) else None
    script = scripts.get("test") if isinstance(scripts, dict) else None
    return isinstance(script, str) and bool(script.strip()) and "no test specified" not in script


def _text(path: Path) -> str:
    """A file of the checkout, which the agent may have written: small, regular, no link."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_FILE:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
