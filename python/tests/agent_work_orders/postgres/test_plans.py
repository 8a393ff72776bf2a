"""What the functions read of 100,000 orders: their indexes, and no more than what they answer with.

Counted by Postgres itself while the functions run, so that it is their plans that are judged and not a copy's.
"""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from .fixtures import EMPTY
from .project import Project

ORDERS, REPOSITORIES, EVENTS = 100_000, 100, 20_000

# 1,000 each: scheduled (not due), pending, waiting; 50 running; the others have ended.
FILL = f"""
insert into agent_work_order_repositories (repository_key, repository_url, created_at)
  select 'github.com/o/' || n, 'https://github.com/o/' || n, now() from generate_series(0, {REPOSITORIES - 1}) n;
insert into agent_work_orders (
  agent_work_order_id, idempotency_key, request_fingerprint, repository_key, repository_url, sandbox_identifier,
  sandbox_type, workflow_type, selected_commands, user_request, status, waiting_reason, waiting_until, max_attempts,
  priority, failure_class, worker_id, claim_request_id, lease_token, lease_expires_at, rev, run_after, created_at,
  updated_at, finished_at)
select 'wo-' || lpad(to_hex(n), 16, '0'), 'key-' || n, 'f', 'github.com/o/' || n % {REPOSITORIES},
  'https://github.com/o/' || n % {REPOSITORIES}, 'wo-' || n, 'git_branch', 'quick_fix', '{{execute}}',
  'Mend number ' || n, s.status, case s.status when 'waiting' then 'usage_limit' end,
  case s.status when 'waiting' then now() + interval '1 day' end, 3, n % 10,
  case s.status when 'failed' then 'git' end, case s.status when 'running' then 'w-' || n end,
  case s.status when 'running' then 'r-' || n end, case s.status when 'running' then n end,
  case s.status when 'running' then now() + interval '1 hour' end, n,
  case s.status when 'scheduled' then now() + interval '1 day' end, now() - ({ORDERS} - n) * interval '1 second', now(),
  case when s.status in ('completed', 'failed', 'cancelled') then now() end
from generate_series(1, {ORDERS}) n, lateral (select case
  when n % 100 = 1 then 'scheduled' when n % 100 = 2 then 'pending' when n % 100 = 3 then 'waiting'
  when n % 2000 = 4 then 'running' when n % 10 = 5 then 'failed' when n % 10 = 6 then 'cancelled' else 'completed'
  end as status) s;
insert into agent_work_order_events (agent_work_order_id, seq, at, kind, attempt, payload)
  select 'wo-' || lpad(to_hex(o), 16, '0'), n, now(), 'agent_spoke', 1, '{{}}'
  from generate_series(1, 4) o, generate_series(1, {EVENTS // 4}) n;
update agent_work_orders o set last_seq = {EVENTS // 4}
  where exists (select from agent_work_order_events e where e.agent_work_order_id = o.agent_work_order_id and seq = 1);
update agent_work_order_change_head set rev = {ORDERS};
select setval('agent_work_order_fence_seq', {ORDERS});
"""  # noqa: S608 - numbers from above
BUSY = "'{scheduled,pending,running,waiting}'::text[]"
ALL = "'{scheduled,pending,running,waiting,completed,failed,cancelled}'::text[]"
MIDDLE = f"now() - interval '{ORDERS // 2} seconds'"


@pytest.fixture(scope="module")
def full(newest_project: Project) -> Iterator[Project]:
    newest_project.run(EMPTY + FILL)
    with newest_project.connect() as db:
        db.execute("vacuum analyze")
    yield newest_project
    newest_project.run(EMPTY)


READ = "select coalesce(sum(seq_scan), 0), coalesce(sum(seq_tup_read), 0) + coalesce(sum(idx_tup_fetch), 0) "
OF_OURS = "from pg_stat_xact_user_tables where relname in ('agent_work_orders', 'agent_work_order_events')"


def read_by(db: "psycopg.Connection[Any]", call: str) -> tuple[int, int]:
    """Sequential scans of the two large tables, and rows of them that were fetched, by one call."""
    with db.transaction(force_rollback=True):
        # What an earlier transaction read may still be in the count.
        before = db.execute((READ + OF_OURS).encode()).fetchone() or (0, 0)
        db.execute(f"select {call}".encode())
        after = db.execute((READ + OF_OURS).encode()).fetchone() or (0, 0)
    return int(after[0] - before[0]), int(after[1] - before[1])


