"""Embedded mode: the files, their modes, and that a file is replaced as a whole or not at all."""

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from src.server.services.credential_errors import CredentialStoreUnavailable, CredentialUndecryptable
from src.server.services.credential_files import CredentialFiles
from src.server.services.credential_service import CredentialService

from .conftest import is_made, make_unusable
from .test_credential_format import independent_open, independent_seal

pytestmark = pytest.mark.anyio


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def stored(home: Path, file: str) -> dict[str, Any]:
    rows: dict[str, Any] = json.loads((home / "credentials" / file).read_text())["credentials"]
    return rows


async def test_each_credential_lives_in_the_file_of_its_service(home: Path) -> None:
    service = CredentialService()
    for key in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "MAX_CONCURRENT"):
        assert await service.set_credential(key, f"value of {key}")
    assert set(stored(home, "github.json")) == {"GITHUB_TOKEN"}
    assert set(stored(home, "claude.json")) == {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"}
    assert set(stored(home, "archon.json")) == {"MAX_CONCURRENT"}


async def test_only_the_owner_can_read_the_directory_and_its_files(home: Path) -> None:
    previous = os.umask(0)
    try:
        await CredentialService().set_credential("GITHUB_TOKEN", "ghp_1")
    finally:
        os.umask(previous)
    assert mode(home / "credentials") == 0o700
    files = {path.name: mode(path) for path in (home / "credentials").iterdir()}
    assert files == {".key": 0o600, ".lock": 0o600, "github.json": 0o600}


async def test_modes_that_were_opened_are_closed_when_next_used(home: Path) -> None:
    await CredentialService().set_credential("GITHUB_TOKEN", "ghp_1")
    (home / "credentials").chmod(0o755)
    (home / "credentials" / ".key").chmod(0o644)
    (home / "credentials" / "github.json").chmod(0o644)
    service = CredentialService()
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_1"
    await service.set_credential("PLAIN", "x")
    assert mode(home / "credentials") == 0o700
    assert mode(home / "credentials" / ".key") == 0o600
    assert mode(home / "credentials" / "github.json") == 0o600


async def test_a_secret_is_in_no_file_in_clear_and_anyone_with_the_key_file_can_open_it(home: Path) -> None:
    await CredentialService().set_credential("GITHUB_TOKEN", "ghp_very_secret")
    for path in (home / "credentials").iterdir():
        assert "ghp_very_secret" not in path.read_text()
    key = (home / "credentials" / ".key").read_text().strip()
    assert independent_open(stored(home, "github.json")["GITHUB_TOKEN"]["encrypted_value"], key) == "ghp_very_secret"


async def test_with_an_encryption_key_no_key_file_is_made(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "a long enough passphrase")
    await CredentialService().set_credential("GITHUB_TOKEN", "ghp_1")
    assert not (home / "credentials" / ".key").exists()
    sealed = stored(home, "github.json")["GITHUB_TOKEN"]["encrypted_value"]
    assert independent_open(sealed, "a long enough passphrase") == "ghp_1"


async def test_what_the_key_file_sealed_is_read_after_an_encryption_key_came(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await CredentialService().set_credential("GITHUB_TOKEN", "ghp_old")
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "a long enough passphrase")
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_old"


async def test_reading_makes_nothing(home: Path) -> None:
    assert await CredentialService().get_credential("GITHUB_TOKEN", "none") == "none"
    assert not is_made(home)


async def test_a_failed_save_leaves_the_file_and_the_cache_as_they_were(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = CredentialService()
    await service.set_credential("GITHUB_TOKEN", "ghp_before")
    before = (home / "credentials" / "github.json").read_bytes()

    def disk_full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", disk_full)
        assert await service.set_credential("GITHUB_TOKEN", "ghp_after") is False
        assert await service.delete_credential("GITHUB_TOKEN") is False
        assert await service.update_metadata("GITHUB_TOKEN", description="new") is False
    assert (home / "credentials" / "github.json").read_bytes() == before
    assert await service.get_credential("GITHUB_TOKEN") == "ghp_before"
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_before"
    assert not list((home / "credentials").glob(".draft-*"))


async def test_a_rename_that_fails_leaves_no_draft(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = CredentialService()
    await service.set_credential("PLAIN", "before")

    def refused(self: Path, target: Path) -> Path:
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", refused)
        assert await service.set_credential("PLAIN", "after") is False
    assert stored(home, "archon.json")["PLAIN"]["value"] == "before"
    assert not list((home / "credentials").glob(".draft-*"))


async def test_writers_at_the_same_time_lose_nothing_and_make_one_key(home: Path) -> None:
    def save(number: int) -> None:
        import anyio

        # A service of its own each time, as in another process: the lock file is what they share.
        assert anyio.run(CredentialService().set_credential, f"GITHUB_TOKEN_{number}", f"ghp_{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, range(24)))
    service = CredentialService()
    for number in range(24):
        assert await service.get_credential(f"GITHUB_TOKEN_{number}") == f"ghp_{number}"
    assert len((home / "credentials" / ".key").read_text().split()) == 1


async def test_a_key_file_is_never_written_over(home: Path) -> None:
    files = CredentialFiles(home / "credentials")
    first = files.passphrases(create=True)
    files._create_key_file()  # as another process that saw no key a moment ago
    assert files.passphrases(create=True) == first
    assert not list((home / "credentials").glob(".draft-*"))


async def test_a_lost_key_file_is_an_error_that_says_what_to_do(home: Path) -> None:
    await CredentialService().set_credential("GITHUB_TOKEN", "ghp_1")
    (home / "credentials" / ".key").unlink()
    with pytest.raises(CredentialUndecryptable) as caught:
        await CredentialService().get_credential("GITHUB_TOKEN", "a default")
    assert "GITHUB_TOKEN" in caught.value.message
    assert ".key" in caught.value.next_action


@pytest.mark.parametrize("text", ["{", "[]", '{"version": 1}', '{"version": 9, "credentials": {}}', "\x00"])
async def test_a_file_that_is_no_credentials_file_is_named_and_not_overwritten(home: Path, text: str) -> None:
    (home / "credentials").mkdir(parents=True)
    path = home / "credentials" / "github.json"
    path.write_text(text)
    with pytest.raises(CredentialStoreUnavailable) as caught:
        await CredentialService().get_credential("GITHUB_TOKEN")
    assert str(path) in caught.value.message
    assert await CredentialService().set_credential("GITHUB_TOKEN", "ghp_1") is False
    assert path.read_text() == text


async def test_a_link_in_place_of_a_file_is_refused(home: Path, tmp_path: Path) -> None:
    (home / "credentials").mkdir(parents=True)
    (tmp_path / "elsewhere").write_text("{}")
    (home / "credentials" / "github.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CredentialStoreUnavailable):
        await CredentialService().get_credential("GITHUB_TOKEN")


async def test_a_home_that_cannot_be_made_is_named(home: Path) -> None:
    make_unusable(home)
    service = CredentialService()
    assert await service.set_credential("GITHUB_TOKEN", "ghp_1") is False
    with pytest.raises(CredentialStoreUnavailable) as caught:
        CredentialFiles(home / "credentials").passphrases(create=True)
    assert str(home) in caught.value.message
    assert "ls -ld" in caught.value.next_action


async def test_a_file_that_another_archon_sealed_is_read(home: Path) -> None:
    (home / "credentials").mkdir(parents=True)
    (home / "credentials" / ".key").write_text("the passphrase in the key file\n".replace(" ", "-"))
    row = {"encrypted_value": independent_seal("ghp_1", "the-passphrase-in-the-key-file"), "is_encrypted": True}
    document = {"version": 1, "credentials": {"GITHUB_TOKEN": row}}
    (home / "credentials" / "github.json").write_text(json.dumps(document))
    assert await CredentialService().get_credential("GITHUB_TOKEN") == "ghp_1"
