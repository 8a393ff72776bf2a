"""What must not be pushed, and that the reasons never repeat it."""

import pytest

from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.ports import Diff, FileDiff
from src.agent_work_orders.workflow.policy import MAX_FILES, problems_of

SECRET = "a-github-token-1234"


def diff_of(*patches: str | None, path: str = "a.py") -> Diff:
    files = tuple(FileDiff(path, None, "modified", 1, 1, patch) for patch in patches)
    return Diff("b" * 40, "h" * 40, files)


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.register(SECRET)
    return redactor


@pytest.mark.parametrize(
    "patch",
    [
        f"@@ -1 +1 @@\n+token = '{SECRET}'",
        "@@ -1 +1 @@\n+ghp_" + "a1B2" * 9,
        "@@ -1 +2 @@\n+-----BEGIN PRIVATE KEY-----\n+abc\n+-----END PRIVATE KEY-----",
    ],
)
def test_a_secret_that_is_added_is_a_problem(redactor: Redactor, patch: str) -> None:
    assert problems_of(diff_of(patch), redactor) == ["a.py adds what looks like a secret"]


@pytest.mark.parametrize(
    "patch",
    [
        None,
        "",
        "@@ -1 +1 @@\n+hello",
        f"@@ -1 +0,0 @@\n-token = '{SECRET}'",  # taking one out is what we want
        f"@@ -1,2 +1,2 @@\n token = '{SECRET}'\n+hello",  # it was there before
        "@@ -1 +1 @@\n+DATABASE_URL=postgresql://test:test@localhost/test",
    ],
)
def test_what_adds_no_secret_is_no_problem(redactor: Redactor, patch: str | None) -> None:
    assert problems_of(diff_of(patch), redactor) == []


def test_a_name_that_is_a_secret_is_a_problem_that_does_not_say_it(redactor: Redactor) -> None:
    assert problems_of(diff_of("+x", path=f"{SECRET}.txt"), redactor) == [
        "a file's name holds what looks like a secret"
    ]


def test_more_files_than_anybody_reviews_are_a_problem(redactor: Redactor) -> None:
    assert problems_of(diff_of(*["+x"] * MAX_FILES), redactor) == []
    assert problems_of(diff_of(*["+x"] * (MAX_FILES + 1)), redactor) == ["it touches 5,001 files (at most 5,000)"]
