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
        # What this run's agent was given ever (the journal goes on naming it), and what of it is not marked yet.
        self._given: set[str] = set()
        self._unmarked: list[str] = []

    async def hear(self) -> bool:
        """Whether somebody wrote what asks for a turn of the agent."""
        heard = await self._journal.hear()
        self._unread = [message for message in heard if message.message_id not in self._given]
        return any(message.kind == "message" for message in self._unread)

    def give(self) -> list[Message]:
        """What was heard and goes into the next prompt."""
        given, self._unread = self._unread, []
        self._unmarked += [message.message_id for message in given]
        self._given.update(self._unmarked)
        return given

    async def kept(self) -> None:
        """The step has ended well in which the messages were given, and its work is kept."""
        if given := self._unmarked:
            await patiently(lambda: self._store.deliver(self._claim, given))
            self._unmarked = []


def block_of(messages: list[Message]) -> str:
    """Markdown that says who wrote what. Each message is a quote: nothing in it can end it or pass for other words."""
    parts = []
    for message in messages:
        quoted = "\n".join(f"> {line}" for line in message.text.strip().splitlines())
        parts.append(f"{message.author} wrote at {message.sent_at:%Y-%m-%d %H:%M} UTC:\n\n{quoted}")
    return "\n\n".join(parts)
