"""Archon's format for secrets at rest: a Fernet token, base64-encoded once more. Knows nothing of where they are kept.

Every key is derived in the same way from a passphrase; the first passphrase of a list writes, all of them read.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from .credential_errors import CredentialUndecryptable

# Fixed by the format: other values make secrets that an Archon server cannot read.
_SALT = b"static_salt_for_credentials"
_ITERATIONS = 100_000
_KEY_BYTES = 32


@lru_cache(maxsize=32)
def derive_key(passphrase: str) -> bytes:
    """The Fernet key of a passphrase. Takes tens of milliseconds the first time: call it off the event loop."""
    digest = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), _SALT, _ITERATIONS, _KEY_BYTES)
    return base64.urlsafe_b64encode(digest)


def encrypt(value: str, passphrases: Sequence[str]) -> str:
    """The stored form of `value`, under the first passphrase."""
    return base64.urlsafe_b64encode(Fernet(derive_key(passphrases[0])).encrypt(value.encode())).decode()


def decrypt(stored: str, passphrases: Sequence[str]) -> str:
    """The value behind a stored form.

    Raises:
        CredentialUndecryptable: none of the passphrases opens it, or it is not in the format at all.
    """
    try:
        token = base64.urlsafe_b64decode(stored.encode())
        return MultiFernet([Fernet(derive_key(passphrase)) for passphrase in passphrases]).decrypt(token).decode()
    except (InvalidToken, binascii.Error, ValueError, TypeError):
        # Without the cause: its text could quote what was being read.
        raise CredentialUndecryptable("The stored secret cannot be decrypted with any key of this server.") from None


def is_under(stored: str, passphrase: str) -> bool:
    """Whether this one passphrase opens a stored form."""
    try:
        decrypt(stored, [passphrase])
    except CredentialUndecryptable:
        return False
    return True
