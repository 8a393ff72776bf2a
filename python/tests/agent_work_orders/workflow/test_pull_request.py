"""The pull request's text: bounded, and quiet whatever the words in it are."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from src.agent_work_orders.domain.events import CheckRun
from src.agent_work_orders.ports import Diff, FileDiff
from src.agent_work_orders.workflow.progress import Progress, open_progress
from src.agent_work_orders.workflow.pull_request import MAX_BODY, body_of

from ..fakes import Bench

pytestmark = pytest.mark.anyio
DIFF = Diff("b" * 40, "h" * 40, (FileDiff("src/a.py", None, "modified", 3, 1, "+x"),))
EVIDENCE = CheckRun(
    command="make test", source="Makefile: test", exit_code=0, passed=True, duration_seconds=2.25, commit="c" * 40,
    output_tail="1 passed\n", repair_round=0,
)  # fmt: skip


@pytest.fixture
async def progress(bench: Bench) -> AsyncIterator[Progress]:
    await bench.file(user_request="Say hello.", github_issue_number=7)
    async with open_progress(await bench.claim(), bench.tools) as opened:
        yield opened


def asks(progress: Progress, words: str) -> Progress:
    progress.order = progress.order.model_copy(update={"user_request": words})
    return progress


async def test_it_says_what_was_asked_what_changed_and_how_it_was_checked(progress: Progress) -> None:
    progress.evidence = EVIDENCE
    progress.outputs = {"planning": "1. Do it.", "prp-review": "Looks good."}
    body = body_of(progress, DIFF)
    for words in (
        "> Say hello.", "Closes #7", "1 file, +3 -1", "- `src/a.py` (modified, +3 -1)",
        "The server ran `make test` on `cccccccccccc`: exit code 0 in 2.2 s.", "1 passed", "1. Do it.", "Looks good.",
        f"order `{progress.claim.order_id}`",
    ):  # fmt: skip
        assert words in body
    headings = [line for line in body.splitlines() if line.startswith("## ")]
    assert headings == ["## Request", "## Change", "## Verification"]
    assert "rehearsal" not in body


async def test_without_a_check_it_says_so(progress: Progress) -> None:
    assert "**Not verified:**" in body_of(progress, DIFF)


async def test_a_rehearsal_says_so(progress: Progress) -> None:
    progress.tools = replace(progress.tools, rehearsal=True)
    assert "This is a rehearsal" in body_of(progress, DIFF)


@pytest.mark.parametrize(
    "words",
    [
        "@everyone look", "thanks @octocat!", "fixes #12", "Closes owner/name#12", "resolves GH-12", "fixed gh-3",
        "closes https://github.com/owner/name/issues/12", "Fixes: https://github.com/owner/name/issues/12",
        "</details> free", "<DETAILS>", "<summary>x", "<!-- the rest is gone",
    ],
)  # fmt: skip
async def test_words_from_elsewhere_mention_nobody_close_nothing_and_hide_nothing(
    progress: Progress, words: str
) -> None:
    progress.evidence = EVIDENCE.model_copy(update={"output_tail": "ok"})
    progress.outputs = {"planning": words, "prp-review": words}
    body = body_of(asks(progress, words), DIFF).replace("Closes #7", "")
    assert not re.search(r"@[A-Za-z0-9]", body)
    assert not re.search(r"#\d", body)
    assert not re.search(r"(?i)\bgh-\d", body)
    assert not re.search(r"(?i)\b(close[sd]?|fix(es|ed)?|resolve[sd]?):?\s+https?://", body)
    assert body.lower().count("<details>") == body.lower().count("</details>") == 3
    assert body.lower().count("<summary>") == 3
    assert "<!--" not in body


async def test_text_that_begins_what_it_does_not_end_stays_within_its_quote(progress: Progress) -> None:
    progress.outputs = {"planning": "```python\nx = 1", "prp-review": "<div>"}
    body = body_of(asks(progress, "```\nnever closed"), DIFF)
    opened = [line for line in body.splitlines() if "```" in line or "<div>" in line]
    assert opened
    assert all(line.startswith("> ") for line in opened)


async def test_output_with_fences_stays_within_its_own(progress: Progress) -> None:
    progress.evidence = EVIDENCE.model_copy(update={"output_tail": "a\n`````\nb"})
    body = body_of(progress, DIFF)
    assert "``````text\na\n`````\nb\n``````" in body


async def test_a_name_of_a_file_cannot_leave_its_code(progress: Progress) -> None:
    names = ("a` @octocat fixes #1 `b", "line\nbreak", "\x1b[31m", "x" * 4_000)
    files = tuple(FileDiff(name, None, "added", 1, 0, None) for name in names)
    body = body_of(progress, Diff("b" * 40, "h" * 40, files))
    listed = [line for line in body.splitlines() if line.startswith("- ")]
    assert len(listed) == 4
    assert all(re.fullmatch(r"- `[^`]{1,200}` \(added, \+1 -0\)", line) for line in listed)


async def test_it_is_never_longer_than_a_forge_takes_and_keeps_the_evidence(progress: Progress) -> None:
    progress.evidence = EVIDENCE.model_copy(update={"output_tail": "`" * 16_000, "command": "x" * 2_000})
    progress.outputs = {"planning": "@a " * 20_000, "prp-review": "# " * 20_000}
    files = tuple(FileDiff("d/" * 2_000 + str(number), None, "added", 1, 0, None) for number in range(500))
    body = body_of(asks(progress, "#1 @b " * 10_000), Diff("b" * 40, "h" * 40, files))
    assert len(body) <= MAX_BODY
    assert "exit code 0" in body
    assert "- and 440 more" in body
