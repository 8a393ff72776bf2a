"""What git said, turned into one sentence and a next action for a person. Runs nothing and knows no tokens."""

import re

from ..domain.errors import DiskFull, FailureClass, StepFailed

_FULL = re.compile(r"No space left on device|Disk quota exceeded|Out of diskspace", re.IGNORECASE)
_PATTERNS: tuple[tuple[str, FailureClass, str, str], ...] = (
    (
        r"Authentication failed|could not read (Username|Password)|(error:|HTTP) 40[13]\b"
        r"|Invalid username or (token|password)|without .?workflow.? scope|Permission to \S+ denied",
        FailureClass.AUTH,
        "{host} did not accept the credential: {last}",
        "Check in the settings that the GitHub token is set, not expired, and may read and write this repository.",
    ),
    (
        r"repository '[^']*' not found|Repository not found|(error:|HTTP) 404\b|(error:|HTTP) 410\b",
        FailureClass.GIT,
        "The repository was not found on {host}.",
        "Check the address, that the repository still exists, and that the GitHub token may see it.",
    ),
    (
        r"SSL certificate|certificate verif|server certificate",
        FailureClass.NETWORK,
        "The certificate of {host} could not be verified: {last}",
        "Give the server the certificate authority of that host (SSL_CERT_FILE), then retry the order.",
    ),
    (
        r"Could not resolve|Failed to connect|Couldn't connect|Connection (refused|reset|timed out)|timed out|too slow"
        r"|(error:|HTTP) (429|5\d\d)\b|early EOF|unexpected disconnect|hung up unexpectedly|transfer closed|curl \d+"
        r"|Empty reply|Network is unreachable|gnutls|SSL_|Recv failure|Send failure",
        FailureClass.NETWORK,
        "{host} could not be reached: {last}",
        "Check the network and the host's status page, then retry the order.",
    ),
    (
        r"transport '\w+' not allowed",
        FailureClass.POLICY,
        "The repository is not served over an allowed protocol: {last}",
        "Use an https address; plain http is only for hosts listed in AWO_INSECURE_REPOSITORY_HOSTS.",
    ),
)

_DAMAGE = re.compile(
    r"is corrupt|\bcorrupted\b|object file .* is empty|unable to (read|parse|unpack|map|find)\b|inflate:"
    r"|incorrect (data|header) check|(bad|invalid) (object|tree|blob|signature|index file|config line|sha1|ref\b)"
    r"|could not (read|parse) (?!Username|Password|from remote)|not a git repository|Not a valid object name"
    r"|does not match (index|its hash|packfile)|(sha1|hash) mismatch|unexpected line in|reference broken"
    r"|(missing|broken|unresolved) (blob|tree|commit|object|link|ref|delta)|unable to resolve reference"
    r"|failed to (read|unpack|traverse)|did not receive expected object|error building trees"
    r"|object directory .* does not exist|(index|pack)(file)? \S+ (is|has|claims|cannot be|index unavailable|too)",
    re.IGNORECASE,
)


class Damaged(StepFailed):
    """git stumbled over its own files: the mirror may be damaged. Whoever owns the mirror looks, mends and repeats."""


class Moved(StepFailed):
    """The remote redirects. Nothing was asked of the address that it named."""


def smells_of_damage(stderr: str) -> bool:
    """Whether git's words are such as it has for files that are not as it wrote them. The remote's own do not count."""
    return any(_DAMAGE.search(line) for line in stderr.splitlines() if not line.startswith("remote:"))


def failure(command: str, exit_code: int, stderr: str, host: str) -> StepFailed:
    """The StepFailed for a git command that ended badly; `stderr` must be free of secrets already."""
    if _FULL.search(stderr):
        return DiskFull()
    last = _last(stderr) or f"exit code {exit_code}"
    if re.search(r"(error:|HTTP) 30[12378]\b|unable to update url base from redirection", stderr, re.IGNORECASE):
        return moved("another address")
    for pattern, failure_class, sentence, next_action in _PATTERNS:
        if re.search(pattern, stderr, re.IGNORECASE):
            text = sentence.format(host=host or "The host", last=last)
            return StepFailed(failure_class, _sentence(text), next_action=next_action)
    if smells_of_damage(stderr):
        return damaged(last)
    # Without a remote there is nothing but the mirror and the disk that could be at fault.
    return (StepFailed if host else Damaged)(
        FailureClass.GIT,
        _sentence(f"git {command} failed: {last}"),
        next_action="Read the message; if it does not name a cause in the repository itself, retry the order.",
    )


def moved(where: str) -> Moved:
    return Moved(
        FailureClass.GIT,
        f"The repository has moved to {where}.",
        next_action="File the work order with the repository's new address.",
    )


def damaged(reason: str) -> Damaged:
    return Damaged(
        FailureClass.GIT,
        _sentence(f"The server's copy of the repository seems to be damaged: {reason}"),
        next_action="Retry the order. If it happens again, look at the disk, and at the server's log.",
    )


def refusal_of(porcelain: bytes) -> str | None:
    """The reason in a line `!<tab>from:to<tab>[rejected] (reason)` of `push --porcelain`."""
    for line in porcelain.decode("utf-8", "replace").splitlines():
        if line.startswith("!"):
            return line.split("\t")[-1]
    return None


def rejected(reason: str, stderr: str, what: str = "branch") -> StepFailed:
    """The StepFailed for a push that the remote refused, in the remote's own words where it has any."""
    said = [line.removeprefix("remote:").strip() for line in stderr.splitlines() if line.startswith("remote:")]
    words = " ".join(line for line in said if line.strip("- ")) or reason
    if re.search(r"without .?workflow.? scope", f"{words} {reason}"):
        return failure("push", 1, f"{words} {reason}", "The remote")
    reasons = reason if words == reason else f"{reason}: {words}"
    return StepFailed(
        FailureClass.CONFLICT,
        _sentence(f"The remote refused the {what}: {reasons}"),
        next_action="Mend what the remote names (a branch of that name, a protection rule, a hook), then retry.",
    )


def timed_out(command: str, seconds: float, host: str) -> StepFailed:
    if host:
        return StepFailed(
            FailureClass.NETWORK,
            f"git {command} from {host} did not end within {seconds:.0f} s.",
            next_action="Check the network and the size of the repository, then retry the order.",
        )
    return StepFailed(
        FailureClass.GIT,
        f"git {command} did not end within {seconds:.0f} s.",
        next_action="Check the load of the server and the size of the repository, then retry the order.",
    )


def refused(message: str, next_action: str) -> StepFailed:
    return StepFailed(FailureClass.GIT, _sentence(message), next_action=next_action)


def _last(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(fatal|error|remote):", line)]
    fatal = [line for line in lines if line.startswith("fatal:")]
    return re.sub(r"^(fatal|error|remote): *", "", (fatal or telling or lines or [""])[-1])


def _sentence(text: str) -> str:
    """One line of printable text, at most 400 characters: parts of it come from a server that nobody vouches for."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    line = line if len(line) <= 400 else line[:399] + "…"
    return line if line.endswith((".", "…", "!", "?")) else line + "."
