"""The newest events of orders that live, in memory: many readers woken at once do not each ask the database.

It may hold less than there is, never anything else: it answers only with events that were committed, and only when it
holds the very next one.
"""

from collections import OrderedDict

from ..domain.events import Event

MOST_ORDERS = 64
MOST_EVENTS = 1000
MOST_CHARACTERS = 256 * 1024


class Tail:
    """Consecutive events at the end of one journal."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._characters = 0

    @property
    def last_seq(self) -> int:
        return self._events[-1].seq if self._events else 0

    def extend(self, events: list[Event]) -> None:
        if self._events and events[0].seq != self.last_seq + 1:
            # Another process wrote in between; what it wrote is not here.
            self._events, self._characters = [], 0
        self._events += events
        self._characters += sum(len(event.payload) for event in events)
        if len(self._events) > 2 * MOST_EVENTS or self._characters > 2 * MOST_CHARACTERS:
            self._shorten()

    def _shorten(self) -> None:
        # To half at once, so that the cost of it is spread over many events.
        keep, characters = 0, 0
        for event in reversed(self._events):
            characters += len(event.payload)
            if keep == MOST_EVENTS or (keep and characters > MOST_CHARACTERS):
                break
            keep += 1
        self._events = self._events[-keep:]
        self._characters = sum(len(event.payload) for event in self._events)

    def after(self, seq: int, limit: int) -> list[Event]:
        """Up to `limit` events from `seq + 1` on; empty when the first of them is not here."""
        if not self._events:
            return []
        start = seq + 1 - self._events[0].seq
        return self._events[start : start + limit] if start >= 0 else []


class Tails:
    """Tails of the orders that were written or read last."""

    def __init__(self) -> None:
        self._tails: OrderedDict[str, Tail] = OrderedDict()

    def extend(self, order_id: str, events: list[Event]) -> None:
        tail = self._tails.setdefault(order_id, Tail())
        tail.extend(events)
        self._tails.move_to_end(order_id)
        if len(self._tails) > MOST_ORDERS:
            self._tails.popitem(last=False)

    def get(self, order_id: str) -> Tail | None:
        tail = self._tails.get(order_id)
        if tail is not None:
            self._tails.move_to_end(order_id)
        return tail

    def forget(self, order_id: str) -> None:
        self._tails.pop(order_id, None)
