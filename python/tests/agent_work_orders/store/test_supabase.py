"""What the contract does not see: the network between the store and its database, several servers, and keys."""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import anyio
import pytest
from anyio import to_thread

from src.agent_work_orders.domain.errors import LostLease, NotFound, StoreUnavailable
from src.agent_work_orders.domain.registry import Configuration, Verification
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.domain.work_order import Artifact, OrderChanges
from src.agent_work_orders.ports import Batch, StepStart
from src.agent_work_orders.store.answers import Unexpected
from src.agent_work_orders.store.supabase import SupabaseStore
from src.agent_work_orders.store.transport import Transport

from ..contracts.store_world import (
    DONE,
    LEASE,
    LONG,
    claim_next,
    drafts,
    failure,
    file_and_claim,
    file_order,
    journal,
    kinds,
    new_order,
    park,
    result,
)
from ..postgres.project import MIGRATION, Project, key_for
from ..postgres.proxy import Fault

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(project: Project) -> AsyncIterator[SupabaseStore]:
    async with SupabaseStore.open(project.url, project.service_key) as store:
        yield store


class Once:
    """A fault that befalls the first call of every function, or the first `times` calls."""

    def __init__(self, fault: Fault, times: int = 1) -> None:
        self._fault, self._times = fault, times
        self.seen: Counter[str] = Counter()

    def __call__(self, function: str) -> Fault | None:
        self.seen[function] += 1
        return self._fault if self.seen[function] <= self._times else None


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.BAD_GATEWAY, Fault.NOT_READY])
async def test_whatever_befalls_every_first_call_everything_happens_once(
    project: Project, store: SupabaseStore, fault: Fault
) -> None:
    project.gateway.fault = once = Once(fault)
    enqueued = await store.enqueue(new_order())
    assert enqueued.created
    first = await claim_next(store)
    await store.start_step(first, 1, "planning", "claude")
    last_seq = await store.append(first, first.order.last_seq + 1, drafts(5))
    await store.record(first, OrderChanges(git_branch_name="awo/1"))
    await store.finish_step(first, result(cost_usd=0.25))
    await store.put_artifact(
        first, Artifact(artifact_id="a", artifact_type="prompt", path="prompts/a", size_bytes=1, created_at=None)
    )
    batch = Batch(
        last_seq + 1, StepStart(2, "execute", "claude"), drafts=tuple(drafts(2)), finished=result(2, cost_usd=0.5)
    )
    assert (await store.write(first, batch, LEASE)).last_seq == last_seq + 2
    await store.renew(first, LEASE)
    await store.release(first)
    second = await claim_next(store)
    await park(store, second)
    await store.resume(second.order_id, "go on")
    third = await claim_next(store)
    await store.cancel(third.order_id)
    await store.audit_append("me", "model", "changed", None, "sonnet")
    again = await store.finish(third, failure())
    await store.retry(again.agent_work_order_id, 1)
    done = await store.finish(await claim_next(store), DONE)

    assert done.status is Status.COMPLETED
    assert last_seq == first.order.last_seq + 5
    assert first.token < second.token < third.token
    assert (done.cost_usd, done.attempt) == (0.75, 2)
    assert await kinds(store, done.agent_work_order_id) == [
        "order_enqueued", "order_claimed", *["agent_spoke"] * 7, "order_claimed", "order_waiting", "order_resumed",
        "order_claimed", "order_finished", "order_resumed", "order_claimed", "order_finished",
    ]  # fmt: skip
    assert [step.status for step in await store.steps(first.order_id)] == [StepStatus.COMPLETED] * 2
    assert len(await store.artifacts(first.order_id)) == 1
    assert len(await store.audit_page(10)) == 1
    await store.delete(done.agent_work_order_id)
    with pytest.raises(NotFound):
        await store.delete(done.agent_work_order_id)
    assert all(count > 1 for function, count in once.seen.items() if function != "awo_look_v1"), once.seen


