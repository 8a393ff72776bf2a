"""What can go wrong with credentials, each with what a person can do next. No text here ever holds a value."""


class CredentialError(Exception):
    """Root of the tree. `message` is one sentence, and so is `next_action`."""

    next_action = "Look at the server's log for the cause."

    def __init__(self, message: str, *, next_action: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if next_action is not None:
            self.next_action = next_action


class CredentialUndecryptable(CredentialError):
    """A secret is stored, and no key that this server has opens it. It is not the same as having no secret."""

    next_action = (
        "Give the key it was saved under back (the former ARCHON_ENCRYPTION_KEY or SUPABASE_SERVICE_KEY in "
        "ARCHON_ENCRYPTION_KEY_PREVIOUS, or the file credentials/.key from a backup), or save the secret again."
    )


class CredentialStoreUnavailable(CredentialError):
    """The place where credentials are kept cannot be read or written right now."""

    next_action = "Check that Supabase is reachable and try again."


class CredentialTableMissing(CredentialStoreUnavailable):
    """The database answers, and has no `archon_settings`."""

    next_action = "Run migration/awo_setup.sql in the Supabase SQL editor."
