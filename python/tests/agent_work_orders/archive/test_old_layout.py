"""An old stand-alone installation comes in as orders that have ended, with their files, however often it is tried."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.archive.old_layout import bring_in, find_old_orders, new_id_of
from src.agent_work_orders.domain.errors import WorkOrderError
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.ports import ListQuery
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.store.supabase import SupabaseStore

pytestmark = pytest.mark.anyio

TOKEN = "ghp_" + "a1B2" * 9
STATE: dict[str, Any] = {
    "state": {
        "agent_work_order_id": "wo-990a1663",
        "repository_url": "https://github.com/owner/name.git",
        "sandbox_identifier": "sandbox-wo-990a1663",
        "git_branch_name": "feat-hello-wo-990a1663",
        "agent_session_id": "0cbe7b60-0000-4000-8000-000000000000",
    },
    "metadata": {
        "sandbox_type": "git_worktree",
        "status": "completed",
        "user_request": "Write hello-world-2.txt.",
        "selected_commands": ["create-branch", "planning", "execute", "commit", "create-pr"],
        "github_issue_number": "12",
        "github_pull_request_url": "https://github.com/owner/name/pull/7",
        "created_at": "2025-01-05T10:00:00",
        "updated_at": "2025-01-05T10:09:30.250000+00:00",
    },
    "step_history": {
        "agent_work_order_id": "wo-990a1663",
        "steps": [
            {
                "step": "planning",
                "agent_name": "Planner",
                "success": True,
                "output": "A plan.",
                "duration_seconds": 12.5,
                "timestamp": "2025-01-05T10:02:00",
            },
            {"step": "execute", "agent_name": "Implementor", "success": False, "error_message": "No."},
        ],
    },
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """One order with a state file, one of which only files are left, and much that is no order."""
    root = tmp_path / "agent-work-orders"
    for order_id in ("wo-990a1663", "wo-c9e597d7"):
        for name, text in {
            "prompts/prompt_20250105_100001.txt": "Write the file, please.",
            "outputs/output_20250105_100002.jsonl": f'{{"token": "{TOKEN}"}}\n',
        }.items():
            path = root / order_id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            os.utime(path, (1_736_071_200, 1_736_071_200))
    (root / "wo-990a1663" / "outputs" / "link").symlink_to("/etc/passwd")
    clone = root / "repos" / "f4f3fd91" / "main" / ".git"
    clone.mkdir(parents=True)
    (clone / "config").write_text(f'[remote "origin"]\n\turl = https://x:{TOKEN}@github.com/owner/other.git\n')
    (root / "repos" / "f4f3fd91" / "trees" / "sandbox-wo-c9e597d7").mkdir(parents=True)
    (root / "wo-empty").mkdir()
    (root / "not an order").mkdir()
    (root / "agent-work-orders-state").mkdir()
    (root / "agent-work-orders-state" / "wo-990a1663.json").write_text(json.dumps(STATE))
    return root


@pytest.fixture(params=["embedded", "shared"])
def store(request: pytest.FixtureRequest) -> SqliteStore | SupabaseStore:
    found: SqliteStore | SupabaseStore = request.getfixturevalue(request.param)
    return found


async def test_orders_appear_as_ended_with_their_files(
    old: Path, store: SqliteStore | SupabaseStore, tmp_path: Path
) -> None:
    done = await bring_in(store, tmp_path / "work-orders", list(find_old_orders(old)))
    assert (done.created, done.there, done.files, done.refused) == (2, 0, 4, {})
    order = await store.get(new_id_of("wo-990a1663"))
    assert (order.status, order.user_request) == (Status.COMPLETED, "Write hello-world-2.txt.")
    assert (order.repository_url, order.github_issue_number) == ("https://github.com/owner/name", 12)
    assert order.selected_commands == ("create-branch", "planning", "execute", "verify", "commit", "create-pr")
    assert (order.git_branch_name, order.sandbox_type) == ("feat-hello-wo-990a1663", "git_worktree")
    assert order.created_at.isoformat() == "2025-01-05T10:00:00+00:00"
    steps = await store.steps(order.agent_work_order_id)
    assert [(step.step_name, step.success, step.output) for step in steps] == [
        ("planning", True, "A plan."),
        ("execute", False, None),
    ]
    assert [event.kind for event in await store.events(order.agent_work_order_id)] == [
        "order_enqueued",
        "order_finished",
    ]
    for artifact in await store.artifacts(order.agent_work_order_id):
        content = (tmp_path / "work-orders" / order.agent_work_order_id / artifact.path).read_bytes()
        assert len(content) == artifact.size_bytes
        assert TOKEN.encode() not in content
    assert len(await store.list_orders(ListQuery())) == 2


async def test_what_only_files_tell_is_imported_too(old: Path, embedded: SqliteStore, tmp_path: Path) -> None:
    await bring_in(embedded, tmp_path / "work-orders", list(find_old_orders(old)))
    order = await embedded.get(new_id_of("wo-c9e597d7"))
    assert (order.status, order.user_request) == (Status.CANCELLED, "Write the file, please.")
    assert order.repository_url == "https://github.com/owner/other"
    assert (await embedded.retry(order.agent_work_order_id, None)).status is Status.PENDING


async def test_a_second_import_changes_nothing(old: Path, store: SqliteStore | SupabaseStore, tmp_path: Path) -> None:
    await bring_in(store, tmp_path / "work-orders", list(find_old_orders(old)))
    rev = await store.last_rev()
    again = await bring_in(store, tmp_path / "work-orders", list(find_old_orders(old)))
    assert (again.created, again.there) == (0, 2)
    assert await store.last_rev() == rev


async def test_an_order_that_went_on_here_is_left_alone(old: Path, embedded: SqliteStore, tmp_path: Path) -> None:
    await bring_in(embedded, tmp_path / "work-orders", list(find_old_orders(old)))
    await embedded.retry(new_id_of("wo-c9e597d7"), None)
    again = await bring_in(embedded, tmp_path / "work-orders", list(find_old_orders(old)))
    assert list(again.refused) == ["wo-c9e597d7"]
    assert (await embedded.get(new_id_of("wo-c9e597d7"))).status is Status.PENDING


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"state": 5, "metadata": []}', '{"metadata": {"created_at": 7, "status": [], "user_request": 1}}'],
    ids=["empty", "a list", "torn", "odd parts", "odd values"],
)
def test_a_state_that_cannot_be_read_does_not_stop_the_import(old: Path, text: str) -> None:
    (old / "agent-work-orders-state" / "wo-990a1663.json").write_text(text)
    found = {one.old_id: one for one in find_old_orders(old)}
    assert set(found) == {"wo-990a1663", "wo-c9e597d7"}
    assert found["wo-990a1663"].exported.problem() is None
    assert len(found["wo-990a1663"].files) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkOrderError, match="There is no folder"):
        list(find_old_orders(tmp_path / "nowhere"))
