from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.store.rows import micros, moment, storable


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-7, minutes=-30))])))
def test_a_time_keeps_its_microseconds(at: datetime) -> None:
    assert moment(micros(at)) == at
    assert micros(None) is None
    assert moment(None) is None


@given(st.text(st.characters(codec=None, categories=None)) | st.text(st.sampled_from("\0a\ud83d\ude00\udfff🐈")))
def test_stored_text_is_text_that_every_store_can_hold(text: str) -> None:
    kept = storable(text)
    kept.encode()
    assert "\0" not in kept
    if "\0" not in text and not any("\ud800" <= char <= "\udfff" for char in text):
        assert kept == text
    assert storable(kept) == kept
