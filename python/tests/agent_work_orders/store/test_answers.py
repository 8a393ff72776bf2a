"""What an error answer of the database means."""

from src.agent_work_orders.domain.errors import StoreUnavailable
from src.agent_work_orders.store.answers import trouble_of


def test_an_answer_without_any_code_is_a_connection_that_broke_and_the_call_is_repeated() -> None:
    trouble = trouble_of("awo_append_v1", "", "server closed the connection unexpectedly", "")
    assert trouble.passing
    assert isinstance(trouble.error, StoreUnavailable)
    assert "broke off" in trouble.error.message
