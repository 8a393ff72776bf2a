"""The reference pages are what the code says, word for word."""

from pathlib import Path

import pytest

from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.domain.events import PAYLOADS
from src.agent_work_orders.reference import FAILURES, MADE_BY, documents, main

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", list(documents()))
def test_a_page_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == documents()[path], f"run `{MADE_BY}` in python/"


def test_the_program_writes_all(tmp_path: Path) -> None:
    assert main(tmp_path) == 0
    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in documents()} == documents()


def test_nothing_is_left_out() -> None:
    pages = documents()
    assert set(FAILURES) == set(FailureClass)
    assert all(f"## `{kind}`" in pages["docs/reference/events.md"] for kind in PAYLOADS)
    assert all(f"| `{one}` |" in pages["docs/reference/failures.md"] for one in FailureClass)
    assert "| POST | `/api/awo/work-orders` |" in pages["docs/reference/api.md"]
    assert "`awo_claims_total`" in pages["docs/reference/metrics.md"]
