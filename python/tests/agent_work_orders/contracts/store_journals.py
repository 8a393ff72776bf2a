"""Clauses 17 to 19 and 35: the journal."""

import anyio
import pytest

from src.agent_work_orders.domain.errors import SequenceGap
from src.agent_work_orders.domain.events import Draft
from src.agent_work_orders.domain.work_order import Outcome
from src.agent_work_orders.ports import Store

from .store_world import LEASE, World, claim_next, clause, drafts, failure, file_and_claim, journal, result


class Journals:
    @clause(17)
    async def test_events_are_appended_without_gaps(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        last = claim.order.last_seq
        assert last == 2
        assert await world.store.append(claim, last + 1, drafts(3)) == 5
        assert await world.store.append(claim, 6, []) == 5
        assert await world.store.append(claim, 6, drafts(2)) == 7
        assert (await world.store.get(claim.order_id)).last_seq == 7
        assert len(await journal(world.store, claim.order_id)) == 7

    @clause(17)
    async def test_what_is_already_there_is_dropped(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        batch = drafts(10)
        assert await world.store.append(claim, 3, batch[:6]) == 8
        assert await world.store.append(claim, 3, batch[:6]) == 8
        assert await world.store.append(claim, 5, batch[2:]) == 12
        assert await world.store.append(claim, 3, batch[:2]) == 12
        assert [event.payload for event in (await journal(world.store, claim.order_id))[2:]] == [
            draft.payload for draft in batch
        ]

    @clause(17)
    async def test_a_gap_is_refused(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        with pytest.raises(SequenceGap) as refused:
            await world.store.append(claim, 4, drafts(1))
        assert refused.value.last_seq == 2
        assert len(await journal(world.store, claim.order_id)) == 2

    @clause(18)
    async def test_an_event_is_read_as_it_was_offered(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        before = await world.now()
        text = '{"text":"Zeile 1\\n\\"zwei\\" 猫 \\u001b[0m"}'
        await world.store.append(claim, 3, [Draft("agent_spoke", text, 4), Draft("usage_counted", "{}")])
        spoke, usage = await world.store.events(claim.order_id, after_seq=2)
        assert (spoke.seq, spoke.kind, spoke.payload, spoke.step_order) == (3, "agent_spoke", text, 4)
        assert (usage.seq, usage.kind, usage.payload, usage.step_order) == (4, "usage_counted", "{}", None)
        assert spoke.attempt == usage.attempt == 1
        assert before <= spoke.at <= await world.now()

    @clause(18)
    async def test_appending_and_renewing_are_no_state_changes(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        rev = await world.store.last_rev()
        await world.store.append(claim, 3, drafts(5))
        await world.store.renew(claim, LEASE)
        order = await world.store.get(claim.order_id)
        assert (order.rev, order.updated_at) == (claim.order.rev, claim.order.updated_at)
        assert await world.store.last_rev() == rev

    @clause(17, 18)
    async def test_the_journal_goes_on_through_attempts(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.append(claim, 3, drafts(1))
        await world.let_pass(LEASE * 2)
        await world.store.reap(10)
        second = await claim_next(world.store)
        await world.store.append(second, second.order.last_seq + 1, drafts(1))
        events = await journal(world.store, claim.order_id)
        assert [event.attempt for event in events] == [1, 1, 1, 1, 2, 2]

    @clause(19)
    async def test_text_that_some_store_cannot_hold_is_kept_with_replacements(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.append(claim, 3, [Draft("agent_spoke", '{"text":"a\ud800b\x00c 🐈"}', 1)])
        await world.store.finish_step(claim, result(output="x\x00y\udfffz", error_message="\x00"))
        event = (await world.store.events(claim.order_id, after_seq=2))[0]
        assert event.payload == '{"text":"a\ufffdb\ufffdc 🐈"}'
        (step,) = await world.store.steps(claim.order_id)
        assert (step.output, step.error_message) == ("x\ufffdy\ufffdz", "\ufffd")
        ended = failure()
        order = await world.store.finish(
            claim, Outcome(ended.status, "s\x00", ended.failure_class, "e\udc00", ended.next_action)
        )
        assert order.error_message == "e\ufffd"

    @clause(35)
    async def test_the_journal_is_read_forwards_and_backwards(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.append(claim, 3, drafts(98))

        async def seqs(after: int | None = None, before: int | None = None, limit: int = 500) -> list[int]:
            found = await world.store.events(claim.order_id, after_seq=after, before_seq=before, limit=limit)
            return [event.seq for event in found]

        assert await seqs() == await seqs(after=0) == list(range(1, 101))
        assert await seqs(limit=3) == [1, 2, 3]
        assert await seqs(after=40, limit=3) == [41, 42, 43]
        assert await seqs(after=98) == [99, 100]
        assert await seqs(after=100) == await seqs(after=1000) == []
        assert await seqs(before=101, limit=3) == [98, 99, 100]
        assert await seqs(before=1000, limit=2) == [99, 100]
        assert await seqs(before=3) == [1, 2]
        assert await seqs(before=1) == []
        assert await seqs(after=10, before=20, limit=4) == [16, 17, 18, 19]
        assert await seqs(after=17, before=20) == [18, 19]

    @clause(35)
    async def test_the_journal_is_read_by_kinds(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        mixed = [Draft("tool_used" if number % 2 else "tool_returned", "{}") for number in range(20)]
        await world.store.append(claim, 3, mixed)
        used = await world.store.events(claim.order_id, kinds=frozenset({"tool_used"}), limit=3)
        assert [event.seq for event in used] == [4, 6, 8]
        last = await world.store.events(
            claim.order_id, kinds=frozenset({"tool_used", "order_claimed"}), before_seq=7, limit=3
        )
        assert [event.seq for event in last] == [2, 4, 6]
        assert await world.store.events(claim.order_id, kinds=frozenset({"nothing"})) == []

    @clause(35)
    async def test_every_server_reads_the_same_journal(self, world: World) -> None:
        async with world.server() as other:
            claim = await file_and_claim(world.store)
            last = claim.order.last_seq
            for _ in range(5):
                last = await world.store.append(claim, last + 1, drafts(7))
                assert await journal(other, claim.order_id) == await journal(world.store, claim.order_id)
            await world.let_pass(LEASE * 2)
            await other.reap(10)
            theirs = await claim_next(other, "worker-2")
            last = await other.append(theirs, theirs.order.last_seq + 1, drafts(3))
            assert await journal(world.store, claim.order_id) == await journal(other, claim.order_id)
            await other.release(theirs)
            ours = await claim_next(world.store)
            await world.store.append(ours, ours.order.last_seq + 1, drafts(3))
            for after in range(ours.order.last_seq + 3):
                assert await tail(world.store, claim.order_id, after) == await tail(other, claim.order_id, after)

    @clause(35)
    async def test_readers_that_follow_a_long_journal_see_every_event_once(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        total = 20_000
        seen: dict[int, list[int]] = {reader: [] for reader in range(20)}

        async def follow(reader: int) -> None:
            after = 0
            while after < total:
                for event in await world.store.events(claim.order_id, after_seq=after, limit=100 + reader * 50):
                    after = event.seq
                    seen[reader].append(event.seq)
                if after < total:
                    await world.store.wait_for_events(claim.order_id, after, LEASE)

        async with anyio.create_task_group() as group:
            for reader in seen:
                group.start_soon(follow, reader)
            last = claim.order.last_seq
            while last < total:
                last = await world.store.append(claim, last + 1, drafts(min(500, total - last), "x" * 200))
        assert all(numbers == list(range(1, total + 1)) for numbers in seen.values())


async def tail(store: Store, order_id: str, after: int) -> list[tuple[int, str]]:
    """Everything after a seq, a few at a time."""
    found: list[tuple[int, str]] = []
    while page := await store.events(order_id, after_seq=after, limit=4):
        found += [(event.seq, event.payload) for event in page]
        after = page[-1].seq
    return found
