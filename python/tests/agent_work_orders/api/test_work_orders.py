"""Lists, single orders, cancel, retry and delete."""

from typing import Any

import pytest

from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.domain.work_order import StepResult

from .conftest import Bench, detail_of, fields_of

pytestmark = pytest.mark.anyio
URL = "/api/awo/work-orders"


async def page(bench: Bench, **query: Any) -> tuple[list[str], str | None]:
    answer = await bench.client.get(URL, params=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return [order["agent_work_order_id"] for order in body["work_orders"]], body["next_cursor"]


async def test_pages_are_newest_first_and_complete(bench: Bench) -> None:
    filed = [await bench.file() for _ in range(5)]
    first, cursor = await page(bench, limit=2)
    newer = await bench.file()
    second, cursor = await page(bench, limit=2, cursor=cursor)
    third, end = await page(bench, limit=2, cursor=cursor)
    assert first + second + third == filed[::-1]
    assert newer not in second + third
    assert end is None


async def test_a_full_last_page_promises_no_other(bench: Bench) -> None:
    for _ in range(2):
        await bench.file()
    assert (await page(bench, limit=2))[1] is None


async def test_a_list_can_be_narrowed(bench: Bench) -> None:
    done = await bench.finished(user_request="Paint it 100% red_")
    other = await bench.file(repository_url="https://github.com/octo/other.git")
    assert await page(bench, status="completed") == ([done], None)
    assert (await page(bench, status=["completed", "pending"]))[0] == [other, done]
    assert await page(bench, repository_url="https://GitHub.com/Octo/Other") == ([other], None)
    assert await page(bench, repository_url="https://gone.example/a/b") == ([], None)
    assert await page(bench, q="100% red_") == ([done], None)
    assert await page(bench, q="no such words") == ([], None)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 201}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "sleeping"}, "status.0"),
        ({"repository_url": "nonsense"}, "repository_url"),
        ({"q": "x" * 201}, "q"),
        ({"q": "nul\x00"}, "q"),
        ({"cursor": "!"}, "cursor"),
        ({"cursor": "YWJj"}, "cursor"),
        ({"cursor": "MjAyNi0wMS0wMVQwMDowMDowMHx3by0wMTIzNDU2Nzg5YWJjZGVm"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "x" * 5_000}, "cursor"),
    ],
)
async def test_a_wrong_query_is_named(bench: Bench, query: dict[str, Any], name: str) -> None:
    assert list(fields_of(await bench.client.get(URL, params=query))) == [name]


async def test_an_order_shows_its_steps(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    await bench.store.start_step(claim, 1, "create-branch", "archon")
    result = StepResult(1, "create-branch", "archon", StepStatus.COMPLETED, 0.5, output="branch made", cost_usd=0.25)
    await bench.store.finish_step(claim, result)
    order = (await bench.client.get(f"{URL}/{order_id}")).json()
    (step,) = order["steps"]
    assert (step["step_order"], step["step_name"], step["agent_name"]) == (1, "create-branch", "archon")
    assert (step["attempt"], step["status"], step["success"], step["output"]) == (1, "completed", True, "branch made")
    assert order["status"] == "running"
    assert order["cost_usd"] == 0.25
    assert "taken" not in order
    assert order["created_at"].endswith("Z")


@pytest.mark.parametrize(
    "order_id", ["wo-0123456789abcdef", "wo-x", "..", "%2e%2e", "wo-0123456789ABCDEF", "x" * 500, "%00"]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("GET", "/events/stream"),
        ("GET", "/artifacts"),
        ("GET", "/artifacts/x"),
        ("GET", "/diff"),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("DELETE", ""),
    ],
)
async def test_an_order_that_is_not_there_is_not_found(bench: Bench, order_id: str, method: str, path: str) -> None:
    if order_id == "..":
        order_id = "%2e%2e%2f"
    answer = await bench.client.request(method, f"{URL}/{order_id}{path}")
    assert answer.status_code == 404
    if "%2" not in order_id:
        assert detail_of(answer, 404)["code"] == "not_found"


