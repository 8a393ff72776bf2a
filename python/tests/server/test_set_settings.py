"""Several plain settings saved at once: all of them or none, in files and in the table."""

import json
from pathlib import Path

import pytest

from src.server.services.credential_service import MASK, CredentialService

from .pretend_database import PretendDatabase

pytestmark = pytest.mark.anyio
# They live in three files: nothing may be half done between them either.
THREE = {"AWO_MAX_CONCURRENT": "9", "CLAUDE_SOMETHING": "a", "GITHUB_SOMETHING": "b"}


def at_rest(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((home / "credentials").glob("*.json"))}


async def test_they_are_saved_together_and_read_back(home: Path) -> None:
    service = CredentialService()
    assert await service.set_settings(THREE, category="agent_work_orders")
    assert {key: await service.get_credential(key) for key in THREE} == THREE
    assert await CredentialService().get_credentials_by_category("agent_work_orders") == THREE
    assert await service.set_settings({"AWO_MAX_CONCURRENT": None})
    assert await service.get_credential("AWO_MAX_CONCURRENT", "default") == "default"
    kept = json.loads(at_rest(home)["archon.json"])["credentials"]["AWO_MAX_CONCURRENT"]
    assert kept["category"] == "agent_work_orders"


async def test_a_disk_that_fills_up_in_between_changes_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = CredentialService()
    assert await service.set_settings(THREE)
    before = at_rest(home)
    real, calls = Path.replace, list[Path]()

    def fills_up(self: Path, target: Path) -> Path:
        calls.append(target)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", fills_up)
        assert not await service.set_settings(dict.fromkeys(THREE, "new"))
    assert calls
    assert Path.replace is real
    assert at_rest(home) == before
    assert {key: await service.get_credential(key) for key in THREE} == THREE
    assert not list((home / "credentials").glob(".draft-*"))


@pytest.mark.parametrize("values", [{"A": MASK}, {"A": "1", "GITHUB_TOKEN": "ghp_plain"}, {"ANTHROPIC_API_KEY": "x"}])
async def test_masks_and_secrets_are_no_plain_settings(home: Path, values: dict[str, str | None]) -> None:
    assert not await CredentialService().set_settings(values)
    assert at_rest(home) == {}


async def test_the_table_takes_them_in_one_statement(database: PretendDatabase) -> None:
    service = CredentialService()
    assert await service.set_settings(THREE, category="agent_work_orders")
    assert len([url for url in database.urls if "on_conflict" in url]) == 1
    assert {key: row["value"] for key, row in database.settings.items()} == THREE
    assert await service.get_credential("AWO_MAX_CONCURRENT") == "9"
    database.refuse()
    assert not await service.set_settings({"AWO_MAX_CONCURRENT": "10"})
    assert await service.get_credential("AWO_MAX_CONCURRENT") == "9"
