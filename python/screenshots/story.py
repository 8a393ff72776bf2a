"""What the pictured server has done: repositories, settings and orders in every state. Knows the API; knows no page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from src.agent_work_orders.rehearsal import SAMPLE_REQUEST, Scenario, Stage
from src.agent_work_orders.rehearsal.sample import FILES as GREETER

from .server import Archon, Broken, eventually

Json = dict[str, Any]
AT_WORK, AT_THE_PLAN = "at work", "at the plan"  # gates behind which the model keeps silent
OWNER = "acme"

MAKEFILE = ".PHONY: test\ntest:\n\tpython3 -m unittest discover --start-directory tests --top-level-directory .\n"
BILLING: dict[str, str | bytes] = {
    "Makefile": MAKEFILE,
    "README.md": "# billing-api\n\nInvoices, and what stands on them.\n",
    "billing/__init__.py": "",
    "billing/invoice.py": '''\
"""Amounts of an invoice, in cents."""

from decimal import ROUND_HALF_UP, Decimal


def tax(cents: int, percent: Decimal) -> int:
    """The tax on an amount, rounded as the law wants it."""
    return int((Decimal(cents) * percent / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))
''',
    "tests/__init__.py": "",
    "tests/test_invoice.py": """\
import unittest
from decimal import Decimal

from billing.invoice import tax


class Tax(unittest.TestCase):
    def test_rounds_half_a_cent_up(self):
        self.assertEqual(tax(50, Decimal(5)), 3)


if __name__ == "__main__":
    unittest.main()
""",
}
STOREFRONT: dict[str, str | bytes] = {
    "Makefile": MAKEFILE,
    "README.md": "# storefront\n\nThe shop's pages and its checkout.\n",
    "shop/__init__.py": "",
    "shop/payment.py": '''\
"""Talks to the payment service."""

TIMEOUT = 5


def charge(send, order_id: str, cents: int) -> str:
    """The service's receipt."""
    return send(f"/orders/{order_id}", cents, timeout=TIMEOUT)
