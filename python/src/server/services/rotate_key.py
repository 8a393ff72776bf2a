"""`python -m src.server.services.rotate_key`: re-encrypt every stored secret under the current key, and prove it.

Safe beside running servers and safe to repeat: a secret is replaced only if it is still the one that was read, and it
is opened again before it is written. Nothing is changed if any secret cannot be opened. Prints names, never values.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ..config.config import ConfigurationError, archon_home, get_config, is_embedded
from . import credential_cipher as cipher
from .client_manager import get_supabase_client
from .credential_errors import CredentialError, CredentialUndecryptable
from .credential_files import CredentialFiles, new_passphrase
from .credential_row import CredentialStore, environment_passphrases
from .credential_table import CredentialTable

# A server that still writes under the old key can be faster than us a few times, not for ever.
_ROUNDS = 5


@dataclass(frozen=True)
class Rotation:
    """What was found and done. `unreadable` and `left` hold names: a rotation has succeeded when both are empty."""

    secrets: int
    rewritten: int
    unreadable: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 if every secret is under the current key, or, with --dry-run, if all of them can be opened."""
    parser = argparse.ArgumentParser(prog="python -m src.server.services.rotate_key", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and change nothing")
    parser.add_argument(
        "--new-key",
        action="store_true",
        help="embedded mode: make a new key file first and drop the old key afterwards",
    )
    options = parser.parse_args(arguments)
    try:
        get_config()
        if options.new_key and (not is_embedded() or environment_passphrases().current):
            _complain("--new-key replaces the key file, which is not in use: set a new ARCHON_ENCRYPTION_KEY instead.")
            return 1
        if options.new_key and not options.dry_run:
            rotation = replace_key_file(CredentialFiles(archon_home() / "credentials"))
        else:
            rotation = rotate(_store(), dry_run=options.dry_run)
    except ConfigurationError as error:
        _complain(str(error))
        return 1
    except CredentialError as error:
        _complain(f"{error.message} {error.next_action}")
        return 1
    return _report(rotation, dry_run=options.dry_run, new_key=options.new_key)


def rotate(store: CredentialStore, *, dry_run: bool = False) -> Rotation:
    """Bring every secret of `store` under its first passphrase."""
    if dry_run:
        return _rotate(store, dry_run=True)
    with store.exclusive():
        return _rotate(store, dry_run=False)


def replace_key_file(store: CredentialFiles) -> Rotation:
    """Embedded mode: a new key in front of the old one, everything under it, and only then the old one away.

    Cut off at any point, both keys are still there and a second run finishes the work.
    """
    with store.exclusive():
        before = _rotate(store, dry_run=True)
        if before.unreadable:
            return before
        store.write_key_file([new_passphrase(), *store.key_file_passphrases()])
        rotation = _rotate(store, dry_run=False)
        if not rotation.unreadable and not rotation.left:
            store.write_key_file(store.key_file_passphrases()[:1])
        return rotation


def _rotate(store: CredentialStore, *, dry_run: bool) -> Rotation:
    passphrases = store.passphrases(create=not dry_run)
    rewritten = 0
    for _ in range(_ROUNDS):
        stored = _secrets(store)
        unreadable = tuple(key for key, text in stored.items() if not _opens(text, passphrases))
        if unreadable:
            return Rotation(len(stored), rewritten, unreadable)
        behind = {key: text for key, text in stored.items() if not cipher.is_under(text, passphrases[0])}
        if not behind:
            return Rotation(len(stored), rewritten)
        if dry_run:
            return Rotation(len(stored), len(behind))
        for key, old in behind.items():
            value = cipher.decrypt(old, passphrases)
            new = cipher.encrypt(value, passphrases)
            if cipher.decrypt(new, passphrases[:1]) != value:
                raise CredentialUndecryptable(f"The new form of {key} does not open to its value; it was not saved.")
            rewritten += store.replace_secret(key, old, new)
    # The last word has the store, not what was meant to be written.
    stored = _secrets(store)
    left = tuple(key for key, text in stored.items() if not cipher.is_under(text, passphrases[0]))
    return Rotation(len(stored), rewritten, left=left)


def _secrets(store: CredentialStore) -> dict[str, str]:
    return {
        key: text
        for key, row in sorted(store.load().items())
        if row.get("is_encrypted") and (text := row.get("encrypted_value"))
    }


def _opens(text: str, passphrases: Sequence[str]) -> bool:
    try:
        cipher.decrypt(text, passphrases)
    except CredentialUndecryptable:
        return False
    return True


def _store() -> CredentialStore:
    if is_embedded():
        return CredentialFiles(archon_home() / "credentials")
    clients = [get_supabase_client()]

    def renew() -> None:
        clients[0] = get_supabase_client()

    return CredentialTable(lambda: clients[0], renew)


def _report(rotation: Rotation, *, dry_run: bool, new_key: bool) -> int:
    if rotation.unreadable:
        _complain(f"Nothing was changed: no key opens {', '.join(rotation.unreadable)}.")
        _complain(CredentialUndecryptable.next_action)
        return 1
    if dry_run:
        behind = rotation.secrets if new_key else rotation.rewritten
        _say(f"{rotation.secrets} secrets, all can be opened; {behind} would be re-encrypted. Nothing was changed.")
        return 0
    if rotation.left:
        _complain(f"Another server keeps saving under an old key: {', '.join(rotation.left)}.")
        _complain("Restart every server with the new key, then run this again.")
        return 1
    _say(f"Re-encrypted {rotation.rewritten}; all {rotation.secrets} secrets open with the current key alone.")
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
