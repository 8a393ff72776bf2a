"""What callers of the credential service can rely on, over files and over Supabase's table alike."""

import logging
import os
import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from src.server.services import credential_service as module
from src.server.services.credential_service import (
    MASK,
    CredentialItem,
    CredentialService,
    CredentialStoreUnavailable,
    CredentialTableMissing,
    CredentialUndecryptable,
)

from .conftest import service_key
from .pretend_database import PretendDatabase
from .test_credential_format import independent_open, independent_seal

pytestmark = pytest.mark.anyio


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["files", "table"])
def either(request: pytest.FixtureRequest) -> str:
    """Both stores, one after the other."""
    if request.param == "table":
        request.getfixturevalue("database")
    return str(request.param)


# Over both stores


async def test_a_secret_comes_back_as_it_was_saved(either: str) -> None:
    service = CredentialService()
    assert await service.set_credential("GITHUB_TOKEN", "ghp_1", is_encrypted=True, category="api_keys")
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_1"
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_1"
    assert await service.get_credential("GITHUB_TOKEN", decrypt=False) == {
        "encrypted_value": await service.get_encrypted_credential_raw("GITHUB_TOKEN"),
        "is_encrypted": True,
        "category": "api_keys",
        "description": None,
    }


async def test_what_is_not_stored_or_empty_gives_the_default(either: str) -> None:
    service = CredentialService()
    assert await service.get_credential("NEVER_SAVED") is None
    assert await service.get_credential("NEVER_SAVED", "default") == "default"
    await service.set_credential("ANTHROPIC_API_KEY", "", is_encrypted=True)
    assert await service.get_credential("ANTHROPIC_API_KEY", "default") == "default"
    await service.set_credential("PLAIN", "")
    assert await service.get_credential("PLAIN", "default") == ""


async def test_tokens_are_encrypted_whatever_the_caller_says(either: str) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1", is_encrypted=False)
    await service.set_credential("github_token_acme_rockets", "ghp_2")
    assert await service.get_encrypted_credential_raw("GITHUB_TOKEN")
    assert await service.get_encrypted_credential_raw("github_token_acme_rockets")
    assert service.get_config_as_env_dict() == {}


async def test_saving_without_metadata_keeps_it(either: str) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1", category="api_keys", description="for pushing")
    await service.set_credential("GITHUB_TOKEN", "ghp_2")
    for reader in (service, CredentialService()):
        assert await reader.list_all_credentials() == [
            CredentialItem("GITHUB_TOKEN", MASK, None, True, "api_keys", "for pushing")
        ]
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_2"


async def test_saving_metadata_keeps_the_value(either: str) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1", category="api_keys")
    assert await service.update_metadata("GITHUB_TOKEN", description="new words")
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_1"
    assert (await service.list_all_credentials())[0].description == "new words"
    assert (await service.list_all_credentials())[0].category == "api_keys"


async def test_the_mask_is_never_saved(either: str) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1")
    assert await service.set_credential("GITHUB_TOKEN", MASK) is False
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_1"


async def test_lists_and_categories_hold_no_secret(either: str) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1", category="api_keys", description="d")
    await service.set_credential("ANTHROPIC_API_KEY", "", is_encrypted=True, category="api_keys")
    await service.set_credential("THEME", "dark", category="features")
    listed = {item.key: item.value for item in await service.list_all_credentials()}
    assert listed == {"GITHUB_TOKEN": MASK, "ANTHROPIC_API_KEY": None, "THEME": "dark"}
    assert await service.get_credentials_by_category("api_keys") == {
        "GITHUB_TOKEN": {"value": MASK, "is_encrypted": True, "description": "d"},
        "ANTHROPIC_API_KEY": {"value": MASK, "is_encrypted": True, "description": None},
    }
    assert await service.get_credentials_by_category("features") == {"THEME": "dark"}


async def test_a_secret_that_becomes_plain_leaves_no_sealed_rest_and_the_other_way_round(either: str) -> None:
    service = CredentialService()
    await service.set_credential("SOME", "one", is_encrypted=True)
    await service.set_credential("SOME", "two")
    assert await service.get_encrypted_credential_raw("SOME") is None
    assert await CredentialService().get_credential("SOME") == "two"
    await service.set_credential("SOME", "three", is_encrypted=True)
    assert "SOME" not in CredentialService().get_config_as_env_dict()
    assert (await CredentialService().load_all_credentials())["SOME"]["value"] is None


async def test_deleting_is_seen_at_once_and_twice_is_no_error(either: str) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1")
    assert await service.delete_credential("GITHUB_TOKEN") is True
    assert await service.get_credential("GITHUB_TOKEN", "gone") == "gone"
    assert await service.delete_credential("GITHUB_TOKEN") is True


async def test_a_change_of_another_server_arrives_within_five_seconds(either: str) -> None:
    clock = Clock()
    ours, theirs = CredentialService(clock=clock), CredentialService()
    await ours.set_credential("GITHUB_TOKEN", "ghp_1")
    assert await ours.get_credential("GITHUB_TOKEN") == "ghp_1"
    await theirs.set_credential("GITHUB_TOKEN", "ghp_2")
    assert await ours.get_credential("GITHUB_TOKEN") == "ghp_1"
    clock.now += 5
    assert await ours.get_credential("GITHUB_TOKEN") == "ghp_2"
    await theirs.delete_credential("GITHUB_TOKEN")
    clock.now += 5
    assert await ours.get_credential("GITHUB_TOKEN") is None


