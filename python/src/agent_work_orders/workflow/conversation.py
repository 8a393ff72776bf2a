"""What people write to a run: heard before the agent's turns, given to one of them, marked once its work is kept."""

from ..domain.conversation import Message
from ..domain.work_order import Claim
from ..ports import Store
from .journal import Journal
from .lease import patiently


class Conversation:
    """The run's side of it. What a turn was given and did not come to keep is given again, in a later run."""

    def __init__(self, claim: Claim, store: Store, journal: Journal) -> None:
        self._claim, self._store, self._journal = claim, store, journal
        self._unread: list[Message] = []
        self._given: list[str] = []
        # All of this run: the journal goes on naming what the store was told of since.
        self._had: set[str] = set()

    async def hear(self) -> bool:
        """Whether somebody wrote what asks for a turn of the agent."""
        heard = await self._journal.hear()
        self._unread = [message for message in heard if message.message_id not in self._had]
        return any(message.kind == "message" for message in self._unread)

    def give(self) -> list[Message]:
        """What was heard and goes into the next prompt."""
        given, self._unread = self._unread, []
        self._given += [message.message_id for message in given]
        self._had.update(self._given)
        return given

    async def kept(self) -> None:
        """The step has ended well in which the messages were given, and its work is kept."""
        if given := self._given:
            await patiently(lambda: self._store.deliver(self._claim, given))
            self._given = []


def block_of(messages: list[Message]) -> str:
    """Markdown that says who wrote what. Each message is a quote: nothing in it can end it or pass for other words."""
    parts = []
    for message in messages:
        quoted = "\n".join(f"> {line}" for line in message.text.strip().splitlines())
        parts.append(f"{message.author} wrote at {message.sent_at:%Y-%m-%d %H:%M} UTC:\n\n{quoted}")
    return "\n\n".join(parts)
