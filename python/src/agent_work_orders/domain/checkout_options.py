"""What an operator may put into a repository's checkouts: which variables, which files. Knows no disk, no process."""

import re
from pathlib import PurePosixPath

from .errors import FailureClass, FieldProblem, StepFailed
from .repository import RepositoryOptions

MAX_VALUE = 32 * 1024
MAX_FILE = 256 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z")
# What decides which program runs and as whom, what the server itself says, and credentials that agents must not hold.
_RESERVED = frozenset(
    {
        "PATH", "HOME", "TMPDIR", "SHELL", "USER", "LOGNAME", "PWD", "IFS", "ENV", "BASH_ENV", "CDPATH",
        "NODE_OPTIONS", "NODE_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PERL5LIB", "PERL5OPT", "RUBYOPT",
        "GLIBC_TUNABLES", "API_TIMEOUT_MS", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "SSH_AUTH_SOCK",
    }
)  # fmt: skip
_RESERVED_BEGINNINGS = (
    "GIT_", "LD_", "DYLD_", "ANTHROPIC_", "CLAUDE_", "AWO_", "ARCHON_", "SUPABASE_", "BASH_FUNC_", "SSL_CERT_",
    "NODE_EXTRA_CA_", "NODE_TLS_", "BUN_",
)  # fmt: skip
_RESERVED_DIRECTORIES = frozenset({".git", ".claude"})


def variable_problem(name: str, value: str) -> str | None:
    """What is wrong with an environment variable, or None. The value is never part of the answer."""
    if not _NAME.match(name):
        return "is no name for a variable: letters, digits and '_', not starting with a digit"
    upper = name.upper()
    # A proxy or a certificate decides who reads what is sent, credentials among it.
    if upper in _RESERVED or upper.startswith(_RESERVED_BEGINNINGS) or upper.endswith(("_PROXY", "_CA_BUNDLE")):
        return "is reserved: the server or its secrets use that name, or it decides which programs run"
    if "\0" in value or len(value) > MAX_VALUE:
        return f"has a value with a NUL or of more than {MAX_VALUE} characters"
    return None


def file_problem(path: str, text: str) -> str | None:
    """What is wrong with a file to place, or None. `path` is relative to the repository's top."""
    parts = PurePosixPath(path).parts
    if not parts or len(path) > 400 or path.startswith("/") or "\\" in path or path.endswith("/"):
        return "must be a path of at most 400 characters inside the repository"
    if any(part in ("..", ".") or not part.isprintable() for part in path.split("/")) or "//" in path:
        return "must be a plain path, without '..', '.' or control characters in it"
    if any(part.lower() in _RESERVED_DIRECTORIES for part in parts):
        return "must not be in .git or .claude"
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE:
        return f"must be a file of at most {MAX_FILE >> 10} kB"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "must be text"
    return None


def options_problems(options: RepositoryOptions) -> list[FieldProblem]:
    """All that is wrong with what an operator wants in a checkout."""
    found = [(f"environment.{name}", variable_problem(name, value)) for name, value in options.environment.items()]
    found += [(f"files.{path}", file_problem(path, text)) for path, text in options.files.items()]
    found += [(f"setup_inputs.{path}", file_problem(path, "")) for path in options.setup_inputs]
    return [FieldProblem(field, problem) for field, problem in found if problem]


def checked(options: RepositoryOptions) -> RepositoryOptions:
    """The same options; StepFailed (policy) when they cannot be used as they are."""
    if problems := options_problems(options):
        first = problems[0]
        raise StepFailed(
            FailureClass.POLICY,
            f"The repository's settings cannot be used: {first.field} {first.problem}.",
            next_action="Correct the settings of this repository, then retry the order.",
        )
    return options
