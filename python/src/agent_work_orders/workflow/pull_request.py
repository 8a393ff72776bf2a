"""The pull request's text: the request, the plan, the change and the evidence. It takes nothing on the agent's word."""

import re

from ..domain.events import CheckRun
from ..ports import Diff
from .progress import Progress

# GitHub takes 65,536 characters.
MAX_BODY = 60_000
MAX_FILES_NAMED = 60


def body_of(progress: Progress, diff: Diff) -> str:
    """Markdown, at most 60,000 characters."""
    parts = ["## Request", _quote(progress.order.user_request.strip()[:8_000])]
    if progress.order.github_issue_number is not None:
        parts.append(f"Closes #{progress.order.github_issue_number}")
    parts += ["## Change", _change(diff)]
    parts += ["## Verification", _verification(progress.evidence)]
    if plan := progress.outputs.get("planning", "").strip():
        parts += [_folded("Plan", _quote(plan[:15_000]))]
    if review := progress.outputs.get("prp-review", "").strip():
        parts += [_folded("The agent's own review", _quote(review[:10_000]))]
    if progress.tools.rehearsal:
        parts.append("*This is a rehearsal: the model's words were scripted.*")
    parts.append(f"---\nMade by Archon Agent Work Orders, order `{progress.claim.order_id}`.")
    return "\n\n".join(parts)[:MAX_BODY]


def _change(diff: Diff) -> str:
    added, deleted = sum(f.additions for f in diff.files), sum(f.deletions for f in diff.files)
    lines = [f"{len(diff.files)} file{'s' * (len(diff.files) != 1)}, +{added} -{deleted}", ""]
    named = diff.files[:MAX_FILES_NAMED]
    lines += [f"- {_code(file.path)} ({file.status}, +{file.additions} -{file.deletions})" for file in named]
    if len(diff.files) > MAX_FILES_NAMED:
        lines.append(f"- and {len(diff.files) - MAX_FILES_NAMED} more")
    return "\n".join(lines)


def _verification(evidence: CheckRun | None) -> str:
    if evidence is None:
        return "**Not verified:** the repository has no check that the server could find. Please test before merging."
    repaired = f", after {evidence.repair_round} repair turn{'s' * (evidence.repair_round != 1)}" * bool(
        evidence.repair_round
    )
    facts = (
        f"The server ran {_code(evidence.command)} on `{evidence.commit[:12]}`: exit code {evidence.exit_code} "
        f"in {evidence.duration_seconds:.1f} s{repaired}."
    )
    return f"{facts}\n\n{_folded('End of its output', _fenced(evidence.output_tail[-6_000:]))}"


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n\n</details>"


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text.strip()}\n{fence}"


def _code(text: str) -> str:
    """On one line, bounded, and with no backtick to leave the code by: an agent chooses the names of its files."""
    line = "".join(char if char.isprintable() and char != "`" else "\ufffd" for char in text)
    return f"`{line if len(line) <= 200 else line[:199] + '…'}`"


def _quote(text: str) -> str:
    # A quote also ends whatever Markdown or HTML was begun and not ended in it.
    return "\n".join(f"> {line}" for line in _quiet(text).splitlines())


def _quiet(text: str) -> str:
    # A mention would notify people, "fixes #1" would close issues: words that came from elsewhere must do neither.
    text = re.sub(r"@(?=[A-Za-z0-9])", "@\u200b", text)
    text = re.sub(r"#(?=\d)", "#\u200b", text)
    text = re.sub(r"\b(gh)-(?=\d)", "\\1\u200b-", text, flags=re.IGNORECASE)
    text = re.sub(
        r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=:?\s+https?://)", "\\1\u200b", text, flags=re.IGNORECASE
    )
    return re.sub(r"<(?=!--|/?(?:details|summary)\b)", "<\u200b", text, flags=re.IGNORECASE)