async def test_a_secret_nobody_can_open_is_an_error_and_not_the_default(
    either: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "the key that will be lost")
    await CredentialService().set_credential("GITHUB_TOKEN", "ghp_1")
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "another key altogether")
    with pytest.raises(CredentialUndecryptable) as caught:
        await CredentialService().get_credential("GITHUB_TOKEN", "default")
    assert "GITHUB_TOKEN" in caught.value.message
    assert "ARCHON_ENCRYPTION_KEY_PREVIOUS" in caught.value.next_action
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY_PREVIOUS", "wrong, the key that will be lost")
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_1"


async def test_no_log_line_holds_a_value(either: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_very_secret")
    await service.get_credential("GITHUB_TOKEN")
    await service.set_credential("GITHUB_TOKEN", MASK)
    assert "ghp_very_secret" not in caplog.text


# Over the table alone


async def test_the_public_servers_secret_is_read_and_ours_is_read_by_it(database: PretendDatabase) -> None:
    database.put("GITHUB_TOKEN", encrypted_value=independent_seal("ghp_theirs", service_key()), is_encrypted=True)
    service = CredentialService()
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_theirs"
    await service.set_credential("GITHUB_TOKEN", "ghp_ours")
    row = database.settings["GITHUB_TOKEN"]
    assert row["value"] is None
    assert independent_open(row["encrypted_value"], service_key()) == "ghp_ours"


async def test_a_placeholder_row_gives_the_default(database: PretendDatabase) -> None:
    database.put("ANTHROPIC_API_KEY", is_encrypted=True)
    database.put("EMPTY")
    service = CredentialService()
    assert await service.get_credential("ANTHROPIC_API_KEY", "default") == "default"
    assert await service.get_credential("EMPTY", "default") == "default"


async def test_a_save_that_the_database_refuses_changes_nothing(
    database: PretendDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_before")
    await service.get_credential("GITHUB_TOKEN")
    database.refuse()
    assert await service.set_credential("GITHUB_TOKEN", "ghp_after") is False
    assert await service.delete_credential("GITHUB_TOKEN") is False
    database.fail_with = None
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_before"
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_before"
    # Postgres quotes the failing row in its details.
    assert "Failing row" not in caplog.text


async def test_while_the_database_is_away_the_last_known_values_stay_in_use(database: PretendDatabase) -> None:
    clock = Clock()
    service = CredentialService(clock=clock)
    await service.set_credential("GITHUB_TOKEN", "ghp_1")
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_1"
    database.stop()
    clock.now += 60
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_1"
    with pytest.raises(CredentialStoreUnavailable):
        await service.load_all_credentials()


async def test_a_first_read_without_a_database_is_an_error_with_a_next_action(database: PretendDatabase) -> None:
    database.stop()
    with pytest.raises(CredentialStoreUnavailable) as caught:
        await CredentialService().get_credential("GITHUB_TOKEN", "default")
    assert "Supabase" in caught.value.next_action


async def test_a_missing_table_names_the_migration(database: PretendDatabase) -> None:
    del database.tables["archon_settings"]
    with pytest.raises(CredentialTableMissing) as caught:
        await CredentialService().load_all_credentials()
    assert "awo_setup.sql" in caught.value.next_action


async def test_a_key_that_the_client_refuses_is_an_error_with_a_next_action(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", "")
    with pytest.raises(CredentialStoreUnavailable) as caught:
        await CredentialService().load_all_credentials()
    assert "SUPABASE_SERVICE_KEY" in caught.value.next_action


async def test_a_slow_database_blocks_neither_the_loop_nor_those_who_know_a_value(database: PretendDatabase) -> None:
    clock = Clock()
    service = CredentialService(clock=clock)
    await service.set_credential("PLAIN", "known")
    await service.load_all_credentials()
    database.hold, database.held = threading.Event(), threading.Event()
    clock.now += 60
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(service.get_credential, "PLAIN")
            await to_thread.run_sync(database.held.wait)
            # The refresh is stuck in the database now; the loop turns, and others are answered.
            with anyio.fail_after(5):
                assert await service.get_credential("PLAIN") == "known"
            database.hold.set()
    finally:
        database.hold.set()


async def test_the_service_moves_to_another_store_with_the_environment(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = CredentialService()
    await service.set_credential("WHERE", "table")
    await service.load_all_credentials()
    monkeypatch.delenv("SUPABASE_URL")
    assert await service.get_credential("WHERE", "not here") == "not here"


# The names that Archon's modules import


async def test_the_module_has_archons_functions(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await module.set_credential("LOGFIRE_ENABLED", "false")
    assert await module.set_credential("OTHER", "x")
    assert await module.set_credential("GITHUB_TOKEN", "ghp_1")
    assert await module.get_credential("OTHER") == "x"
    monkeypatch.setenv("OTHER", "unset me")
    monkeypatch.delenv("OTHER")
    monkeypatch.setenv("LOGFIRE_ENABLED", "unset me")
    monkeypatch.delenv("LOGFIRE_ENABLED")
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    await module.initialize_credentials()
    assert os.environ["LOGFIRE_ENABLED"] == "false"
    assert "OTHER" not in os.environ
    assert "GITHUB_TOKEN" not in os.environ


async def test_the_synchronous_halves_are_there_too(home: Path) -> None:
    service = CredentialService()
    assert service._decrypt_value(service._encrypt_value("x")) == "x"
    assert service._encrypt_value("") == ""
    assert service._decrypt_value("") == ""
    assert len(service._get_encryption_key()) == 44
    with pytest.raises(ValueError, match="SUPABASE_URL"):
        service._get_supabase_client()