@pytest.mark.parametrize("fault", [Fault.DROP_AFTER, Fault.DROP_BEFORE, Fault.BAD_GATEWAY])
async def test_a_repository_is_saved_once_and_not_refused_for_what_its_own_lost_call_changed(
    project: Project, store: SupabaseStore, fault: Fault
) -> None:
    key = f"github.com/owner/{uuid4().hex}"
    wanted = Configuration(key, f"https://{key}", RepositoryOptions(depth=1))
    project.gateway.fault = Once(fault)
    first = await store.save_repository(wanted, 0, "me")
    project.gateway.fault = Once(fault)
    second = await store.save_repository(wanted, first.version, "me")
    assert (first.version, second.version) == (1, 2)
    noted = await store.note_verification(key, Verification(True, ()))
    project.gateway.fault = Once(fault)
    await store.forget_repository(key, noted.version)
    found = await store.repository(key)
    assert found is not None
    assert (found.configured, found.version) == (False, 3)


async def test_an_outage_is_told_at_once_and_ridden_out(project: Project, store: SupabaseStore) -> None:
    claim = await file_and_claim(store)
    await to_thread.run_sync(project.kill_postgrest)
    try:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await store.append(claim, 3, drafts(2))
        with anyio.fail_after(3), pytest.raises(StoreUnavailable):
            await store.get(claim.order_id)  # while it lasts, nobody waits for repetitions
    finally:
        await to_thread.run_sync(project.start_postgrest)
    assert await store.append(claim, 3, drafts(2)) == 4
    await store.check()


async def test_postgres_that_recovers_from_a_crash_loses_nothing(project: Project, store: SupabaseStore) -> None:
    claim = await file_and_claim(store)
    assert await store.append(claim, 3, drafts(20)) == 22
    await to_thread.run_sync(project.kill_a_backend)
    assert await store.append(claim, 3, drafts(25)) == 27
    assert len(await journal(store, claim.order_id)) == 27


