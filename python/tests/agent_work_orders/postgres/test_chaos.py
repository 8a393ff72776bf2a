"""The chaos of `bench/chaos.py`, small, and every verb at once without one deadlock."""

import random
import threading
from collections import Counter

import psycopg
import pytest

from bench import chaos

from .project import Project

ORDERS, SERVERS = 250, 2


@pytest.mark.timeout(300)  # outages, leases that run out, and interpreters that start anew
def test_whatever_dies_every_order_ends_once(project: Project) -> None:
    report = chaos.run(project, ORDERS, SERVERS, within=240)
    assert report.problems == [], str(report)
    assert report.done_to_it["a worker killed"] >= 1, str(report)


def test_claims_cancels_reaps_and_filings_together_never_lock_each_other_out(project: Project) -> None:
    """Claims alone would not show it: with the head locked late, this deadlocks within a second."""
    errors: Counter[str] = Counter()
    done: Counter[str] = Counter()
    rounds = 150

    def enqueue(db: "psycopg.Connection[object]", chance: random.Random, number: int) -> None:
        key = f"{threading.get_ident()}-{number}"
        db.execute(
            "select awo_enqueue_v1(jsonb_build_object('agent_work_order_id', 'wo-' || md5(%s), 'idempotency_key', "
            "%s::text, 'request_fingerprint', 'f', 'repository_key', %s::text, 'repository_url', 'https://h/o/n', "
            "'sandbox_identifier', 's', 'sandbox_type', 'git_branch', 'workflow_type', 'quick_fix', "
            "'selected_commands', '[\"execute\"]'::jsonb, 'user_request', 'x', 'max_attempts', 3, 'priority', 5))",
            (key, key, f"github.com/o/{chance.randrange(4)}"),
        )

    def claim(db: "psycopg.Connection[object]", chance: random.Random, number: int) -> None:
        request = f"{threading.get_ident()}-{number}"
        row = db.execute("select awo_claim_v1('w', %s, 0.05, 50)", (request,)).fetchone()
        found = row[0] if row else None  # type: ignore[index]  # a row of one column
        if found is None:
            return
        order_id, token = found["order"]["agent_work_order_id"], found["token"]
        steps = (
            ('select awo_append_v1(%s, %s, %s, \'[["agent_spoke", null, "{}"]]\')', (found["order"]["last_seq"] + 1,)),
            ("select awo_start_step_v1(%s, %s, 1, 'execute', 'claude')", ()),
            (
                "select awo_write_v1(%s, %s, 0.05, %s, "
                '\'{"step_order": 2, "step_name": "execute", "agent_name": "claude"}\', \'{"base_branch": "main"}\', '
                "'[]', '[[\"agent_spoke\", null, \"{}\"]]', null)",
                (found["order"]["last_seq"] + 2,),
            ),
            ("select awo_renew_v1(%s, %s, 0.05)", ()),
            ("select awo_release_v1(%s, %s)", ()),
        )
        for sql, more in steps:
            db.execute(sql.encode(), (order_id, token, *more))

    def cancel(db: "psycopg.Connection[object]", chance: random.Random, number: int) -> None:
        sql = "select agent_work_order_id from agent_work_orders where finished_at is null order by priority limit 6"
        for row in db.execute(sql).fetchall():
            db.execute("select awo_cancel_v1(%s)", (row[0],))  # type: ignore[index]  # a row of one column

    def reap(db: "psycopg.Connection[object]", chance: random.Random, number: int) -> None:
        db.execute("select awo_reap_v1(10)")

    def work(verb: str, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - a repeatable shuffle, no secret
        with project.connect() as db:
            for number in range(rounds):
                try:
                    {"enqueue": enqueue, "claim": claim, "cancel": cancel, "reap": reap}[verb](db, chance, number)
                    done[verb] += 1
                except psycopg.Error as error:
                    if (error.sqlstate or "")[:2] != "PT":  # a lost lease and its like are answers
                        errors[f"{verb} {error.sqlstate}"] += 1

    verbs = ["claim"] * 4 + ["cancel"] * 3 + ["reap"] + ["enqueue"] * 3
    threads = [threading.Thread(target=work, args=(verb, seed)) for seed, verb in enumerate(verbs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == {}
    assert set(done) == {"claim", "cancel", "reap", "enqueue"}
