"""The host port: the only file that knows the server next door. Everything is imported late and its answers are checked."""

import os
from typing import Any


class HostSecrets:
    """Secrets by name: the environment first, else Archon's credential service."""

    async def get(self, name: str) -> str | None:
        """The secret, or None if there is none. What the service raises for an undecryptable value goes on up."""
        from_environment = os.environ.get(name, "").strip()
        if from_environment:
            return from_environment
        if not _has_credential_service():
            return None
        from ..server.services.credential_service import credential_service

        value: Any = await credential_service.get_credential(name)
        # The service of the public server may answer with a dict or None where nothing is stored.
        return value if isinstance(value, str) and value else None


def _has_credential_service() -> bool:
    try:
        from ..server.services import credential_service  # noqa: F401  # only whether it is there
    except ImportError:
        return False
    return True