async def test_a_call_that_nobody_answers_has_an_end(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.agent_work_orders.store.transport.READ_SECONDS", 0.2)
    transport = Transport(project.url, project.service_key, pauses=())
    await transport.open()
    project.gateway.fault = lambda function: Fault.NO_ANSWER
    try:
        with anyio.fail_after(10), pytest.raises(StoreUnavailable, match="ReadTimeout"):
            await transport.call("awo_last_rev_v1")
    finally:
        project.gateway.fault = lambda function: None
        await transport.close()


async def test_a_missing_migration_is_named_and_the_store_goes_on_once_it_has_run(newest_project: Project) -> None:
    down = sorted(MIGRATION.glob("awo-*/down/*.sql"), reverse=True)
    parts = sorted(MIGRATION.glob("awo-*/*.sql"))

    async def run(*texts: str) -> None:
        for text in texts:
            await to_thread.run_sync(newest_project.run, text)

    newest_project.gateway.fault = lambda function: None
    async with SupabaseStore.open(newest_project.url, newest_project.service_key) as store:
        try:
            await run(*(path.read_text(encoding="utf-8") for path in down))
            await to_thread.run_sync(newest_project.forget, "awo_check_v1")
            with pytest.raises(StoreUnavailable, match="has no tables") as missing:
                await store.check()
            assert "migration/awo_setup.sql" in missing.value.next_action
            with pytest.raises(StoreUnavailable, match="has no tables"):
                await store.enqueue(new_order())
            assert not (await store.probe())[0].ok

            await run(*(path.read_text(encoding="utf-8") for path in parts[:4]))
            await to_thread.run_sync(newest_project.know, "awo_schema_version_v1")
            with pytest.raises(StoreUnavailable, match=rf"old schema .*4 of {len(parts)} parts") as old:
                await store.check()
            assert "005_reading.sql, then migration/awo-0.1.0/006_settings.sql" in old.value.next_action
        finally:
            await to_thread.run_sync(newest_project.migrate)
            await to_thread.run_sync(newest_project.know, "awo_check_v1")
        await store.check()
        assert (await store.enqueue(new_order())).created
        assert all(finding.ok for finding in await store.probe())


async def test_a_clock_that_is_wrong_is_a_warning_and_says_by_how_much(newest_project: Project) -> None:
    newest_project.gateway.fault = lambda function: None
    async with SupabaseStore.open(newest_project.url, newest_project.service_key) as store:
        [clock] = [finding for finding in await store.probe() if finding.name == "clock"]
        assert clock.ok, clock.detail
        right = "select clock_timestamp()"
        body = "create or replace function public.awo_now_v1() returns timestamptz language sql volatile "
        body += "set search_path = '' as $$ {} $$"
        await to_thread.run_sync(newest_project.run, body.format(f"{right} - interval '1 hour'"))
        try:
            [clock] = [finding for finding in await store.probe() if finding.name == "clock"]
        finally:
            await to_thread.run_sync(newest_project.run, body.format(right))
    assert (clock.ok, clock.required) == (False, False)
    assert "3600." in clock.detail or "3599." in clock.detail
    assert "behind" in clock.detail
    assert clock.next_action is not None
    assert "NTP" in clock.next_action


async def test_the_code_works_on_a_newer_schema_than_its_own(newest_project: Project) -> None:
    newest_project.gateway.fault = lambda function: None
    newer = """
    alter table agent_work_orders add column later text not null default 'x';
    alter table agent_work_order_events add column later text;
    update agent_work_order_change_head set schema_version = schema_version + 1;
    notify pgrst, 'reload schema';
    """
    older = """
    alter table agent_work_orders drop column later;
    alter table agent_work_order_events drop column later;
    update agent_work_order_change_head set schema_version = schema_version - 1;
    notify pgrst, 'reload schema';
    """
    await to_thread.run_sync(newest_project.run, newer)
    try:
        async with SupabaseStore.open(newest_project.url, newest_project.service_key) as store:
            await store.check()
            claim = await file_and_claim(store)
            await store.append(claim, 3, drafts(2))
            assert (await store.finish(claim, DONE)).status is Status.COMPLETED
            await store.delete(claim.order_id)
    finally:
        await to_thread.run_sync(newest_project.run, older)


async def test_keys_of_both_kinds_work(project: Project) -> None:
    for key in (project.service_key, project.secret_key):
        async with SupabaseStore.open(project.url + "/", key) as store:
            await store.check()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (key_for("anon"), "not a service key"),
        (key_for("authenticated"), "not a service key"),
        (key_for("service_role")[:-3] + "abc", "wrong or has expired"),
        ("sb_secret_of_another_project", "sb_secret_"),
        ("", "."),
    ],
    ids=["anon", "authenticated", "forged", "secret without a gateway", "none"],
)
async def test_a_key_that_will_not_do_is_told_so(project: Project, key: str, says: str) -> None:
    async with SupabaseStore.open(project.url, key) as store:
        with pytest.raises(StoreUnavailable, match=says) as refused:
            await store.check()
        assert not key or key not in refused.value.message + refused.value.next_action


async def test_an_address_where_nobody_listens_does_not_keep_the_store_from_opening() -> None:
    async with SupabaseStore.open("http://127.0.0.1:9", "key") as store:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await store.check()


