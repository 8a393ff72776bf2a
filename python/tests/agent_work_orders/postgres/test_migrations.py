"""The schema of the shared store, as people run it: whole or in parts, once or again, up and down."""

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.domain.status import Status, StepStatus, WaitingReason
from src.agent_work_orders.store.answers import MIGRATIONS

from .project import MIGRATION, Project

WHOLE = MIGRATION / "awo_setup.sql"
PARTS = sorted(MIGRATION.glob("awo-*/*.sql"))

# What tells one schema from another, whatever way it came about. Object numbers do not count.
SCHEMA = """
select 'column', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull::text,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') || a.attidentity::text
         || coalesce(a.attcollation::regcollation::text, '')
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'S')
    and a.attnum > 0 and not a.attisdropped
union all
select 'table', relname, relkind::text, coalesce(reloptions::text, ''), relrowsecurity::text, coalesce(relacl::text, '')
  from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'S')
union all
select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
  from pg_constraint where connamespace = 'public'::regnamespace
union all
select 'index', tablename, indexname, indexdef, '', '' from pg_indexes where schemaname = 'public'
union all
select 'function', oid::regprocedure::text, pg_get_functiondef(oid), coalesce(proacl::text, ''), '', ''
  from pg_proc where pronamespace = 'public'::regnamespace and prokind = 'f'
union all
select 'policy', tablename, policyname, '', '', '' from pg_policies where schemaname = 'public'
"""


def schema_of(project: Project, database: str) -> set[Any]:
    with project.connect(database) as db:
        return set(db.execute(SCHEMA).fetchall())


@pytest.fixture
def whole(newest_project: Project) -> Iterator[str]:
    with newest_project.database("whole") as database:
        newest_project.run(WHOLE.read_text(encoding="utf-8"), database)
        yield database


@pytest.fixture
def parts(newest_project: Project) -> Iterator[str]:
    with newest_project.database("parts") as database:
        for part in PARTS:
            newest_project.run(part.read_text(encoding="utf-8"), database)
        yield database


def test_the_whole_is_the_sum_of_its_parts(newest_project: Project, whole: str, parts: str) -> None:
    assert schema_of(newest_project, whole) == schema_of(newest_project, parts)
    joined = "\n".join(part.read_text(encoding="utf-8") for part in PARTS)
    assert WHOLE.read_text(encoding="utf-8").endswith(joined), "run: sh scripts/join_migrations.sh"


def test_running_it_again_changes_nothing(newest_project: Project, whole: str) -> None:
    before = schema_of(newest_project, whole)
    with newest_project.connect(whole) as db:
        db.execute("update agent_work_order_change_head set rev = 41")
    newest_project.run(WHOLE.read_text(encoding="utf-8"), whole)
    for part in PARTS:
        newest_project.run(part.read_text(encoding="utf-8"), whole)
    assert schema_of(newest_project, whole) == before
    with newest_project.connect(whole) as db:
        head = db.execute("select rev, schema_version from agent_work_order_change_head").fetchall()
    assert head == [(41, len(PARTS))]


def test_the_whole_completes_what_was_begun_in_parts(newest_project: Project, parts: str, whole: str) -> None:
    with newest_project.database("begun") as begun:
        for part in PARTS[:3]:
            newest_project.run(part.read_text(encoding="utf-8"), begun)
        newest_project.run(WHOLE.read_text(encoding="utf-8"), begun)
        assert schema_of(newest_project, begun) == schema_of(newest_project, parts)


def test_the_way_down_leaves_nothing(newest_project: Project, parts: str) -> None:
    with newest_project.database("untouched") as untouched:
        for part in reversed(PARTS):
            newest_project.run((part.parent / "down" / part.name).read_text(encoding="utf-8"), parts)
        assert schema_of(newest_project, parts) == schema_of(newest_project, untouched)
        with newest_project.connect(parts) as db:
            assert db.execute("select * from archon_migrations").fetchall() == []


def test_every_part_records_itself_for_the_migrations_page(newest_project: Project, parts: str) -> None:
    with newest_project.connect(parts) as db:
        recorded = set(db.execute("select version, migration_name from archon_migrations").fetchall())
    assert recorded == {(part.parent.name, part.stem) for part in PARTS}
    assert all(len(part.parent.name) <= 20 for part in PARTS)


def test_it_needs_no_table_of_archons(newest_project: Project) -> None:
    with newest_project.database("alone") as alone:
        newest_project.run("drop table archon_migrations", alone)
        newest_project.run(WHOLE.read_text(encoding="utf-8"), alone)
        with newest_project.connect(alone) as db:
            assert db.execute("select awo_check_v1()").fetchall() == [(len(PARTS),)]


def test_an_older_table_in_the_way_is_named(newest_project: Project) -> None:
    with newest_project.database("older") as older:
        newest_project.run("create table agent_work_orders (agent_work_order_id text primary key)", older)
        with pytest.raises(Exception, match="An older table agent_work_orders stands in the way"):
            newest_project.run(WHOLE.read_text(encoding="utf-8"), older)


def test_the_code_names_the_files_that_there_are() -> None:
    assert [str(part.relative_to(MIGRATION)) for part in PARTS] == list(MIGRATIONS)
    downs = [path.name for path in sorted(Path(MIGRATION).glob("awo-*/down/*.sql"))]
    assert downs == [part.name for part in PARTS]


def test_every_column_of_the_specification_is_there(newest_project: Project, whole: str) -> None:
    wanted = {
        "agent_work_orders": "agent_work_order_id repository_url sandbox_identifier git_branch_name agent_session_id "
        "workflow_type sandbox_type status user_request github_issue_number current_phase github_pull_request_url "
        "git_commit_count git_files_changed error_message created_at updated_at",
        "agent_work_order_steps": "id agent_work_order_id step_order step_name agent_name success output "
        "error_message duration_seconds session_id created_at",
        "agent_work_order_artifacts": "id agent_work_order_id artifact_type step_name content created_at",
    }
    with newest_project.connect(whole) as db:
        for table, columns in wanted.items():
            found = db.execute("select attname from pg_attribute where attrelid = %s::regclass", (table,)).fetchall()
            assert set(columns.split()) <= {name for (name,) in found}


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        ("a_known_status", Status),
        ("a_known_waiting_reason", WaitingReason),
        ("a_known_step_status", StepStatus),
    ],
)
def test_the_words_are_those_of_the_code(
    newest_project: Project, whole: str, constraint: str, words: type[StrEnum]
) -> None:
    sql = "select pg_get_constraintdef(oid) from pg_constraint where conname = %s"
    with newest_project.connect(whole) as db:
        (definition,) = db.execute(sql, (constraint,)).fetchall()
    assert set(re.findall(r"'(\w+)'", definition[0])) == {word.value for word in words}
