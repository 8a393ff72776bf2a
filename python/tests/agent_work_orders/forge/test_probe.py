"""The GitHub test button against the pretend GitHub and sockets that are no GitHub: each verdict, and no write."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.domain.repository import HostPolicy, Repository, parse_repository_url
from src.agent_work_orders.domain.setting import Finding
from src.agent_work_orders.forge.probe import GitHubProbe
from src.agent_work_orders.rehearsal import Stage, stage_in_thread
from src.agent_work_orders.rehearsal.token_rights import TokenRights

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_in_thread(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _good_token(stage: Stage) -> None:
    stage.github.rights = TokenRights()


def sample(stage: Stage) -> Repository:
    host = frozenset({stage.git_host})
    return parse_repository_url(stage.repository_url, HostPolicy(host, insecure=host))


async def asked(stage: Stage, *, on_repository: bool = True, token: str | None = "") -> dict[str, Finding]:
    """Findings by name. Every one that is not well names its next action, and none shows the token."""
    token = stage.github_token if token == "" else token
    found = await GitHubProbe(stage.github_api_url, token, sample(stage) if on_repository else None).findings()
    for one in found:
        assert one.ok or one.next_action, one
        assert not token or token not in f"{one.detail} {one.next_action}"
    return {one.name: one for one in found}


def verdict(found: dict[str, Finding]) -> tuple[bool, set[str], set[str]]:
    """Whether all that is required is well, what is required and not well, and the warnings."""
    bad = {name for name, one in found.items() if not one.ok and one.required}
    return not bad, bad, {name for name, one in found.items() if not one.ok and not one.required}


async def test_a_good_classic_token(stage: Stage) -> None:
    found = await asked(stage)
    assert verdict(found) == (True, set(), set())
    assert set(found) == {
        "reachable", "token", "expiry", "permissions", "rate_limit",
        "repository", "contents", "pull_requests", "checks", "issues",
    }  # fmt: skip
    assert "rehearsal-bot" in found["token"].detail
    assert "repo" in found["permissions"].detail
    assert "of 5000" in found["rate_limit"].detail


@pytest.mark.parametrize(("branch", "well"), [("main", True), ("release/none", False)])
async def test_a_base_branch_is_looked_for_and_the_default_one_is_found(stage: Stage, branch: str, well: bool) -> None:
    probe = GitHubProbe(stage.github_api_url, stage.github_token, sample(stage), base_branch=branch)
    found = {one.name: one for one in await probe.findings()}
    assert probe.default_branch == "main"
    assert (found["base_branch"].ok, found["base_branch"].required) == (well, True)
    assert well or found["base_branch"].next_action


async def test_a_good_fine_grained_token(stage: Stage) -> None:
    expires = datetime.now(UTC) + timedelta(days=60)
    stage.github.rights = TokenRights(scopes=None, expires=f"{expires:%Y-%m-%d %H:%M:%S} UTC")
    found = await asked(stage)
    assert verdict(found) == (True, set(), set())
    assert f"{expires:%Y-%m-%d}" in found["expiry"].detail


async def test_a_fine_grained_token_asks_for_a_repository(stage: Stage) -> None:
    stage.github.rights = TokenRights(scopes=None)
    found = await asked(stage, on_repository=False)
    assert verdict(found)[0]
    assert "repository" in (found["permissions"].next_action or "")


@pytest.mark.parametrize(
    ("lacks", "names", "required"),
    [
        ("contents:write", "contents", True),
        ("pull_requests:write", "pull_requests", True),
        ("checks:read", "checks", False),
        ("issues:read", "issues", False),
    ],
)
async def test_a_fine_grained_token_without_a_permission(stage: Stage, lacks: str, names: str, required: bool) -> None:
    stage.github.rights = TokenRights(scopes=None, permissions=TokenRights().permissions - {lacks})
    found = await asked(stage)
    assert verdict(found) == ((False, {names}, set()) if required else (True, set(), {names}))
    wanted = lacks.partition(":")[0].replace("_", " ").capitalize()
    assert wanted in (found[names].next_action or "")


@pytest.mark.parametrize("scopes", ["", "read:org", "gist, notifications"])
async def test_a_classic_token_without_the_scope(stage: Stage, scopes: str) -> None:
    stage.github.rights = TokenRights(scopes=scopes)
    assert verdict(await asked(stage)) == (False, {"permissions"}, set())


async def test_a_classic_token_for_public_repositories_is_a_warning(stage: Stage) -> None:
    stage.github.rights = TokenRights(scopes="public_repo")
    assert verdict(await asked(stage, on_repository=False)) == (True, set(), {"permissions"})


@pytest.mark.parametrize("token", ["ghp_expired0123456789", "ghp_revoked0123456789"])
async def test_an_expired_or_revoked_token(stage: Stage, token: str) -> None:
    found = await asked(stage, token=token)
    assert verdict(found) == (False, {"token"}, set())
    assert "expired" in found["token"].detail
    assert "revoked" in found["token"].detail


async def test_a_token_that_expires_soon_is_a_warning(stage: Stage) -> None:
    expires = datetime.now(UTC) + timedelta(days=2)
    stage.github.rights = TokenRights(expires=f"{expires:%Y-%m-%d %H:%M:%S} +0000")
    assert verdict(await asked(stage)) == (True, set(), {"expiry"})


async def test_a_token_that_is_not_authorised_for_single_sign_on(stage: Stage) -> None:
    stage.github.rights = TokenRights(sso="https://github.com/orgs/octo/sso?authorization_request=x")
    found = await asked(stage)
    assert verdict(found) == (False, {"sso"}, set())
    assert "Configure SSO" in (found["sso"].next_action or "")


async def test_a_rate_limit_names_its_end(stage: Stage) -> None:
    reset_at = int(datetime.now(UTC).timestamp()) + 600
    stage.github.exhaust_limit("GET", "/user", reset_at=reset_at)
    found = await asked(stage)
    assert verdict(found) == (False, {"rate_limit"}, set())
    assert f"{datetime.fromtimestamp(reset_at, UTC):%H:%M}" in found["rate_limit"].detail
    stage.github.limit_secondarily("GET", "/user")
    assert verdict(await asked(stage)) == (False, {"rate_limit"}, set())


async def test_a_repository_that_the_token_does_not_see(stage: Stage) -> None:
    stage.github.answer("GET", "/repos/.*", 404, message="Not Found")
    assert verdict(await asked(stage)) == (False, {"repository"}, set())


@pytest.mark.parametrize("token", [None, "two words", "zero\u200bwidth-token"])
async def test_without_a_token_nothing_is_asked(stage: Stage, token: str | None) -> None:
    before = len(stage.github.requests)
    assert verdict(await asked(stage, token=token)) == (False, {"token"}, set())
    assert len(stage.github.requests) == before


async def test_a_test_changes_nothing(stage: Stage) -> None:
    await asked(stage)
    written = [one for one in stage.github.requests if one.method != "GET"]
    assert {one.path.rpartition("/")[2] for one in written} == {"refs", "pulls"}
    assert all(one.body == {} and one.status in (403, 404, 422) for one in written)


# --- what is no GitHub ---


@contextmanager
def answering(reply: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port that gives every connection this reply, over TLS if there is a context. Yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            while not done.is_set():
                connection, _ = listener.accept()
                try:
                    with context.wrap_socket(connection, server_side=True) if context else connection as wire:
                        wire.recv(65536)
                        wire.sendall(reply)
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            done.set()
            with socket.socket() as last:
                last.connect(listener.getsockname())
            thread.join(5)


def page(status: str = "200 OK", body: bytes = b"<h1>Welcome</h1>", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""])
    return head.encode() + body


async def told_of(address: str) -> Finding:
    token = "ghp_0123456789abcdefghij"
    [found] = [one for one in await GitHubProbe(address, token, None).findings() if not one.ok]
    assert token not in f"{found.detail} {found.next_action}"
    assert found.name == "reachable"
    assert found.next_action
    return found


async def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert "no connection" in (await told_of(f"http://127.0.0.1:{port}")).detail


async def test_a_name_that_nobody_has() -> None:
    assert "no connection" in (await told_of("https://github.invalid")).detail


@pytest.mark.parametrize(
    "reply",
    [
        page(),
        page("404 Not Found", b"no such page"),
        page("401 Unauthorized", b"{}"),
        page("200 OK", b'{"login": "somebody"}'),
        page("200 OK", b"[1]", "X-RateLimit-Limit: 1"),
    ],
)
async def test_a_host_that_is_another_server(reply: bytes) -> None:
    with answering(reply) as port:
        assert "not GitHub's API" in (await told_of(f"http://127.0.0.1:{port}")).detail


async def test_a_redirect_is_not_followed_with_the_token(stage: Stage) -> None:
    before = len(stage.github.requests)
    with answering(page("302 Found", b"", f"Location: {stage.github_api_url}/user")) as port:
        assert "not GitHub's API" in (await told_of(f"http://127.0.0.1:{port}")).detail
    assert len(stage.github.requests) == before


async def test_a_server_that_breaks_off() -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf") as port:
        assert "connection broke" in (await told_of(f"http://127.0.0.1:{port}")).detail


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_a_certificate_that_nobody_signed(self_signed: ssl.SSLContext) -> None:
    with answering(page(), self_signed) as port:
        found = await told_of(f"https://127.0.0.1:{port}")
    assert "certificate" in found.detail
    assert "SSL_CERT_FILE" in (found.next_action or "")


async def test_a_plain_server_behind_an_https_address() -> None:
    with answering(page()) as port:
        assert "TLS" in (await told_of(f"https://127.0.0.1:{port}")).detail
