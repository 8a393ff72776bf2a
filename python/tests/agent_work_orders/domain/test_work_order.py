"""What may be filed: the bounds of every field, and what makes two requests the same."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from src.agent_work_orders.domain.errors import InvalidInput
from src.agent_work_orders.domain.work_order import (
    MAX_TEXT_BYTES,
    OrderChanges,
    Outcome,
    WorkOrder,
    WorkOrderRequest,
    new_order_id,
    utc_now,
)

LEAST = {"repository_url": "https://github.com/owner/name", "user_request": "Say hello."}


def filed(**fields: Any) -> WorkOrderRequest:
    return WorkOrderRequest.model_validate(LEAST | fields)


def refused_field(**fields: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        filed(**fields)
    (field,) = {str(error["loc"][0]) for error in refused.value.errors()}
    return field


def test_two_fields_are_enough_and_the_rest_has_defaults() -> None:
    request = filed()
    assert (request.workflow_type, request.priority, request.sandbox_type) == ("agent_workflow_plan", 5, "git_branch")
    assert len(request.steps()) == 7


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_request", ""), ("user_request", " \n\t "), ("user_request", 5), ("user_request", None),
        ("user_request", "a\x00b"), ("user_request", "\ud800"), ("user_request", "x" * (MAX_TEXT_BYTES + 1)),
        ("user_request", "é" * (MAX_TEXT_BYTES // 2) + "x"), ("user_request", ["a"]),
        ("repository_url", None), ("repository_url", 1),
        ("workflow_type", 1), ("workflow_type", None), ("workflow_type", "a\x00"), ("workflow_type", "\udfff"),
        ("selected_commands", "planning"), ("selected_commands", {"planning": True}), ("selected_commands", [1]),
        ("selected_commands", ["\x00"]), ("selected_commands", ["planning"] * 21), ("selected_commands", False),
        ("sandbox_type", "docker"), ("sandbox_type", None),
        ("github_issue_number", 0), ("github_issue_number", -1), ("github_issue_number", 2**31),
        ("github_issue_number", True), ("github_issue_number", 1.0), ("github_issue_number", "1.0"),
        ("github_issue_number", "##1"), ("github_issue_number", "#"), ("github_issue_number", ""),
        ("github_issue_number", "٣"), ("github_issue_number", "1" * 11), ("github_issue_number", "0x1"),
        ("base_branch", "--upload-pack=x"), ("base_branch", "a..b"), ("base_branch", ""), ("base_branch", "HEAD"),
        ("base_branch", "a\x00"), ("base_branch", "\ud800"),
        ("working_subdir", "/etc"), ("working_subdir", ".."), ("working_subdir", "a/../../b"),
        ("working_subdir", "a/../b"), ("working_subdir", ".git"), ("working_subdir", "a/.GIT/hooks"),
        ("working_subdir", "a\nb"), ("working_subdir", "a\x00b"), ("working_subdir", "a" * 401),
        ("priority", -1), ("priority", 10), ("priority", "5"), ("priority", 5.0), ("priority", False),
        ("priority", None),
        ("model", "--dangerously-skip-permissions"), ("model", ""), ("model", "a b"), ("model", "a" * 101),
        ("model", "a\n"),
        ("timeout_seconds", 0), ("timeout_seconds", 86_401), ("timeout_seconds", "60"), ("timeout_seconds", True),
        ("timeout_seconds", 1.5),
        ("max_cost_usd", 0), ("max_cost_usd", -1.0), ("max_cost_usd", 10_000.01), ("max_cost_usd", math.nan),
        ("max_cost_usd", math.inf), ("max_cost_usd", -math.inf), ("max_cost_usd", "5"), ("max_cost_usd", True),
        ("idempotency_key", ""), ("idempotency_key", "a b"), ("idempotency_key", "a" * 201),
        ("idempotency_key", "ü"), ("idempotency_key", "a\r\nX: y"), ("idempotency_key", 5),
        ("run_after", "2030-01-31T08:00:00"), ("run_after", "2030-01-31"), ("run_after", "tomorrow"),
        ("run_after", 1_900_000_000), ("run_after", "1900000000"), ("run_after", True), ("run_after", 1.5),
        ("run_after", "2030-13-01T00:00:00Z"), ("run_after", "0001-01-01T00:00:00+10:00"),
        ("run_after", "9999-12-31T23:59:59-10:00"), ("run_after", datetime(2030, 1, 31)),  # noqa: DTZ001 - it is refused
        ("requires_approval_please", True), ("attempt", 3), ("agent_work_order_id", "wo-0123456789abcdef"),
    ],
)  # fmt: skip
def test_a_field_out_of_bounds_is_refused_by_its_name(field: str, value: object) -> None:
    assert refused_field(**{field: value}) == field


@pytest.mark.parametrize("field", ["repository_url", "user_request"])
def test_what_must_be_there_is_missed_by_its_name(field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        WorkOrderRequest.model_validate({name: value for name, value in LEAST.items() if name != field})
    assert refused.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("user_request", "x" * MAX_TEXT_BYTES, "x" * MAX_TEXT_BYTES),
        ("user_request", "é" * (MAX_TEXT_BYTES // 2), "é" * (MAX_TEXT_BYTES // 2)),
        ("user_request", "a\nb\t\x1b[31m 😀", "a\nb\t\x1b[31m 😀"),
        ("github_issue_number", 12, 12),
        ("github_issue_number", "12", 12),
        ("github_issue_number", "#12", 12),
        ("github_issue_number", 2**31 - 1, 2**31 - 1),
        ("sandbox_type", "git_worktree", "git_worktree"),
        ("base_branch", "release/1.x", "release/1.x"),
        ("working_subdir", "packages/web", "packages/web"),
        ("working_subdir", "./packages//web/", "packages/web"),
        ("working_subdir", ".", ""),
        ("working_subdir", "", ""),
        ("working_subdir", ".github", ".github"),
        ("working_subdir", "a b/ü", "a b/ü"),
        ("priority", 0, 0),
        ("priority", 9, 9),
        ("model", "us.anthropic.claude-sonnet-4-5-v1:0", "us.anthropic.claude-sonnet-4-5-v1:0"),
        ("model", "sonnet[1m]", "sonnet[1m]"),
        ("timeout_seconds", 86_400, 86_400),
        ("max_cost_usd", 5, 5.0),
        ("max_cost_usd", 0.01, 0.01),
        ("idempotency_key", "a" * 200, "a" * 200),
        ("run_after", "2030-01-31T08:00:00Z", datetime(2030, 1, 31, 8, tzinfo=UTC)),
        ("run_after", "2030-01-31T08:00:00.5+02:00", datetime(2030, 1, 31, 6, 0, 0, 500_000, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_a_field_within_bounds_is_kept(field: str, value: object, kept: object) -> None:
    assert getattr(filed(**{field: value}), field) == kept


@pytest.mark.parametrize(
    "field",
    [
        "selected_commands", "github_issue_number", "base_branch", "working_subdir", "model", "timeout_seconds",
        "max_cost_usd", "idempotency_key", "run_after",
    ],
)  # fmt: skip
def test_null_is_the_same_as_leaving_it_out(field: str) -> None:
    assert filed(**{field: None}) == filed()


@given(st.text(max_size=300), st.text(max_size=50), st.text(max_size=50))
def test_any_text_is_accepted_or_refused_but_never_a_crash(user_request: str, subdir: str, branch: str) -> None:
    try:
        request = filed(user_request=user_request, working_subdir=subdir, base_branch=branch)
    except ValidationError:
        return
    assert request.user_request.strip()
    assert ".." not in (request.working_subdir or "").split("/")
    assert not (request.working_subdir or "").startswith("/")
    request.model_dump_json()


def test_unknown_steps_are_refused_when_the_steps_are_asked_for() -> None:
    with pytest.raises(InvalidInput):
        filed(selected_commands=["deploy"]).steps()


def test_equal_requests_have_equal_fingerprints_whatever_their_key() -> None:
    one = filed(idempotency_key="a", run_after="2030-01-31T08:00:00Z", github_issue_number="7")
    same = filed(idempotency_key="b", run_after="2030-01-31T10:00:00+02:00", github_issue_number=7)
    assert one.fingerprint() == same.fingerprint()
    assert len(one.fingerprint()) == 64


@pytest.mark.parametrize(
    "fields", [{"priority": 4}, {"user_request": "Say hello!"}, {"model": "opus"}, {"selected_commands": ["planning"]}]
)
def test_another_request_has_another_fingerprint(fields: dict[str, Any]) -> None:
    assert filed().fingerprint() != filed(**fields).fingerprint()


def test_what_the_server_keeps_for_itself_is_not_shown() -> None:
    order = WorkOrder(
        agent_work_order_id=new_order_id(), repository_url="https://github.com/o/n", repository_key="github.com/o/n",
        sandbox_identifier="x", sandbox_type="git_branch", workflow_type="plan_only", selected_commands=("planning",),
        user_request="x", status="pending", attempt=1, max_attempts=3, priority=5, last_seq=1, created_at=utc_now(),  # type: ignore[arg-type]  # a word, as a store gives it
        updated_at=utc_now(), base_commit="c" * 40, next_step=2, rev=9,
    )  # fmt: skip
    assert not {"repository_key", "base_commit", "next_step", "rev"} & set(order.model_dump(mode="json"))


def test_changes_name_only_what_was_given() -> None:
    assert OrderChanges().given() == {}
    assert OrderChanges(git_commit_count=0, git_branch_name="b").given() == {
        "git_commit_count": 0,
        "git_branch_name": "b",
    }


def test_identifiers_are_random_and_of_one_form() -> None:
    made = {new_order_id() for _ in range(50)}
    assert len(made) == 50
    assert all(len(name) == 19 and name.startswith("wo-") and int(name[3:], 16) >= 0 for name in made)


def test_an_outcome_needs_no_failure() -> None:
    assert Outcome(status="completed", summary="Done.").failure_class is None  # type: ignore[arg-type]  # any word will do
