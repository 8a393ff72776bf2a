"""The host port: the only file that knows the server next door. All is imported late and its answers are checked."""

import os
from collections.abc import Awaitable, Mapping
from typing import Any

from .domain.errors import FailureClass, StepFailed, StoreUnavailable
from .domain.repository import Repository

# Archon groups its settings by this.
CATEGORY = "agent_work_orders"
_SERVER = f"{__package__.rpartition('.')[0]}.server"


class HostSecrets:
    """Secrets by name: the environment first, else Archon's credential service.

    One for a repository alone is kept beside the others as `GITHUB_TOKEN:github.com/owner/name`.
    """

    def variable(self, name: str) -> str | None:
        return name if os.environ.get(name, "").strip() else None

    async def get(self, name: str, repository: Repository | None = None) -> str | None:
        """The secret, or None if there is none; see ports.Secrets for what it raises."""
        if repository is not None and (own := await self._stored(_kept_as(name, repository))):
            return own
        return os.environ.get(name, "").strip() or await self._stored(name)

    async def save(self, name: str, value: str, repository: Repository | None = None) -> None:
        service = _service_to_write()
        key = _kept_as(name, repository)
        await _saved(service.set_credential(key, value, is_encrypted=True, category=CATEGORY))

    async def remove(self, name: str, repository: Repository | None = None) -> None:
        await _saved(_service_to_write().delete_credential(_kept_as(name, repository)))

    async def repositories(self, name: str) -> list[str]:
        if not _has_credential_service():
            return []
        rows = await _asked(_service().load_all_credentials())
        return sorted(key.partition(":")[2] for key in rows if key.startswith(f"{name}:"))

    async def _stored(self, key: str) -> str | None:
        if not _has_credential_service():
            return None
        value = await _asked(_service().get_credential(key))
        # The service of the public server may answer with a dict or None where nothing is stored.
        return value.strip() or None if isinstance(value, str) else None


class HostSettings:
    """ports.StoredSettings in Archon's own table of settings, under the variables' names."""

    async def load(self) -> dict[str, str]:
        if not _has_credential_service():
            return {}
        try:
            rows = await _asked(_service().load_all_credentials())
        except StepFailed as error:
            raise StoreUnavailable(error.message, next_action=error.next_action) from error
        return {key: value for key, value in rows.items() if isinstance(value, str) and value.strip()}

    async def save(self, changes: Mapping[str, str | None]) -> None:
        service = _service_to_write()
        if hasattr(service, "set_settings"):
            await _saved(service.set_settings(dict(changes), category=CATEGORY))
            return
        # The public server saves one at a time: what was saved before a failure is put back.
        before, done = await self.load(), list[str]()
        try:
            for key, value in changes.items():
                await _save_one(service, key, value)
                done.append(key)
        except StoreUnavailable:
            for key in done:
                await _save_one(service, key, before.get(key))
            raise


def supabase_project() -> tuple[str, str] | None:
    """Address and service key of the project that the host works on; None in embedded mode."""
    url = os.environ.get("SUPABASE_URL", "").strip()
    return (url, os.environ.get("SUPABASE_SERVICE_KEY", "").strip()) if url else None


def _kept_as(name: str, repository: Repository | None) -> str:
    return name if repository is None else f"{name}:{repository.key}"


async def _save_one(service: Any, key: str, value: str | None) -> None:
    saving = service.delete_credential(key) if value is None else service.set_credential(key, value, category=CATEGORY)
    await _saved(saving)


async def _asked(question: Awaitable[Any]) -> Any:
    try:
        return await question
    except _refusals() as error:
        raise _meaning(error) from error


async def _saved(saving: Awaitable[Any]) -> None:
    if await _asked(saving) is not True:
        raise StoreUnavailable(
            "Archon could not save the change; what was stored before is unchanged.",
            next_action="Read the server's log for the cause (disk, permissions or database), then save again.",
        )


def _service() -> Any:
    from ..server.services.credential_service import credential_service

    return credential_service


def _service_to_write() -> Any:
    if not _has_credential_service():
        raise StoreUnavailable(
            "The server around Agent Work Orders keeps no settings.",
            next_action="Set the environment variable instead, and restart the server.",
        )
    return _service()


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
    """What the host's service raises."""
    try:
        from ..server.services.credential_errors import CredentialError
    except ImportError:
        return (Exception,)  # the public server's service has no names for what goes wrong
    return (CredentialError,)


def _meaning(error: Exception) -> StepFailed | StoreUnavailable:
    try:
        from ..server.services.credential_errors import CredentialStoreUnavailable
    except ImportError:
        return StoreUnavailable(f"Archon's settings could not be asked ({type(error).__name__}).")
    next_action: str = getattr(error, "next_action", "")
    if isinstance(error, CredentialStoreUnavailable):
        return StoreUnavailable(str(error), next_action=next_action)
    return StepFailed(FailureClass.AUTH, str(error), next_action=next_action)