async def test_cancelling_a_waiting_order_is_immediate_and_idempotent(bench: Bench) -> None:
    order_id = await bench.file()
    for _ in range(2):
        answer = await bench.client.post(f"{URL}/{order_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


async def test_a_running_order_is_cancelled_only_once_its_worker_says_so(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    for _ in range(2):
        answer = await bench.client.post(f"{URL}/{order_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        assert answer.json()["cancel_requested_at"]
    await bench.finish(claim, Status.CANCELLED)
    assert (await bench.client.get(f"{URL}/{order_id}")).json()["status"] == "cancelled"


async def test_a_failed_order_is_retried_as_a_new_attempt(bench: Bench) -> None:
    order_id = await bench.finished(Status.FAILED)
    answer = await bench.client.post(f"{URL}/{order_id}/retry")
    assert (answer.status_code, answer.json()["status"], answer.json()["attempt"]) == (202, "pending", 2)
    again = await bench.client.post(f"{URL}/{order_id}/retry", json={})
    assert detail_of(again, 409)["code"] == "wrong_state"


async def test_a_retry_may_start_at_a_step_that_can_be_reached(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    for number, name in ((1, "create-branch"), (2, "planning")):
        await bench.store.start_step(claim, number, name, "x")
        await bench.store.finish_step(claim, StepResult(number, name, "x", StepStatus.COMPLETED, 0.1))
    await bench.finish(claim, Status.FAILED)
    url = f"{URL}/{order_id}/retry"
    assert "at most 3" in fields_of(await bench.client.post(url, json={"from_step": 4}))["from_step"]
    for wrong in (0, 21, "2", True, 1.5, [1]):
        assert list(fields_of(await bench.client.post(url, json={"from_step": wrong}))) == ["from_step"]
    assert list(fields_of(await bench.client.post(url, json={"from": 1}))) == ["from"]
    assert (await bench.client.post(url, json={"from_step": 2})).status_code == 202
    assert (await bench.store.get(order_id)).next_step == 2


async def test_what_is_not_over_or_went_well_is_not_retried(bench: Bench) -> None:
    for order_id in (await bench.finished(), await bench.file()):
        assert detail_of(await bench.client.post(f"{URL}/{order_id}/retry"), 409)["code"] == "wrong_state"


async def test_deleting_takes_the_row_the_checkout_and_the_folder(bench: Bench) -> None:
    order_id = await bench.finished()
    folder = bench.folder / order_id
    (folder / "home" / "closed").mkdir(parents=True)
    (folder / "home" / "closed" / "file").write_text("x")
    (bench.folder / "kept").write_text("not ours")
    (folder / "link").symlink_to(bench.folder / "kept")
    (folder / "home" / "up").symlink_to(bench.folder)
    (folder / "home" / "closed").chmod(0)
    answer = await bench.client.delete(f"{URL}/{order_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert list(bench.folder.iterdir()) == [bench.folder / "kept"]
    assert (bench.folder / "kept").read_text() == "not ours"
    assert bench.checkouts.removed == [(order_id, "github.com/octo/tools")]
    assert (await bench.client.get(f"{URL}/{order_id}")).status_code == 404
    assert (await bench.client.delete(f"{URL}/{order_id}")).status_code == 404


async def test_an_order_of_a_host_that_is_no_longer_allowed_can_be_deleted(bench: Bench) -> None:
    order_id = await bench.finished(repository_url="https://git.example/octo/tools")
    context = bench.app.state.agent_work_orders
    object.__setattr__(context, "tools", type(context.tools)(**{**vars(context.tools), "repository": _refuse}))
    assert (await bench.client.delete(f"{URL}/{order_id}")).status_code == 204
    assert bench.checkouts.removed == [(order_id, "git.example/octo/tools")]


def _refuse(url: str) -> Any:
    raise AssertionError("the policy is for new orders")


async def test_an_order_that_is_not_over_keeps_everything(bench: Bench) -> None:
    order_id = await bench.file()
    (bench.folder / order_id).mkdir()
    assert detail_of(await bench.client.delete(f"{URL}/{order_id}"), 409)["code"] == "wrong_state"
    await bench.claim()
    assert detail_of(await bench.client.delete(f"{URL}/{order_id}"), 409)["code"] == "wrong_state"
    assert (bench.folder / order_id).is_dir()
    assert bench.checkouts.removed == []


@pytest.mark.parametrize(
    "error", [StepFailed(FailureClass.DISK, "It sticks.", next_action="Pull."), PermissionError("no")], ids=repr
)
async def test_files_that_stay_are_reported_and_the_rest_goes(
    bench: Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    order_id = await bench.finished()
    (bench.folder / order_id).mkdir()
    bench.checkouts.error = error
    detail = detail_of(await bench.client.delete(f"{URL}/{order_id}"), 500)
    assert detail["code"] == "files_left"
    assert order_id in detail["next_action"]
    assert not (bench.folder / order_id).exists()
    assert len(caplog.records) == 1


async def test_a_folder_that_is_a_link_is_left_alone(bench: Bench) -> None:
    order_id = await bench.finished()
    elsewhere = bench.folder.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("x")
    (bench.folder / order_id).symlink_to(elsewhere)
    assert detail_of(await bench.client.delete(f"{URL}/{order_id}"), 500)["code"] == "files_left"
    assert (elsewhere / "precious").exists()
