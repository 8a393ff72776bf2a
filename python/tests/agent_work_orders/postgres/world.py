"""The contract's world over a project: the database's own clock, which tests may put forward."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta

from anyio import to_thread

from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.supabase import SupabaseStore

from .fixtures import EMPTY
from .project import Project

# The one function that all others take the time from.
CLOCK = """
create table if not exists contract_clock (ahead interval not null);
truncate contract_clock;
insert into contract_clock values ('0');
create or replace function public.awo_now_v1() returns timestamptz language sql volatile set search_path = '' as
$$ select clock_timestamp() + ahead from public.contract_clock $$;
"""


class SupabaseWorld:
    def __init__(self, project: Project, store: Store) -> None:
        self.store, self.address = store, f"supabase:{project.url}"
        self._project = project

    @staticmethod
    def begin(project: Project) -> None:
        """Empty state, and a clock that can be put forward."""
        project.gateway.fault = lambda function: None
        project.run(EMPTY + CLOCK)

    def server(self) -> AbstractAsyncContextManager[Store]:
        return SupabaseStore.open(self._project.url, self._project.service_key)

    async def now(self) -> datetime:
        return await to_thread.run_sync(self._now)

    def _now(self) -> datetime:
        with self._project.connect() as db:
            row = db.execute("select awo_now_v1()").fetchone()
        assert row is not None
        found: datetime = row[0]
        return found

    async def let_pass(self, time: timedelta) -> None:
        await to_thread.run_sync(self._let_pass, time)

    def _let_pass(self, time: timedelta) -> None:
        with self._project.connect() as db:
            db.execute("update contract_clock set ahead = ahead + %s", (time,))

    async def limit_repository(self, repository_key: str, at_most: int | None) -> None:
        def limit() -> None:
            with self._project.connect() as db:
                sql = "update agent_work_order_repositories set max_concurrent = %s where repository_key = %s"
                assert db.execute(sql, (at_most, repository_key)).rowcount == 1

        await to_thread.run_sync(limit)

    async def assert_sound(self) -> None:
        def look() -> None:
            with self._project.connect() as db:
                gaps = db.execute(
                    "select o.agent_work_order_id from agent_work_orders o left join agent_work_order_events e "
                    "using (agent_work_order_id) group by o.agent_work_order_id, o.last_seq "
                    "having count(e.seq) <> o.last_seq or coalesce(max(e.seq), 0) <> o.last_seq"
                ).fetchall()
                assert gaps == []

        await to_thread.run_sync(look)