async def test_no_error_and_no_log_line_shows_a_rows_contents_or_a_key(
    project: Project, store: SupabaseStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    transport = Transport(project.url, project.service_key, pauses=())
    await transport.open()
    order = {"agent_work_order_id": "wo-1", "user_request": "the contents", "priority": 77, "repository_key": "r"}
    with pytest.raises(Unexpected) as refused:
        await transport.call("awo_enqueue_v1", p_order=order)
    await transport.close()
    await file_order(store, user_request="the contents")
    shown = "".join([repr(refused.value), repr(refused.value.__cause__), repr(refused.value.__context__), caplog.text])
    assert "23502" in shown
    assert "the contents" not in shown
    assert project.service_key not in shown


async def test_who_waits_hears_what_another_server_brings(project: Project, store: SupabaseStore) -> None:
    async with SupabaseStore.open(project.url, project.service_key) as other:
        claim = await file_and_claim(other)
        rev = await store.last_rev()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as group:
                group.start_soon(store.wait_for_events, claim.order_id, claim.order.last_seq, LONG)
                await anyio.wait_all_tasks_blocked()
                await other.append(claim, claim.order.last_seq + 1, drafts(1))
            async with anyio.create_task_group() as group:
                group.start_soon(store.wait_for_change, rev, LONG)
                await anyio.wait_all_tasks_blocked()
                await other.record(claim, OrderChanges(git_branch_name="awo/1"))
            async with anyio.create_task_group() as group:
                group.start_soon(store.wait_for_cancel, claim.order_id, LONG)
                await anyio.wait_all_tasks_blocked()
                await other.cancel(claim.order_id)


async def test_the_holder_of_an_order_looks_for_nothing_and_hears_of_a_cancel_when_it_renews(
    project: Project, store: SupabaseStore
) -> None:
    async with SupabaseStore.open(project.url, project.service_key) as other:
        claim = await file_and_claim(store)
        project.gateway.requests.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(store.wait_for_cancel, claim.order_id, timedelta(seconds=2))
            group.start_soon(store.wait_for_events, claim.order_id, claim.order.last_seq, timedelta(seconds=2))
        assert project.gateway.requests.total() == 0
        await other.cancel(claim.order_id)
        assert (await store.write(claim, Batch(3, drafts=tuple(drafts(1))), LEASE)).renewal.cancel_requested
        with anyio.fail_after(5):
            await store.wait_for_cancel(claim.order_id, LONG)


async def test_who_follows_an_order_that_its_holder_loses_hears_what_the_next_one_writes(
    project: Project, store: SupabaseStore
) -> None:
    async with SupabaseStore.open(project.url, project.service_key) as other:
        claim = await file_and_claim(store)
        end = claim.order.last_seq
        async with anyio.create_task_group() as group:
            group.start_soon(follow_to, store, claim.order_id, end, end + 3)
            await anyio.wait_all_tasks_blocked()
            await other.reap(10, [claim.worker_id])
            with pytest.raises(LostLease):
                await store.renew(claim, LEASE)
            taken = await claim_next(other)
            await other.append(taken, taken.order.last_seq + 1, drafts(1))


async def follow_to(store: SupabaseStore, order_id: str, after_seq: int, last_seq: int) -> None:
    """As a stream does."""
    with anyio.fail_after(30):
        while after_seq < last_seq:
            await store.wait_for_events(order_id, after_seq, LONG)
            for event in await store.events(order_id, after_seq=after_seq):
                after_seq = event.seq


async def test_the_stream_of_an_order_that_runs_here_asks_the_database_for_nothing(
    project: Project, store: SupabaseStore
) -> None:
    claim = await file_and_claim(store)
    last_seq = await store.append(claim, claim.order.last_seq + 1, drafts(1))
    project.gateway.requests.clear()
    for _ in range(20):
        async with anyio.create_task_group() as group:
            group.start_soon(store.wait_for_events, claim.order_id, last_seq, LONG)
            await anyio.wait_all_tasks_blocked()
            await store.append(claim, last_seq + 1, drafts(3))
        last_seq = (await store.events(claim.order_id, after_seq=last_seq))[-1].seq
    assert project.gateway.requests["awo_append_v1"] == 20
    assert project.gateway.requests["awo_events_v1"] == 0


async def test_calls_are_bounded_however_many_ask_at_once(project: Project, store: SupabaseStore) -> None:
    await file_order(store)
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(store.last_rev)
    with anyio.fail_after(5):
        await store.wait_for_work(timedelta(0))
