"""The host port on a server that is not ours: one setting at a time, and errors without names."""

from typing import Any

import anyio.lowlevel
import pytest

from src.agent_work_orders.domain.errors import StoreUnavailable
from src.agent_work_orders.host import CATEGORY, HostSecrets, HostSettings
from src.server.services import credential_service as module

pytestmark = pytest.mark.anyio


class PublicService:
    """The methods of the public server's credential service, with its manners: False for a failed save."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}
        self.refuses: set[str] = set()
        self.categories: set[str | None] = set()

    async def load_all_credentials(self) -> dict[str, Any]:
        await anyio.lowlevel.checkpoint()
        return dict(self.rows)

    async def get_credential(self, key: str, default: Any = None, decrypt: bool = True) -> Any:
        await anyio.lowlevel.checkpoint()
        return self.rows.get(key, default)

    async def set_credential(
        self, key: str, value: str, is_encrypted: bool = False, category: str | None = None, description: Any = None
    ) -> bool:
        await anyio.lowlevel.checkpoint()
        if key in self.refuses:
            return False
        self.rows[key] = value
        self.categories.add(category)
        return True

    async def delete_credential(self, key: str) -> bool:
        await anyio.lowlevel.checkpoint()
        self.rows.pop(key, None)
        return True


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> PublicService:
    service = PublicService()
    monkeypatch.setattr(module, "credential_service", service)
    for name in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return service


async def test_settings_are_saved_one_by_one_and_read_without_what_is_no_text(public: PublicService) -> None:
    public.rows = {"ANTHROPIC_API_KEY": None, "OPENAI_API_KEY": {"encrypted_value": "x"}, "EMPTY": ""}
    await HostSettings().save({"AWO_MAX_CONCURRENT": "9", "AWO_STALL_TIMEOUT": "60"})
    assert await HostSettings().load() == {"AWO_MAX_CONCURRENT": "9", "AWO_STALL_TIMEOUT": "60"}
    assert public.categories == {CATEGORY}
    await HostSettings().save({"AWO_MAX_CONCURRENT": None})
    assert await HostSettings().load() == {"AWO_STALL_TIMEOUT": "60"}


async def test_what_was_saved_before_a_failure_is_put_back(public: PublicService) -> None:
    public.rows = {"AWO_MAX_CONCURRENT": "9"}
    public.refuses = {"AWO_LEASE_SECONDS"}
    with pytest.raises(StoreUnavailable):
        await HostSettings().save({"AWO_MAX_CONCURRENT": "10", "AWO_STALL_TIMEOUT": "60", "AWO_LEASE_SECONDS": "20"})
    assert public.rows == {"AWO_MAX_CONCURRENT": "9"}


@pytest.mark.parametrize("stored", [None, "", {"encrypted_value": "", "is_encrypted": True}])
async def test_a_placeholder_is_no_secret(public: PublicService, stored: object) -> None:
    public.rows = {"GITHUB_TOKEN": stored}
    assert await HostSecrets().get("GITHUB_TOKEN") is None


async def test_a_secret_is_saved_encrypted_and_removed(public: PublicService) -> None:
    await HostSecrets().save("GITHUB_TOKEN", "ghp_0123456789")
    assert await HostSecrets().get("GITHUB_TOKEN") == "ghp_0123456789"
    assert await HostSecrets().repositories("GITHUB_TOKEN") == []
    await HostSecrets().remove("GITHUB_TOKEN")
    assert await HostSecrets().get("GITHUB_TOKEN") is None


async def test_the_environment_comes_first_and_says_its_variable(
    public: PublicService, monkeypatch: pytest.MonkeyPatch
) -> None:
    public.rows = {"GITHUB_TOKEN": "ghp_stored"}
    monkeypatch.setenv("GITHUB_TOKEN", " ghp_of_the_environment ")
    assert await HostSecrets().get("GITHUB_TOKEN") == "ghp_of_the_environment"
    assert HostSecrets().variable("GITHUB_TOKEN") == "GITHUB_TOKEN"
    assert HostSecrets().variable("ANTHROPIC_API_KEY") is None
