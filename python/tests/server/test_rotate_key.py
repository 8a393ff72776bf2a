"""Rotation: everything under the new key, proved, or nothing at all."""

from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from src.server.services import rotate_key
from src.server.services.credential_cipher import is_under
from src.server.services.credential_service import CredentialService

from .conftest import is_made, service_key
from .pretend_database import PretendDatabase
from .test_credential_format import independent_open, independent_seal

pytestmark = pytest.mark.anyio

NEW = "the new passphrase, long enough"


def put_secrets(database: PretendDatabase, count: int = 3) -> None:
    for number in range(count):
        sealed = independent_seal(f"value {number}", service_key())
        database.put(f"SECRET_{number}", encrypted_value=sealed, is_encrypted=True, category="api_keys")
    database.put("PLAIN", value="plain")
    database.put("PLACEHOLDER", is_encrypted=True)


async def run(*arguments: str) -> int:
    return await to_thread.run_sync(rotate_key.main, arguments)


async def test_everything_is_re_encrypted_and_proved(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secrets(database)
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)
    assert await run() == 0
    assert "Re-encrypted 3; all 3 secrets" in capsys.readouterr().out
    for number in range(3):
        row = database.settings[f"SECRET_{number}"]
        assert independent_open(row["encrypted_value"], NEW) == f"value {number}"
        assert row["category"] == "api_keys"
    assert database.settings["PLAIN"]["value"] == "plain"
    assert await run() == 0
    assert "Re-encrypted 0" in capsys.readouterr().out


async def test_a_long_secret_is_rotated_and_no_stored_form_stands_in_a_url(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = independent_seal("x" * 60_000, service_key())
    database.put("LONG", encrypted_value=sealed, is_encrypted=True)
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)
    assert await run() == 0
    assert independent_open(database.settings["LONG"]["encrypted_value"], NEW) == "x" * 60_000
    assert all(sealed[:100] not in url for url in database.urls)


async def test_a_dry_run_changes_nothing(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secrets(database)
    before = [dict(row) for row in database.tables["archon_settings"]]
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)
    assert await run("--dry-run") == 0
    assert "3 would be re-encrypted" in capsys.readouterr().out
    assert database.tables["archon_settings"] == before


async def test_one_secret_that_cannot_be_opened_stops_it_before_anything_changes(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secrets(database)
    database.put("LOST", encrypted_value=independent_seal("x", "a key nobody has"), is_encrypted=True)
    before = [dict(row) for row in database.tables["archon_settings"]]
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)
    assert await run() == 1
    said = capsys.readouterr().err
    assert "LOST" in said
    assert "ARCHON_ENCRYPTION_KEY_PREVIOUS" in said
    assert database.tables["archon_settings"] == before


async def test_a_secret_saved_in_the_meantime_is_not_overwritten_with_the_older_value(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_secrets(database)
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)

    def save_once() -> None:
        database.before_update = lambda: None
        database.put("SECRET_0", encrypted_value=independent_seal("newer", service_key()), is_encrypted=True)

    database.before_update = save_once
    assert await run() == 0
    assert independent_open(database.settings["SECRET_0"]["encrypted_value"], NEW) == "newer"


async def test_a_server_that_keeps_saving_under_the_old_key_is_reported(
    database: PretendDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put_secrets(database, 1)
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)

    def save_again() -> None:
        database.put("SECRET_0", encrypted_value=independent_seal("again", service_key()), is_encrypted=True)

    database.before_update = save_again
    assert await run() == 1
    assert "SECRET_0" in capsys.readouterr().err
    assert independent_open(database.settings["SECRET_0"]["encrypted_value"], service_key()) == "again"


async def test_a_new_key_file_takes_the_place_of_the_old_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1")
    await service.set_credential("ANTHROPIC_API_KEY", "sk-ant-1")
    key_file = home / "credentials" / ".key"
    old = key_file.read_text().strip()
    assert await run("--new-key") == 0
    assert "Re-encrypted 2; all 2 secrets" in capsys.readouterr().out
    new = key_file.read_text().split()
    assert len(new) == 1
    assert new != [old]
    # The running service still has the old form in its cache.
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_1"
    sealed = await CredentialService().get_encrypted_credential_raw("ANTHROPIC_API_KEY")
    assert sealed is not None
    assert is_under(sealed, new[0])
    assert not is_under(sealed, old)
    assert "ghp_1" not in capsys.readouterr().out


async def test_a_rotation_that_was_cut_off_is_finished_by_the_next(home: Path) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_1")
    key_file = home / "credentials" / ".key"
    # Cut off after the new key was put in front and before anything was re-encrypted.
    key_file.write_text(f"half-way-key-half-way\n{key_file.read_text()}")
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_1"
    assert await run("--new-key") == 0
    assert len(key_file.read_text().split()) == 1
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_1"


async def test_rotating_under_load_loses_no_secret(home: Path) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_0")
    saved: list[str] = []
    read: list[Any] = []
    stop = anyio.Event()

    async def save() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            assert await service.set_credential("GITHUB_TOKEN", f"ghp_{number}")
            saved.append(f"ghp_{number}")

    async def look() -> None:
        other = CredentialService(ttl=0)
        while not stop.is_set():
            read.append(await other.get_credential("GITHUB_TOKEN", "lost"))

    async with anyio.create_task_group() as group:
        group.start_soon(save)
        group.start_soon(look)
        for _ in range(3):
            assert await run("--new-key") == 0
        stop.set()
    assert await CredentialService().get_credential("GITHUB_TOKEN") == saved[-1]
    assert "lost" not in read


async def test_a_new_key_file_is_refused_where_the_environment_has_the_key(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", NEW)
    assert await run("--new-key") == 1
    assert "ARCHON_ENCRYPTION_KEY" in capsys.readouterr().err


async def test_an_empty_home_is_no_error_and_stays_empty_in_a_dry_run(home: Path) -> None:
    assert await run("--dry-run") == 0
    assert not is_made(home)


async def test_a_database_that_is_away_is_one_sentence(
    database: PretendDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    database.stop()
    assert await run() == 1
    assert "did not answer" in capsys.readouterr().err
