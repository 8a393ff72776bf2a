"""The host port: the only file that knows the server next door. All is imported late and its answers are checked."""

import os
from typing import Any

from .domain.errors import FailureClass, StepFailed, StoreUnavailable

_SERVER = f"{__package__.rpartition('.')[0]}.server"


class HostSecrets:
    """Secrets by name: the environment first, else Archon's credential service."""

    async def get(self, name: str) -> str | None:
        """The secret, or None if there is none; see ports.Secrets for what it raises."""
        from_environment = os.environ.get(name, "").strip()
        if from_environment:
            return from_environment
        if not _has_credential_service():
            return None
        from ..server.services.credential_service import credential_service

        try:
            value: Any = await credential_service.get_credential(name)
        except _refusals() as error:
            raise _meaning(error) from error
        # The service of the public server may answer with a dict or None where nothing is stored.
        return value if isinstance(value, str) and value else None


def _has_credential_service() -> bool:
    try:
        from ..server.services import credential_service  # noqa: F401  # only whether it is there
    except ModuleNotFoundError as error:
        # One that is there and lacks a library of its own must not look like one without secrets.
        if error.name is not None and error.name.startswith(_SERVER):
            return False
        raise
    return True


def _refusals() -> tuple[type[Exception], ...]:
    """What our own host's service raises; the public one's has no names for it."""
    try:
        from ..server.services.credential_errors import CredentialError
    except ImportError:
        return ()
    return (CredentialError,)


def _meaning(error: Exception) -> StepFailed | StoreUnavailable:
    from ..server.services.credential_errors import CredentialStoreUnavailable

    next_action: str = getattr(error, "next_action", "")
    if isinstance(error, CredentialStoreUnavailable):
        return StoreUnavailable(str(error), next_action=next_action)
    return StepFailed(FailureClass.AUTH, str(error), next_action=next_action)
