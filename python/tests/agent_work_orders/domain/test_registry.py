"""Repositories as stores keep them: what is read back, and what is not taken from an odd row."""

import logging

import pytest

from src.agent_work_orders.domain.registry import (
    Configuration,
    Verification,
    stored_options,
    verification_json,
    verification_of,
)
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.setting import Finding
from src.agent_work_orders.domain.work_order import WorkOrderRequest


def test_the_limit_is_kept_beside_the_options() -> None:
    """The queue reads it from its own column, and so does whoever reads the options: there is one truth."""
    options = RepositoryOptions(max_concurrent=2, lfs=True)
    columns = Configuration("github.com/a/b", "https://github.com/a/b", options).columns()
    assert (columns["max_concurrent"], columns["options"]) == (2, {"lfs": True})
    assert stored_options("github.com/a/b", columns["options"], 7).max_concurrent == 7


def test_what_a_newer_server_wrote_has_no_effect_here() -> None:
    assert stored_options("k", {"lfs": True, "from_the_future": 1}, None) == RepositoryOptions(lfs=True)


def test_what_cannot_be_used_any_more_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "archon.awo"):
        found = stored_options("github.com/a/b", {"lfs": True, "depth": -1}, None)
    assert found == RepositoryOptions(lfs=True)
    assert "github.com/a/b" in caplog.text
    assert "depth" in caplog.text


def test_a_verification_comes_back_as_it_was() -> None:
    verification = Verification(False, (Finding(name="one", ok=False, detail="No.", next_action="Mend it."),), "main")
    assert verification_of(verification_json(verification), None) == verification


@pytest.mark.parametrize("stored", [None, {}, {"ok": True}, {"ok": True, "checks": [{}], "default_branch": None}])
def test_an_odd_verification_is_none(stored: dict[str, object] | None) -> None:
    assert verification_of(stored, None) is None


def test_defaults_fill_up_what_a_request_leaves_open_and_nothing_else() -> None:
    options = RepositoryOptions(workflow_type="quick_fix", base_branch="develop", model="opus", max_cost_usd=3)
    bare = WorkOrderRequest(repository_url="https://github.com/a/b", user_request="Do it.")
    filled = bare.with_defaults(options)
    assert (filled.workflow_type, filled.base_branch, filled.model, filled.max_cost_usd) == (
        "quick_fix", "develop", "opus", 3,
    )  # fmt: skip
    assert bare.with_defaults(RepositoryOptions()) == bare
    # Who names the usual workflow means it.
    named = bare.model_copy(update={"workflow_type": "agent_workflow_plan", "max_cost_usd": 1.0})
    assert named.with_defaults(options).workflow_type == "agent_workflow_plan"
    assert named.with_defaults(options).max_cost_usd == 1.0