''',
    "tests/__init__.py": "",
    "tests/test_payment.py": """\
import unittest

from shop.payment import charge


class Charge(unittest.TestCase):
    def test_returns_the_receipt(self):
        self.assertEqual(charge(lambda *_, timeout: "r-1", "o-1", 100), "r-1")


if __name__ == "__main__":
    unittest.main()
""",
}

RETRY = "Retry the payment call once when it times out, and never charge twice."
ROUNDING = "Round the tax on invoices half to even, as the auditors ask."
EXPORT = "Add a CSV export of invoices, one line each, with the tax in a column of its own."
DAYTIME = "Greet by the time of day: good morning before noon, good evening after six."
TRANSLATE = "Translate the command line's help into German."
CLEAN = "Remove the functions that nobody calls."
TYPO = "Correct the spelling in the README."


def _in(step: str, request: str, *turns: Json) -> Json:
    return {
        "name": f"{step}: {request[:20]}",
        "match": f'<awo-step name="{step}">',
        "conversation": request[:30],
        "turns": list(turns),
        "after": "stop",
    }


def _reads(text: str, *paths: str) -> Json:
    return {
        "text": text,
        "content": [{"tool": "Read", "input": {"file_path": f"{{{{cwd}}}}/{path}"}} for path in paths],
    }


def _edits(text: str, path: str, old: str, new: str) -> Json:
    edit = {"file_path": f"{{{{cwd}}}}/{path}", "old_string": old, "new_string": new}
    return {"text": text, "content": [{"tool": "Edit", "input": edit}]}


def _runs(text: str, command: str, **more: Any) -> Json:
    return {"text": text, "content": [{"tool": "Bash", "input": {"command": command}}], **more}


SCRIPTS: list[Json] = [
    _in(
        "execute",
        RETRY,
        _reads("I read how the payment service is called.", "shop/payment.py", "tests/test_payment.py"),
        _edits(
            "A second try is safe with the same order's number: the service takes each number once.",
            "shop/payment.py",
            '    """The service\'s receipt."""\n    return send(f"/orders/{order_id}", cents, timeout=TIMEOUT)\n',
            '    """The service\'s receipt. A call that times out is made once more, under the same number."""\n'
            '    try:\n        return send(f"/orders/{order_id}", cents, timeout=TIMEOUT)\n'
            '    except TimeoutError:\n        return send(f"/orders/{order_id}", cents, timeout=TIMEOUT)\n',
        ),
        _edits(
            "And a test that counts the calls.",
            "tests/test_payment.py",
            '\n\nif __name__ == "__main__":',
            "\n    def test_a_time_out_is_tried_once_more(self):\n        calls = []\n\n"
            "        def send(path, cents, timeout):\n            calls.append(path)\n"
            '            if len(calls) == 1:\n                raise TimeoutError\n            return "r-2"\n\n'
            '        self.assertEqual(charge(send, "o-1", 100), "r-2")\n'
            '        self.assertEqual(calls, ["/orders/o-1"] * 2)\n\n\nif __name__ == "__main__":',
        ),
        _runs("Now the tests.", "make test"),
        {
            "text": "`charge` tries once more after a time-out, under the same order's number. **Two calls at most**; "
            "both tests are green."
        },
    ),
    _in(
        "execute",
        ROUNDING,
        _reads("I look at where the tax is rounded.", "billing/invoice.py", "tests/test_invoice.py"),
        _runs(
            "One word changes, in two places.",
            "sed -i s/ROUND_HALF_UP/ROUND_HALF_EVEN/ billing/invoice.py && make test",
        ),
        {"text": "The rounding is half to even now. The test still expects half up; I was not asked to change it."},
    ),
    _in(
        "repair",
        ROUNDING,
        _runs("The check is red. I run it myself.", "make test"),
        {
            "text": "The test and the request contradict each other: `2.5` cents are `3` half up and `2` half to even. "
            "A person has to say which one holds."
        },
    ),
    _in(
        "planning",
        EXPORT,
        _reads("I look at what an invoice is here.", "billing/invoice.py"),
        {
            "text": "# Plan: invoices as CSV\n\n1. `tests/test_export.py`: one line for each invoice, the tax in its "
            "own column, text with commas and quotes kept whole.\n2. `billing/export.py`: `write_csv(invoices, file)` "
            "with the standard library's `csv`.\n3. `README.md`: how to call it.\n\n**Checks:** `make test`.\n\n"
            "**Left alone:** how invoices are stored, and every other format.\n"
        },
    ),
    _in(
        "planning",
        DAYTIME,
        _reads("I look at how people are greeted now.", "greeter/__init__.py", "greeter/__main__.py"),
        {
            "text": "# Plan\n\n1. A test for each part of the day.\n2. `greet(name, hour)`; the command line passes "
            "the hour on.\n"
        },
    ),
    _in(
        "execute",
        DAYTIME,
        _reads(
            "I start from the tests, as planned.", "tests/test_greet.py", "greeter/__init__.py", "greeter/__main__.py"
        ),
        _runs("They are green before I change anything.", "make test"),
        _edits(
            "First the function.",
            "greeter/__init__.py",
            '    return f"Hello, {name}!"\n',
            '    word = "Good morning" if hour < 12 else "Good evening" if hour >= 18 else "Hello"\n'
            '    return f"{word}, {name}!"\n',
        ),
        _runs("What do the tests say now?", "make test 2>&1 | tail -n 12"),
        {"text": "The hour is not a parameter yet; I add it.", "gate": AT_WORK},
    ),
    _in("planning", CLEAN, {"text": "I look for callers.", "gate": AT_THE_PLAN}),
]


@dataclass(frozen=True)
class Told:
    """The orders of the story by what they are pictured as."""

    completed: str
    failed: str
    asks_push: str
    asks_plan: str
    running: str
    pending: str
    cancelled: str
    archived: str
    repositories: Mapping[str, str]


def tell(archon: Archon, stage: Stage) -> Told:
    """Brings the server to where there is something to see. Returns once every order stands where it is to stand."""
    stage.model.play({"scripts": [*SCRIPTS, *(one.model_dump() for one in Scenario.default().scripts)]})
    urls = {
        name: stage.add_repository(OWNER, name, files)
        for name, files in (("greeter", GREETER), ("billing-api", BILLING), ("storefront", STOREFRONT))
    }
    stage.github.add_issue(OWNER, "storefront", "Checkout hangs when the payment service is slow")
    _set_up(archon, stage, urls)
    greeter, billing, storefront = urls["greeter"], urls["billing-api"], urls["storefront"]

    archived = archon.file(storefront, TYPO, workflow_type="quick_fix")
    cancelled = archon.file(storefront, CLEAN)
    failed = archon.file(billing, ROUNDING, workflow_type="quick_fix")
    completed = archon.file(greeter, SAMPLE_REQUEST, requires_approval=["push"], max_cost_usd=5)
    _cancel_at_the_gate(archon, cancelled, stage)
    _answer(archon, completed, "approve", "Just what I wanted. Open it.")
    archon.until(completed, "completed")
    asks_push = archon.file(storefront, RETRY, workflow_type="quick_fix", requires_approval=["push"])
    archon.until(archived, "completed")
    archon.ask("POST", f"/work-orders/{archived}/archive")
    archon.until(failed, "failed")
    asks_plan = archon.file(billing, EXPORT, requires_approval=["plan"])
    running = archon.file(greeter, DAYTIME, max_cost_usd=2)
    archon.question(asks_push)
    archon.question(asks_plan)
    stage.model.wait_for_gate(AT_WORK, seconds=90)
    pending = archon.file(greeter, TRANSLATE)
    archon.ask("POST", f"/work-orders/{running}/messages", "Ben", json={"text": "Use the **local** time, please."})
    eventually(lambda: archon.order(archived).get("archived_at"), "the archived order is archived")
    return Told(completed, failed, asks_push, asks_plan, running, pending, cancelled, archived, urls)


def _set_up(archon: Archon, stage: Stage, urls: Mapping[str, str]) -> None:
    for name, value in (("github_token", stage.github_token), ("anthropic_api_key", stage.anthropic_api_key)):
        archon.ask("PUT", f"/settings/secrets/{name}", json={"value": value})
    changes = {"max_concurrent": 3, "max_concurrent_per_repository": 1, "max_cost_usd": 10.0, "retention_days": 14}
    archon.ask("PATCH", "/settings", json=changes, headers={"If-Match": "*"})
    archon.ask("PATCH", "/settings", "Ben", json={"retention_days": 30}, headers={"If-Match": "*"})
    for name, options in (
        ("greeter", {"trusted": True, "max_cost_usd": 5.0}),
        ("billing-api", {"verify_command": "make test", "workflow_type": "agent_workflow_plan", "model": "opus"}),
        ("storefront", {"base_branch": "main"}),
    ):
        made = archon.ask("POST", "/repositories", json={"repository_url": urls[name], "options": options})
        archon.ask("POST", f"/repositories/{made['repository_id']}/verify")
    for subject in ("github", "claude", "database", "storage"):
        archon.ask("POST", f"/settings/test/{subject}", json={})


def _answer(archon: Archon, order_id: str, verdict: str, comment: str) -> None:
    seq = archon.question(order_id)
    archon.ask("POST", f"/work-orders/{order_id}/{verdict}", json={"seq": seq, "comment": comment})


def _cancel_at_the_gate(archon: Archon, order_id: str, stage: Stage) -> None:
    try:
        stage.model.wait_for_gate(AT_THE_PLAN, seconds=90)
    except TimeoutError as late:
        raise Broken(f"{order_id} did not come to the gate: {archon.order(order_id)}") from late
    archon.ask("POST", f"/work-orders/{order_id}/cancel")
    archon.until(order_id, "cancelled")
