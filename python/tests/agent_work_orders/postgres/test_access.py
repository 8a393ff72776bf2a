"""Nobody but the service role may use anything of ours. The catalogue says what there is: nothing is forgotten."""

from collections.abc import Iterator

import httpx
import psycopg
import pytest

from .project import MIGRATION, Project, key_for

OUTSIDERS = ("anon", "authenticated")
# Not ours: the host's own tables, which it grants as it likes.
TABLES = r"""
select c.relname from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and c.relname not like 'archon\_%'
"""
SEQUENCES = "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'S'"
# A call that gets as far as its rights: every argument null.
CALLS = """
select p.oid::regprocedure::text, 'select public.' || quote_ident(p.proname) || '(' || coalesce((
  select string_agg('null::' || format_type(t.oid, null), ', ' order by a.place)
  from unnest(p.proargtypes) with ordinality as a (oid, place) join pg_type t on t.oid = a.oid), '') || ')'
from pg_proc p where p.pronamespace = 'public'::regnamespace
"""


@pytest.fixture(scope="module")
def fresh(newest_project: Project) -> Iterator[str]:
    with newest_project.database("access") as database:
        newest_project.run((MIGRATION / "awo_setup.sql").read_text(encoding="utf-8"), database)
        yield database


def statements(project: Project, database: str) -> dict[str, str]:
    """Everything that somebody could try, by what it is tried on."""
    tried: dict[str, str] = {}
    with project.connect(database) as db:
        for (table,) in db.execute(TABLES).fetchall():
            tried[f"select {table}"] = f"select * from public.{table}"  # noqa: S608 - names from the catalogue
            tried[f"delete {table}"] = f"delete from public.{table}"  # noqa: S608 - names from the catalogue
            tried[f"truncate {table}"] = f"truncate public.{table} cascade"
            tried[f"insert {table}"] = f"insert into public.{table} default values"
            columns = (
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attgenerated = ''"
            )
            (column,) = db.execute(columns + " and attidentity = '' limit 1", (table,)).fetchone() or ("",)
            tried[f"update {table}"] = f"update public.{table} set {column} = {column}"  # noqa: S608 - names from the catalogue
        for (sequence,) in db.execute(SEQUENCES).fetchall():
            tried[f"nextval {sequence}"] = f"select nextval('public.{sequence}')"
            tried[f"setval {sequence}"] = f"select setval('public.{sequence}', 1)"
            tried[f"read {sequence}"] = f"select last_value from public.{sequence}"  # noqa: S608 - names from the catalogue
        tried |= dict(db.execute(CALLS).fetchall())
    return tried


def let_in(project: Project, database: str, role: str) -> list[str]:
    """What `role` gets further with than 42501."""
    found = []
    for what, statement in statements(project, database).items():
        with project.connect(database) as db:
            db.execute(f"set role {role}".encode())
            try:
                db.execute(statement.encode())
            except psycopg.errors.InsufficientPrivilege:
                continue
            except psycopg.Error as error:
                found.append(f"{what}: {error.sqlstate}")
            else:
                found.append(what)
    return found


@pytest.mark.parametrize("role", OUTSIDERS)
def test_outsiders_get_42501_on_every_table_sequence_and_function(
    newest_project: Project, fresh: str, role: str
) -> None:
    assert len(statements(newest_project, fresh)) > 60
    assert let_in(newest_project, fresh, role) == []


@pytest.mark.parametrize("role", OUTSIDERS)
def test_a_forgotten_object_would_be_found(newest_project: Project, role: str) -> None:
    with newest_project.database("forgotten") as database:
        newest_project.run((MIGRATION / "awo_setup.sql").read_text(encoding="utf-8"), database)
        newest_project.run("create table public.agent_work_order_notes (note text)", database)
        newest_project.run("create function public.awo_note_v1() returns int language sql as 'select 1'", database)
        assert {"select agent_work_order_notes", "awo_note_v1()"} <= set(let_in(newest_project, database, role))
        newest_project.run("select public.awo_close_v1()", database)
        assert let_in(newest_project, database, role) == []


def test_every_function_runs_with_its_callers_rights_and_a_pinned_search_path(
    newest_project: Project, fresh: str
) -> None:
    with newest_project.connect(fresh) as db:
        sql = "select proname, prosecdef, proconfig from pg_proc where pronamespace = 'public'::regnamespace"
        found = db.execute(sql).fetchall()
    assert found
    assert [name for name, definer, config in found if definer or 'search_path=""' not in (config or [])] == []


def test_a_policy_that_somebody_added_is_dropped(newest_project: Project) -> None:
    with newest_project.database("opened") as database:
        whole = (MIGRATION / "awo_setup.sql").read_text(encoding="utf-8")
        newest_project.run(whole, database)
        newest_project.run(
            "create policy open on public.agent_work_orders for all to authenticated using (true);"
            "grant all on public.agent_work_orders to authenticated;",
            database,
        )
        assert let_in(newest_project, database, "authenticated")
        newest_project.run(whole, database)
        assert let_in(newest_project, database, "authenticated") == []


@pytest.mark.parametrize("role", OUTSIDERS)
@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("agent_work_orders", None),
        ("agent_work_order_events", None),
        ("rpc/awo_counts_v1", {}),
        ("rpc/awo_get_v1", {"p_id": "wo-0123456789abcdef"}),
        (
            "rpc/awo_claim_v1",
            {"p_worker_id": "w", "p_request_id": "r", "p_lease_seconds": 9, "p_limit_per_repository": 9},
        ),
    ],
)
def test_over_the_network_too(project: Project, role: str, address: str, body: dict[str, object] | None) -> None:
    headers = {"apikey": key_for(role), "Authorization": f"Bearer {key_for(role)}"}
    answer = httpx.request(
        "GET" if body is None else "POST", f"{project.url}/rest/v1/{address}", json=body, headers=headers
    )
    assert answer.status_code in (401, 403)
    assert answer.json()["code"] == "42501"
