"""The forge against GitHub's wire: what it asks, what it makes of each answer, and what it never does."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from src.agent_work_orders.domain.errors import FailureClass, MustWait, StepFailed
from src.agent_work_orders.domain.repository import Repository
from src.agent_work_orders.domain.status import WaitingReason
from src.agent_work_orders.forge import GitHubForge, RepositoryInfo
from src.agent_work_orders.ports import Issue, PullRequest

pytestmark = pytest.mark.anyio

API = "https://api.github.com"
TOKEN = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
REPOSITORY = Repository("https://github.com/octo/tools", "github.com", "octo", "tools")
REPO = {
    "default_branch": "trunk",
    "private": True,
    "permissions": {"push": True, "pull": True},
    "owner": {"login": "octo"},
}
PULL = {"html_url": "https://github.com/octo/tools/pull/7", "number": 7, "head": {"ref": "awo/1-x"}}
OPENED = PullRequest("https://github.com/octo/tools/pull/7", 7, created=True)
FOUND = PullRequest("https://github.com/octo/tools/pull/7", 7, created=False)


def forge(api: str = API, token: str | None = TOKEN, **options: Any) -> GitHubForge:
    async def get_token(repository: Repository) -> str | None:
        return token

    options = {"now": lambda: NOW, "backoff": (timedelta(0), timedelta(0)), **options}
    return GitHubForge(lambda: api, get_token, **options)


@pytest.fixture
def wire() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=API, assert_all_called=True) as router:
        yield router


async def open_it(which: GitHubForge) -> PullRequest:
    return await which.open_pull_request(REPOSITORY, branch="awo/1-x", base="trunk", title="A title", body="Words")


async def failure_of(which: GitHubForge) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        await which.repository(REPOSITORY)
    assert TOKEN not in caught.value.message + caught.value.next_action
    assert caught.value.next_action
    return caught.value


async def test_a_repository_is_read_with_the_token_and_the_version(wire: respx.MockRouter) -> None:
    route = wire.get("/repos/octo/tools").respond(json=REPO)
    assert await forge().repository(REPOSITORY) == RepositoryInfo("trunk", private=True, can_push=True)
    headers = route.calls.last.request.headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-github-api-version"] == "2022-11-28"
    assert headers["accept"] == "application/vnd.github+json"


async def test_a_public_repository_is_read_without_a_token(wire: respx.MockRouter) -> None:
    route = wire.get("/repos/octo/tools").respond(json={"default_branch": "main"})
    assert await forge(token=None).repository(REPOSITORY) == RepositoryInfo("main", private=False, can_push=None)
    assert "authorization" not in route.calls.last.request.headers


async def test_an_enterprise_server_is_its_base_address() -> None:
    with respx.mock() as wire:
        wire.get("https://ghe.corp.example/api/v3/repos/octo/tools").respond(json=REPO)
        found = await forge("https://ghe.corp.example/api/v3").repository(REPOSITORY)
    assert found.default_branch == "trunk"


async def test_an_issue_is_read_with_its_text(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/issues/5").respond(
        json={"number": 5, "title": "Broken", "body": None, "html_url": "https://github.com/octo/tools/issues/5"}
    )
    assert await forge().issue(REPOSITORY, 5) == Issue(5, "Broken", "", "https://github.com/octo/tools/issues/5")


@pytest.mark.parametrize("status", [404, 410])
async def test_a_missing_issue_is_told_from_a_missing_repository(wire: respx.MockRouter, status: int) -> None:
    wire.get("/repos/octo/tools/issues/5").respond(status, json={"message": "Not Found"})
    wire.get("/repos/octo/tools").respond(json=REPO)
    with pytest.raises(StepFailed, match="no issue 5") as caught:
        await forge().issue(REPOSITORY, 5)
    assert caught.value.failure_class is FailureClass.CONFLICT


async def test_an_issue_of_an_invisible_repository_is_a_matter_of_rights(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/issues/5").respond(404)
    wire.get("/repos/octo/tools").respond(404)
    with pytest.raises(StepFailed, match="no repository octo/tools") as caught:
        await forge().issue(REPOSITORY, 5)
    assert caught.value.failure_class is FailureClass.AUTH


# --- pull requests ---


async def test_a_pull_request_is_opened_after_looking_for_one(wire: respx.MockRouter) -> None:
    looked = wire.get("/repos/octo/tools/pulls").respond(json=[])
    made = wire.post("/repos/octo/tools/pulls").respond(201, json=PULL)
    assert await open_it(forge()) == OPENED
    assert dict(looked.calls.last.request.url.params) == {"state": "open", "head": "octo:awo/1-x", "per_page": "10"}
    assert json.loads(made.calls.last.request.content) == {
        "title": "A title",
        "head": "awo/1-x",
        "base": "trunk",
        "body": "Words",
    }


async def test_an_open_pull_request_of_the_branch_is_taken(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").respond(json=[{**PULL, "number": 3, "head": {"ref": "another"}}, PULL])
    assert await open_it(forge()) == FOUND


async def test_one_that_somebody_opened_in_between_is_found(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").mock(
        side_effect=[httpx.Response(200, json=[]), httpx.Response(200, json=[PULL])]
    )
    wire.get("/repos/octo/tools").respond(json=REPO)
    refusal = {
        "message": "Validation Failed",
        "errors": [{"message": "A pull request already exists for octo:awo/1-x."}],
    }
    wire.post("/repos/octo/tools/pulls").respond(422, json=refusal)
    assert await open_it(forge()) == FOUND


async def test_a_renamed_owner_is_asked_for_by_the_new_name(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls", params={"head": "octo:awo/1-x"}).respond(json=[])
    wire.get("/repos/octo/tools/pulls", params={"head": "octopus:awo/1-x"}).respond(json=[PULL])
    wire.get("/repos/octo/tools").respond(json={**REPO, "owner": {"login": "octopus"}})
    wire.post("/repos/octo/tools/pulls").respond(422, json={"errors": ["A pull request already exists for x."]})
    assert await open_it(forge()) == FOUND


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("slow"), httpx.Response(502)])
async def test_a_lost_reply_is_looked_up_and_not_repeated(wire: respx.MockRouter, lost: Any) -> None:
    wire.get("/repos/octo/tools/pulls").mock(
        side_effect=[httpx.Response(200, json=[]), httpx.Response(200, json=[PULL])]
    )
    made = wire.post("/repos/octo/tools/pulls").mock(side_effect=[lost])
    assert await open_it(forge()) == FOUND
    assert made.call_count == 1


async def test_a_post_that_never_arrived_is_sent_again(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").respond(json=[])
    wire.post("/repos/octo/tools/pulls").mock(side_effect=[httpx.ConnectError("no"), httpx.Response(201, json=PULL)])
    assert await open_it(forge()) == OPENED


async def test_posting_ends_after_three_attempts(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").respond(json=[])
    made = wire.post("/repos/octo/tools/pulls").respond(503)
    with pytest.raises(StepFailed, match="it answered 503") as caught:
        await open_it(forge())
    assert caught.value.failure_class is FailureClass.NETWORK
    assert made.call_count == 3


async def test_field_errors_are_spelled_out(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").respond(json=[])
    wire.post("/repos/octo/tools/pulls").respond(
        422,
        content=json.dumps(
            {
                "message": "Validation Failed",
                "errors": [
                    {"resource": "PullRequest", "field": "base", "code": "invalid"},
                    {"message": "No commits between trunk and awo/1-x"},
                    "and \ud800 more",
                ],
            }
        ),
    )
    with pytest.raises(StepFailed) as caught:
        await open_it(forge())
    assert caught.value.failure_class is FailureClass.CONFLICT
    assert "Validation Failed; base: invalid; No commits between trunk and awo/1-x; and ? more" in caught.value.message


@pytest.mark.parametrize("token", [None, "", "  \n"])
async def test_without_a_token_nothing_is_asked(wire: respx.MockRouter, token: str | None) -> None:
    with pytest.raises(StepFailed, match="no GitHub token") as caught:
        await open_it(forge(token=token))
    assert caught.value.failure_class is FailureClass.AUTH


@pytest.mark.parametrize("token", ["two\nlines-of-token", "with space-in-it", "tökens-are-ascii"])
async def test_a_token_that_cannot_be_one_is_never_shown(wire: respx.MockRouter, token: str) -> None:
    with pytest.raises(StepFailed, match="characters that no token has") as caught:
        await forge(token=token).repository(REPOSITORY)
    assert token not in str(caught.value)


# --- refusals ---


@pytest.mark.parametrize(
    ("status", "headers", "body", "failure", "words"),
    [
        (401, {}, {"message": "Bad credentials"}, FailureClass.AUTH, "does not accept the token"),
        (403, {}, {"message": f"Not for {TOKEN}"}, FailureClass.AUTH, "GitHub says: Not for [REDACTED]"),
        (403, {"X-GitHub-SSO": "required; url=https://x"}, {}, FailureClass.AUTH, "single sign-on"),
        (404, {}, {"message": "Not Found"}, FailureClass.AUTH, "no repository octo/tools, or this token"),
        (409, {}, {"message": "Git Repository is empty."}, FailureClass.CONFLICT, "409"),
        (451, {}, b"<html>", FailureClass.CONFLICT, "451"),
    ],
)
async def test_a_refusal_becomes_a_failure_with_class_and_next_action(
    wire: respx.MockRouter, status: int, headers: dict[str, str], body: Any, failure: FailureClass, words: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = wire.get("/repos/octo/tools").respond(status, headers=headers, content=content)
    failed = await failure_of(forge())
    assert failed.failure_class is failure
    assert words in failed.message
    assert route.call_count == 1


async def test_the_rights_that_github_names_are_named(wire: respx.MockRouter) -> None:
    headers = {"X-Accepted-GitHub-Permissions": "pull_requests=write; contents=read"}
    wire.get("/repos/octo/tools").respond(403, headers=headers)
    assert "pull_requests=write; contents=read" in (await failure_of(forge())).next_action


@pytest.mark.parametrize(
    ("status", "headers", "message", "wait"),
    [
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp()) + 1800)}, "", 1800),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "17"}, "", 1),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, "", 60),
        (403, {"retry-after": "42"}, "You have exceeded a secondary rate limit.", 42),
        (403, {}, "You have exceeded a secondary rate limit.", 60),
        (429, {}, "", 60),
        (429, {"retry-after": "999999999"}, "", 24 * 3600),
    ],
)
async def test_a_rate_limit_is_a_wait_until_it_ends(
    wire: respx.MockRouter, status: int, headers: dict[str, str], message: str, wait: int
) -> None:
    wire.get("/repos/octo/tools").respond(status, headers=headers, json={"message": message})
    with pytest.raises(MustWait) as caught:
        await forge().repository(REPOSITORY)
    assert caught.value.reason is WaitingReason.USAGE_LIMIT
    assert caught.value.until == NOW + timedelta(seconds=wait)


# --- no answer ---


@pytest.mark.parametrize("trouble", [httpx.Response(500), httpx.ConnectTimeout("x"), httpx.ReadError("x")])
async def test_trouble_that_passes_is_sat_out(wire: respx.MockRouter, trouble: Any) -> None:
    route = wire.get("/repos/octo/tools").mock(side_effect=[trouble, trouble, httpx.Response(200, json=REPO)])
    assert (await forge().repository(REPOSITORY)).default_branch == "trunk"
    assert route.call_count == 3


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (httpx.Response(503), "it answered 503"),
        (httpx.ReadTimeout(f"with {TOKEN}"), "did not answer in time"),
        (httpx.ConnectError(f"with {TOKEN}"), "no connection could be made"),
        (httpx.RemoteProtocolError(f"with {TOKEN}"), "the connection broke"),
    ],
)
async def test_trouble_that_stays_is_a_failure_of_the_network(wire: respx.MockRouter, trouble: Any, words: str) -> None:
    route = wire.get("/repos/octo/tools").mock(side_effect=[trouble] * 3)
    failed = await failure_of(forge())
    assert failed.failure_class is FailureClass.NETWORK
    assert words in failed.message
    assert route.call_count == 3


async def test_a_question_has_a_time_limit_of_its_own() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    with respx.mock(assert_all_called=False) as wire:
        wire.get(f"{API}/repos/octo/tools").mock(side_effect=hang)
        failed = await failure_of(forge(time_limit=timedelta(milliseconds=50)))
    assert "did not answer in time" in failed.message


@pytest.mark.parametrize(
    "body", [b"<html>Sign in to the hotel's network</html>", b"[]", b'{"default_branch": 5}', b"\xff"]
)
async def test_an_answer_from_somebody_else_is_no_answer(wire: respx.MockRouter, body: bytes) -> None:
    wire.get("/repos/octo/tools").respond(200, content=body)
    assert (await failure_of(forge())).failure_class is FailureClass.NETWORK


async def test_pull_requests_that_are_no_list_are_no_answer(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").respond(json={"message": "hello"})
    with pytest.raises(StepFailed, match="no list"):
        await open_it(forge())


async def test_an_endless_answer_is_cut_off(wire: respx.MockRouter) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    route = wire.get("/repos/octo/tools").mock(return_value=httpx.Response(200, content=endless()))
    assert "too long" in (await failure_of(forge())).message
    assert route.call_count == 1


# --- redirects ---


async def test_a_renamed_repository_is_followed_on_the_same_host(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools").respond(301, headers={"location": f"{API}/repositories/99"})
    moved = wire.get("/repositories/99").respond(json=REPO)
    assert (await forge().repository(REPOSITORY)).default_branch == "trunk"
    assert moved.calls.last.request.headers["authorization"] == f"Bearer {TOKEN}"


async def test_a_post_stays_a_post_when_it_is_redirected(wire: respx.MockRouter) -> None:
    wire.get("/repos/octo/tools/pulls").respond(json=[])
    wire.post("/repos/octo/tools/pulls").respond(307, headers={"location": "/repositories/99/pulls"})
    made = wire.post("/repositories/99/pulls").respond(201, json=PULL)
    assert await open_it(forge()) == OPENED
    assert json.loads(made.calls.last.request.content)["head"] == "awo/1-x"


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.example/repositories/99",
        "http://api.github.com/repositories/99",
        "https://api.github.com:99999999/",
    ],
)
async def test_the_token_goes_to_no_other_host(wire: respx.MockRouter, location: str) -> None:
    route = wire.get("/repos/octo/tools").respond(302, headers={"location": location})
    assert "redirects" in (await failure_of(forge())).message
    assert route.call_count == 1


async def test_redirects_in_a_circle_end(wire: respx.MockRouter) -> None:
    route = wire.get("/repos/octo/tools").respond(301, headers={"location": f"{API}/repos/octo/tools"})
    assert "without end" in (await failure_of(forge())).message
    assert route.call_count == 3


# --- TLS, for real ---


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "certificate.pem"
    file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None) -> AsyncIterator[int]:
    """The port of a server that answers everything with one line that is no TLS."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def test_an_untrusted_certificate_is_named_as_such(tmp_path: Path) -> None:
    async with listening(self_signed(tmp_path)) as port:
        failed = await failure_of(forge(f"https://localhost:{port}"))
    assert failed.failure_class is FailureClass.NETWORK
    assert "certificate of localhost is not trusted: self-signed certificate" in failed.message
    assert "SSL_CERT_FILE" in failed.next_action


async def test_a_server_without_tls_is_named_as_such() -> None:
    async with listening(None) as port:
        failed = await failure_of(forge(f"https://127.0.0.1:{port}"))
    assert "TLS" in failed.message