@pytest.mark.parametrize(
    ("call", "rows"),
    [
        ("awo_list_v1(null, null, null, 50, null, null)", 50),
        (f"awo_list_v1(null, null, null, 50, {MIDDLE}, 'x')", 50),
        (f"awo_list_v1({BUSY}, null, null, 50, null, null)", 200),
        ("awo_list_v1('{failed}', null, null, 50, null, null)", 50),
        (f"awo_list_v1('{{failed}}', null, null, 50, {MIDDLE}, 'x')", 50),
        (f"awo_list_v1({ALL}, 'github.com/o/7', null, 50, null, null)", 350),
        (f"awo_list_v1('{{completed}}', 'github.com/o/8', null, 50, {MIDDLE}, 'x')", 50),
        ("awo_list_v2(null, null, null, 50, null, null, false)", 50),
        (f"awo_list_v2(null, null, null, 50, {MIDDLE}, 'x', false)", 50),
        (f"awo_list_v2({BUSY}, null, null, 50, null, null, false)", 200),
        ("awo_list_v2('{failed}', null, null, 50, null, null, false)", 50),
        (f"awo_list_v2({ALL}, 'github.com/o/7', null, 50, null, null, false)", 350),
        ("awo_list_v2(null, null, null, 50, null, null, true)", 0),
        ("awo_list_v2('{failed}', null, null, 50, null, null, true)", 0),
        (f"awo_list_v2({ALL}, 'github.com/o/7', null, 50, null, null, true)", 0),
        ("awo_claim_v1('w', 'r', 45, 2)", 400),
        ("awo_claim_v1('w-4', 'r-4', 45, 2)", 110),
        ("awo_reap_v1(50)", 60),
        ("awo_changes_v1(99990, 200)", 10),
        ("awo_changes_v1(100000, 200)", 0),
        ("awo_events_v1('wo-0000000000000002', 4990, null, null, 500)", 10),
        ("awo_events_v1('wo-0000000000000002', 5000, null, null, 500)", 0),
        ("awo_events_v1('wo-0000000000000002', 0, 4000, null, 50)", 50),
        ("awo_look_v1('{wo-0000000000000002,wo-0000000000000003}')", 2),
        ("awo_get_v1('wo-0000000000000002')", 1),
        ("awo_renew_v1('wo-0000000000000004', 4, 45)", 2),
        ("awo_repository_v1('github.com/o/7')", 1),
        ("awo_repositories_v1(50, 'github.com/o/7', false)", 0),
    ],
)
def test_a_call_reads_by_an_index_and_little_more_than_it_answers_with(full: Project, call: str, rows: int) -> None:
    with full.connect() as db:
        # The first plans of a connection know the arguments; those after five calls do not.
        counted = [read_by(db, call) for _ in range(8)]
    assert all(scans == 0 for scans, _ in counted), counted
    assert all(read <= rows for _, read in counted), counted


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        ("where (created_at, agent_work_order_id) < (now(), 'x') order by created_at desc, agent_work_order_id desc "
         "limit 50", "newest"),
        ("where status = 'waiting' order by created_at desc, agent_work_order_id desc limit 50", "by_status|waiting"),
        ("where repository_key = 'github.com/o/7' and status = 'failed' order by created_at desc, "
         "agent_work_order_id desc limit 50", "by_repository"),
        ("where status = 'pending' and priority = 2 and repository_key = 'github.com/o/2' order by created_at, "
         "order_no limit 1", "pending"),
        ("where status = 'running' and (lease_expires_at <= now() or worker_id = any ('{a}')) "
         "order by lease_expires_at limit 50", "running|by_status"),
        ("where status = 'scheduled' and run_after <= now() order by run_after limit 100", "scheduled"),
        ("where status = 'waiting' and waiting_until <= now() order by waiting_until limit 100", "waiting"),
        ("where rev > 99990 order by rev limit 200", "rev_key"),
    ],
)  # fmt: skip
def test_explain_names_the_index_that_was_made_for_it(full: Project, statement: str, index: str) -> None:
    with full.connect() as db:
        explain = f"explain select * from agent_work_orders {statement}"  # noqa: S608 - the statements above
        lines = db.execute(explain.encode()).fetchall()
    plan = "\n".join(line for (line,) in lines)
    assert re.search(f"agent_work_orders_({index})", plan), plan
    assert "Seq Scan" not in plan
