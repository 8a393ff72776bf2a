"""The format at rest, against a few independent lines that follow its description."""

import base64
import hashlib

import pytest
from cryptography.fernet import Fernet

from src.server.services import credential_cipher as cipher
from src.server.services.credential_errors import CredentialUndecryptable

PASSPHRASE = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2ln"


def independent_fernet(passphrase: str) -> Fernet:
    raw = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), b"static_salt_for_credentials", 100_000, 32)
    return Fernet(base64.urlsafe_b64encode(raw))


def independent_seal(value: str, passphrase: str = PASSPHRASE) -> str:
    return base64.urlsafe_b64encode(independent_fernet(passphrase).encrypt(value.encode())).decode()


def independent_open(stored: str, passphrase: str = PASSPHRASE) -> str:
    return independent_fernet(passphrase).decrypt(base64.urlsafe_b64decode(stored)).decode()


@pytest.mark.parametrize("value", ["ghp_plain", "with spaces\nand lines", "naïve ✓ 日本語", "x" * 20_000])
def test_what_another_archon_wrote_is_read_and_what_we_write_another_reads(value: str) -> None:
    assert cipher.decrypt(independent_seal(value), [PASSPHRASE]) == value
    assert independent_open(cipher.encrypt(value, [PASSPHRASE])) == value


def test_a_stored_secret_looks_like_a_fernet_token_in_base64() -> None:
    assert cipher.encrypt("anything", [PASSPHRASE]).startswith("Z0FBQUFBQ")


def test_a_secret_sealed_long_ago_is_still_read() -> None:
    """A constant, so that a change of salt, rounds or wrapping cannot slip through both sides at once."""
    stored = (
        "Z0FBQUFBQnJBeGtGWlNIeWN6LVQ1MWhva3Y2U3FielkwRTN1dG15REFPZGk1aHc0SG03RnlVUjZjaGNS"
        "OU9YNzJtWWVYQmh0eEdaOER2SS1oZXU2RWQwQ1hoRUhWcVJ6V3RUYldIQkJaek5YVGs3ZElILXdobEE9"
    )
    assert cipher.decrypt(stored, ["default-key-for-development"]) == "a secret of an earlier server"


def test_the_first_passphrase_writes_and_all_of_them_read() -> None:
    written = cipher.encrypt("new", ["the new passphrase", PASSPHRASE])
    assert independent_open(written, "the new passphrase") == "new"
    assert cipher.decrypt(independent_seal("old"), ["the new passphrase", PASSPHRASE]) == "old"
    assert cipher.is_under(written, "the new passphrase")
    assert not cipher.is_under(written, PASSPHRASE)


@pytest.mark.parametrize("stored", ["not base64 at all!", "", "Z0FBQUFBQ", "ünïcode", "Zm9v"])
def test_what_is_not_in_the_format_is_an_error_with_a_next_action(stored: str) -> None:
    with pytest.raises(CredentialUndecryptable) as caught:
        cipher.decrypt(stored, [PASSPHRASE])
    assert caught.value.next_action
    assert caught.value.__cause__ is None


def test_the_wrong_key_is_an_error_and_so_is_having_none() -> None:
    stored = independent_seal("secret")
    for passphrases in (["another passphrase"], []):
        with pytest.raises(CredentialUndecryptable):
            cipher.decrypt(stored, passphrases)
