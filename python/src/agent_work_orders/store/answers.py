"""What PostgREST and Postgres answer, in our words. Never repeats their text: details may hold a whole row."""

import re
from dataclasses import dataclass

from ..domain.errors import StoreUnavailable

# The files that a database must have seen for this code; a test holds the list to the files.
MIGRATIONS = (
    "awo-0.1.0/001_tables.sql",
    "awo-0.1.0/002_filing.sql",
    "awo-0.1.0/003_queue.sql",
    "awo-0.1.0/004_running.sql",
    "awo-0.1.0/005_reading.sql",
    "awo-0.1.0/006_settings.sql",
    "awo-0.1.0/007_repositories.sql",
    "awo-0.1.0/008_conversation.sql",
    "awo-0.1.0/009_retention.sql",
    "awo-0.1.0/010_import.sql",
    "awo-0.1.0/011_economy.sql",
    "awo-0.1.0/012_remarks.sql",
)

_TRY_AGAIN = "Try again in a few seconds; AWO's health names the cause if it lasts."
_CHECK_KEY = (
    "Set SUPABASE_SERVICE_KEY to the project's service key (service_role or sb_secret_…) and restart the server."
)


class Refusal(Exception):
    """A function of ours said no: `word` is its message, `detail` what goes with it.

    `repeated`: the answer to an earlier, equal call got lost; that one may have been carried out.
    """

    def __init__(self, word: str, detail: str) -> None:
        super().__init__(word)
        self.word, self.detail, self.repeated = word, detail, False


class SchemaMissing(Exception):
    """A table or function of ours is not there: the migration is missing or old, or PostgREST has not seen it yet."""


class Unexpected(Exception):
    """An answer that no version of ours explains: a bug. Holds a code and the function's name only."""


@dataclass(frozen=True)
class Trouble:
    """What an answer means. `passing`: the same call may be repeated, and it may well go through."""

    error: Exception
    passing: bool = False


# By the beginning of the code, the longest first.
_PASSING: tuple[tuple[str, str], ...] = (
    ("40001", "is busy"),
    ("40P01", "is busy"),
    ("55P03", "is busy"),
    ("57014", "took too long"),
    ("PGRST003", "is busy: all its connections are in use"),
    ("PGRST00", "cannot be reached by PostgREST"),
    ("08", "cannot be reached by PostgREST"),
    ("53", "is out of resources"),
    ("57P0", "is starting or stopping"),
    ("502", "does not answer: its gateway stands alone"),
    ("503", "does not answer: its gateway stands alone"),
    ("504", "does not answer: its gateway stands alone"),
    ("520", "does not answer: its gateway stands alone"),
)
_LASTING: tuple[tuple[str, str, str], ...] = (
    ("PGRST30", "refuses the key: it is wrong or has expired.", _CHECK_KEY),
    ("401", "refuses the key: it is wrong or has expired.", _CHECK_KEY),
    ("42501", "refuses the key: it is not a service key.", _CHECK_KEY),
    ("22023", "refuses the key: its role does not exist.", _CHECK_KEY),
    ("28", "refuses PostgREST's own login.", "Check the Supabase project's state in its dashboard."),
    ("25006", "is read-only: its disk may be full.", "Free space or enlarge the project's disk in its dashboard."),
    ("429", "refuses requests: there were too many.", _TRY_AGAIN),
)
_MISSING = re.compile(r"42P01|42883|PGRST202|PGRST205|404")


def trouble_of(function: str, code: str, message: str, details: str) -> Trouble:
    """What an error answer means; `code` is SQLSTATE, PostgREST's own, or the HTTP status where there is no other."""
    if code.startswith("PT"):
        return Trouble(Refusal(message, details))
    if not code:  # PostgREST lost its own connection in the middle of the call: there is no SQLSTATE of that
        return Trouble(
            StoreUnavailable("The database broke off while it answered.", next_action=_TRY_AGAIN), passing=True
        )
    if _MISSING.fullmatch(code):
        return Trouble(SchemaMissing(function))
    if code.startswith("PGRST30") and "3 parts" in message:
        return Trouble(
            StoreUnavailable(
                "The database refuses the key: this PostgREST has no gateway that knows sb_secret_ keys.",
                next_action="Set SUPABASE_SERVICE_KEY to the service_role key (three parts with dots between them).",
            )
        )
    for start, what in _PASSING:
        if code.startswith(start):
            return Trouble(StoreUnavailable(f"The database {what} ({code}).", next_action=_TRY_AGAIN), passing=True)
    for start, what, next_action in _LASTING:
        if code.startswith(start):
            return Trouble(StoreUnavailable(f"The database {what}", next_action=next_action))
    return Trouble(Unexpected(f"{function} was answered with {_plain(code)}"))


def unreachable(error: Exception) -> Trouble:
    """The connection failed, or ended before the answer came: the call may have been carried out all the same."""
    return Trouble(
        StoreUnavailable(
            f"The database cannot be reached ({type(error).__name__}).",
            next_action="Check that SUPABASE_URL is right and that the project runs; AWO goes on by itself.",
        ),
        passing=True,
    )


def migration_needed(version: int | None) -> StoreUnavailable:
    """Which file to run. `version` is the schema's own number, None where there is none at all."""
    if not version:
        what, files = "has no tables for Agent Work Orders", "migration/awo_setup.sql"
    elif version < len(MIGRATIONS):
        what = f"has an old schema for Agent Work Orders ({version} of {len(MIGRATIONS)} parts)"
        files = ", then ".join(f"migration/{name}" for name in MIGRATIONS[version:])
    else:
        # It is there, and PostgREST answers from what it knew before.
        what, files = "has the schema for Agent Work Orders, but PostgREST does not know it yet", ""
    action = f"Run {files} in Supabase's SQL editor" if files else "Run: notify pgrst, 'reload schema'"
    return StoreUnavailable(f"The database {what}.", next_action=f"{action}; AWO goes on by itself.")


def _plain(code: str) -> str:
    return code if re.fullmatch(r"[A-Za-z0-9]{1,12}", code) else "an unknown code"
