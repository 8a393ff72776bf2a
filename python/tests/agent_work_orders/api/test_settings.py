"""The settings desk over HTTP, with Archon's own settings below it: all or nothing, and no secret comes back."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from src.agent_work_orders.api import STATE_NAME, GuardPolicy
from src.agent_work_orders.desk.desk import Desk
from src.agent_work_orders.desk.live import LiveSettings
from src.agent_work_orders.desk.results import LastResults
from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.domain.setting import Finding, Offer
from src.agent_work_orders.host import HostSecrets, HostSettings
from src.agent_work_orders.settings import Settings

from .conftest import Bench, detail_of, fields_of

pytestmark = pytest.mark.anyio
URL = "/api/awo/settings"
TOKEN = "github_pat_11ABCDEFG0_abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ"
KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789"
Json = dict[str, Any]


@dataclass
class Office:
    """A bench with a desk, and what the tests of it turn."""

    bench: Bench
    live: LiveSettings
    home: Path
    redactor: Redactor
    offers: list[Offer]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.bench.client

    async def page(self) -> Json:
        answer = await self.client.get(URL)
        assert answer.status_code == 200, answer.text
        page: Json = answer.json()
        assert answer.headers["etag"] == f'"{page["version"]}"'
        return page

    async def setting(self, name: str) -> Json:
        [found] = [one for one in (await self.page())["settings"] if one["name"] == name]
        return dict(found)

    async def secret(self, name: str) -> Json:
        [found] = [one for one in (await self.page())["secrets"] if one["name"] == name and one["repository"] is None]
        return dict(found)

    async def patch(self, changes: Json, version: str = "*", user: str | None = None) -> httpx.Response:
        headers = {"If-Match": version} | ({"X-Archon-User": user} if user else {})
        return await self.client.patch(URL, json=changes, headers=headers)

    async def save(self, name: str, value: str, **more: Any) -> httpx.Response:
        return await self.client.put(f"{URL}/secrets/{name}", json={"value": value}, **more)

    async def audit(self) -> list[Json]:
        entries: list[Json] = (await self.client.get(f"{URL}/audit")).json()["entries"]
        return entries

    def stored(self) -> bytes:
        """All that Archon's settings hold at rest."""
        return b"".join(path.read_bytes() for path in sorted((self.home / "credentials").glob("*.json")))


ENVIRON = {"AWO_LEASE_SECONDS": "60", "AWO_API_TOKEN": "the-bearer-token-1234567"}


@pytest.fixture
async def office(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    for name in ("SUPABASE_URL", "GITHUB_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    monkeypatch.setenv("ARCHON_HOME", str(home))
    live, redactor = LiveSettings({**ENVIRON, "ARCHON_HOME": str(home)}, HostSettings()), Redactor()
    await live.open()
    offers: list[Offer] = []

    async def tester(offer: Offer) -> list[Finding]:
        offers.append(offer)
        said = f"it heard {offer.github_token}"
        return [Finding(name="one", ok=True, detail=said), Finding(name="two", ok=False, required=False, detail="Hm.")]

    context = getattr(bench.app.state, STATE_NAME)
    desk = Desk(
        live,
        HostSettings(),
        HostSecrets(),
        bench.store,
        redactor,
        context.tools.repository,
        {"github": tester, "claude": tester, "database": tester, "storage": tester},
        LastResults(home / "logs" / "settings-tests.json"),
    )
    setattr(bench.app.state, STATE_NAME, replace(context, desk=desk))
    return Office(bench, live, home, redactor, offers)


async def test_every_setting_is_shown_with_its_source(office: Office) -> None:
    shown = {one["name"]: one for one in (await office.page())["settings"]}
    assert set(shown) == set(Settings.model_fields)
    assert (shown["lease"]["value"], shown["lease"]["source"], shown["lease"]["locked"]) == (60, "environment", True)
    assert (shown["lease"]["minimum"], shown["lease"]["maximum"], shown["lease"]["unit"]) == (5, 3600, "seconds")
    assert (shown["max_cost_usd"]["minimum"], shown["max_cost_usd"]["above"]) == (None, 0)
    assert (shown["max_concurrent"]["source"], shown["max_concurrent"]["locked"]) == ("default", False)
    assert shown["claude_permission_mode"]["choices"] == ["acceptEdits", "bypassPermissions", "dontAsk"]
    assert shown["api_token"]["value"] is None
    assert shown["api_token"]["is_set"]


async def test_a_change_takes_effect_at_once_and_is_written_down(office: Office) -> None:
    version = (await office.page())["version"]
    answer = await office.patch({"max_concurrent": 8, "max_cost_usd": 1.5}, f'"{version}"', user="Ana")
    assert answer.status_code == 200, answer.text
    assert answer.json()["version"] != version
    assert (office.live.current().max_concurrent, office.live.current().max_cost_usd) == (8, 1.5)
    shown = await office.setting("max_concurrent")
    assert (shown["value"], shown["source"], shown["origin"]) == (8, "database", "AWO_MAX_CONCURRENT")
    await office.patch({"max_concurrent": None}, user="Ben")
    assert office.live.current().max_concurrent == 5
    told = [
        (one["setting"], one["action"], one["old"], one["new"], one["by"].split()[0]) for one in await office.audit()
    ]
    assert told == [
        ("max_concurrent", "reset", "8", None, "Ben"),
        ("max_cost_usd", "changed", None, "1.5", "Ana"),
        ("max_concurrent", "changed", None, "8", "Ana"),
    ]


async def test_saving_what_is_there_changes_nothing(office: Office) -> None:
    await office.patch({"max_concurrent": 8})
    before = await office.page()
    assert (await office.patch({"max_concurrent": 8})).status_code == 200
    assert (await office.page())["version"] == before["version"]
    assert len(await office.audit()) == 1


async def test_the_second_of_two_administrators_sees_the_newer_values(office: Office) -> None:
    version = (await office.page())["version"]
    assert (await office.patch({"max_concurrent": 8}, version)).status_code == 200
    late = await office.patch({"max_concurrent": 9}, version)
    assert late.status_code == 409
    body = late.json()
    assert body["detail"]["code"] == "settings_changed"
    newer = {one["name"]: one["value"] for one in body["current"]["settings"]}
    assert newer["max_concurrent"] == 8
    assert office.live.current().max_concurrent == 8
    again = await office.patch({"max_concurrent": 9}, body["current"]["version"])
    assert again.status_code == 200


async def test_a_change_without_a_version_is_refused(office: Office) -> None:
    answer = await office.client.patch(URL, json={"max_concurrent": 8})
    assert detail_of(answer, 428)["code"] == "version_missing"


MEGABYTE = "x" * 1_000_000
WRONG: dict[str, tuple[str, Any, str]] = {
    "a text for a number": ("max_concurrent", "8", "whole number"),
    "true for a number": ("max_concurrent", True, "whole number"),
    "half a number": ("max_concurrent", 1.5, "whole number"),
    "too little": ("max_concurrent", 0, "greater than or equal to 1"),
    "too much": ("max_concurrent", 201, "less than or equal to 200"),
    "a huge number": ("max_concurrent", 10**30, "less than or equal to 200"),
    "a number for a text": ("claude_model", 5, "text"),
    "an empty text": ("claude_model", "  ", "empty"),
    "an object": ("claude_model", {"a": 1}, "text"),
    "a word that is no choice": ("claude_permission_mode", "yolo", "acceptEdits"),
    "a megabyte": ("claude_model", MEGABYTE, "4096"),
    "a megabyte of path": ("repository_dir", "/" + MEGABYTE[:-1], "4096"),
    "a NUL": ("verify_command", "make\0test", "NUL"),
    "half a character": ("verify_command", "make \ud800", "Unicode"),
    "a line break": ("claude_model", "opus\nsonnet", "one line"),
    "an unknown name": ("max_concurent", 5, "not a known setting"),
    "a folder that is a file": ("repository_dir", "/etc/passwd", "file"),
    "a folder that is not there": ("work_order_dir", "/no/such/folder", "exists"),
    "a folder that cannot be written": ("repository_dir", "/proc", "cannot be written"),
    "a relative folder": ("commands_dir", "commands", "absolute"),
    "a program": ("claude_cli_path", "/bin/sh", "AWO_ALLOWED_PROGRAMS"),
    "what the environment sets": ("lease", 90, "AWO_LEASE_SECONDS"),
    "where the model's key is sent": ("anthropic_base_url", "http://evil.example", "cannot be set over HTTP"),
    "where GitHub's token is sent": ("github_api_url", "http://evil.example", "cannot be set over HTTP"),
    "whom the token is shown to": ("allowed_repository_hosts", ["evil.example"], "cannot be set over HTTP"),
    "who may call": ("allowed_origins", ["http://evil.example"], "cannot be set over HTTP"),
    "which programs may run": ("allowed_programs", ["/bin/sh"], "cannot be set over HTTP"),
    "the bearer token": ("api_token", "another-token-123456", "AWO_API_TOKEN"),
}


@pytest.mark.parametrize(("name", "value", "said"), WRONG.values(), ids=WRONG)
async def test_a_wrong_value_is_refused_and_nothing_is_stored(office: Office, name: str, value: Any, said: str) -> None:
    await office.patch({"max_concurrent": 7})
    before, version = office.stored(), (await office.page())["version"]
    answer = await office.client.patch(
        URL,
        content=json.dumps({"stall_timeout": 100, name: value}),
        headers={"If-Match": "*", "Content-Type": "application/json"},
    )
    problems = fields_of(answer)
    assert set(problems) == {name}
    assert said in problems[name]
    assert len(problems[name]) < 300
    assert office.stored() == before
    assert (await office.page())["version"] == version
    assert office.live.current().stall_timeout == 300


async def test_everything_that_is_wrong_is_named_at_once(office: Office) -> None:
    wrong = {name: value for name, value, _ in WRONG.values() if value is not MEGABYTE and len(str(value)) < 1000}
    wrong.pop("verify_command")
    answer = await office.patch(wrong)
    assert set(fields_of(answer)) == set(wrong)


@pytest.mark.parametrize("body", ["[]", "3", '"x"', "null", "{", '{"max_concurrent": 3'])
async def test_what_is_no_object_is_refused(office: Office, body: str) -> None:
    answer = await office.client.patch(URL, content=body, headers={"If-Match": "*", "Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


async def test_a_body_beyond_the_limit_is_refused_unread(office: Office) -> None:
    answer = await office.patch({"claude_model": "x" * 2_000_000})
    assert detail_of(answer, 413)["code"] == "too_large"


async def test_a_program_on_the_operators_list_may_be_chosen(office: Office) -> None:
    (office.home / "config").mkdir(exist_ok=True)
    (office.home / "config" / "agent-settings.yaml").write_text("allowed_programs: [/opt/claude]\n")
    live = LiveSettings({**ENVIRON, "ARCHON_HOME": str(office.home)}, HostSettings())
    await live.open()
    context = getattr(office.bench.app.state, STATE_NAME)
    context.desk._live = live
    assert (await office.patch({"claude_cli_path": "/opt/claude"})).status_code == 200
    assert live.current().claude_cli_path == "/opt/claude"


async def test_a_disk_that_refuses_changes_nothing(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.patch({"max_concurrent": 7})
    before = office.stored()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "replace", full)
        answer = await office.patch({"max_concurrent": 8, "stall_timeout": 100})
    assert detail_of(answer, 503)["code"] == "store_unavailable"
    assert office.stored() == before
    assert (await office.setting("max_concurrent"))["value"] == 7
    assert len(await office.audit()) == 1


# --- secrets ---


async def test_a_secret_goes_in_and_never_comes_out(office: Office) -> None:
    answer = await office.save("github_token", f"  {TOKEN}\n", headers={"X-Archon-User": "Ana"})
    assert answer.status_code == 200, answer.text
    shown = await office.secret("github_token")
    assert (shown["is_set"], shown["last_four"], shown["source"]) == (True, TOKEN[-4:], "database")
    assert shown["set_by"].startswith("Ana ")
    assert shown["set_at"] is not None
    assert await HostSecrets().get("GITHUB_TOKEN") == TOKEN
    assert office.redactor.finds(f"x {TOKEN}")
    told = [answer.text, json.dumps(await office.page()), json.dumps(await office.audit()), office.stored().decode()]
    told.append((office.bench.folder.parent / "awo.db").read_bytes().decode("latin-1"))
    told.append((office.bench.folder.parent / "awo.db-wal").read_bytes().decode("latin-1"))
    assert not [one for one in told if TOKEN in one]
    gone = await office.client.delete(f"{URL}/secrets/github_token")
    assert (gone.json()["is_set"], gone.json()["set_by"]) == (False, None)
    assert await HostSecrets().get("GITHUB_TOKEN") is None
    assert [(one["action"], one["old"], one["new"]) for one in await office.audit()] == [
        ("secret_removed", None, None),
        ("secret_saved", None, None),
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("github_token", "[ENCRYPTED]", "mask"),
        ("github_token", "[REDACTED]", "mask"),
        ("github_token", "*" * 40, "mask"),
        ("github_token", "\u2022" * 12, "mask"),
        ("github_token", "", "8 to 4096"),
        ("github_token", "short", "8 to 4096"),
        ("github_token", "two words of it", "one word"),
        ("github_token", "ghp_\u0430bcdefghijkl", "one word"),
        ("github_token", KEY, "anthropic_api_key"),
        ("anthropic_api_key", TOKEN, "github_token"),
        ("anthropic_api_key", "sk-ant-oat01-abcdefghijkl", "claude_code_oauth_token"),
        ("claude_code_oauth_token", KEY, "anthropic_api_key"),
    ],
)
async def test_what_cannot_be_the_secret_is_refused(office: Office, name: str, value: str, said: str) -> None:
    await office.save("github_token", TOKEN)
    answer = await office.save(name, value)
    problem = fields_of(answer)["value"]
    assert said in problem
    assert len(value) < 8 or value not in answer.text.replace("[REDACTED]", value if value == "[REDACTED]" else "")
    assert await HostSecrets().get("GITHUB_TOKEN") == TOKEN


async def test_a_secret_of_the_environment_is_locked(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    shown = await office.secret("anthropic_api_key")
    assert (shown["locked"], shown["source"], shown["last_four"]) == (True, "environment", KEY[-4:])
    for answer in (
        await office.save("anthropic_api_key", "sk-ant-api03-another-0123456789"),
        await office.client.delete(f"{URL}/secrets/anthropic_api_key"),
    ):
        assert "ANTHROPIC_API_KEY" in detail_of(answer, 409)["error"]


async def test_a_repository_may_have_a_token_of_its_own(office: Office) -> None:
    own = {"repository_url": "https://github.com/Octo/Tools.git"}
    await office.save("github_token", TOKEN)
    answer = await office.save("github_token", "ghp_of_the_repository_alone_0123456789ab", params=own)
    assert answer.json()["repository"] == "github.com/octo/tools"
    repository = getattr(office.bench.app.state, STATE_NAME).tools.repository("https://github.com/octo/tools")
    other = getattr(office.bench.app.state, STATE_NAME).tools.repository("https://github.com/octo/other")
    assert await HostSecrets().get("GITHUB_TOKEN", repository) == "ghp_of_the_repository_alone_0123456789ab"
    assert await HostSecrets().get("GITHUB_TOKEN", other) == TOKEN
    assert "repository_alone" not in office.stored().decode()
    listed = [(one["repository"], one["last_four"]) for one in (await office.page())["secrets"] if one["repository"]]
    assert listed == [("github.com/octo/tools", "89ab")]
    await office.client.delete(f"{URL}/secrets/github_token", params=own)
    assert await HostSecrets().get("GITHUB_TOKEN", repository) == TOKEN
    refused = await office.save("anthropic_api_key", KEY, params=own)
    assert set(fields_of(refused)) == {"repository_url"}


async def test_a_secret_that_cannot_be_opened_says_so(office: Office) -> None:
    await office.save("github_token", TOKEN)
    (office.home / "credentials" / ".key").write_text("another-passphrase-altogether\n")
    shown = await office.secret("github_token")
    assert (shown["is_set"], shown["last_four"]) == (True, None)
    assert "decrypted" in shown["problem"]


async def test_a_name_that_is_no_secret_is_refused(office: Office) -> None:
    assert (await office.save("supabase_service_key", TOKEN)).status_code == 422


# --- tests ---


async def test_a_test_is_made_with_what_is_offered_and_its_result_is_kept_without_it(office: Office) -> None:
    offered = "ghp_offered_and_not_saved_0123456789abcd"
    answer = await office.client.post(f"{URL}/test/github", json={"github_token": offered})
    body = answer.json()
    assert (body["ok"], body["offered"], body["subject"]) == (True, True, "github")
    assert [one["name"] for one in body["checks"]] == ["one", "two"]
    assert office.offers[0].github_token == offered
    kept = (office.home / "logs" / "settings-tests.json").read_text()
    assert offered not in answer.text + kept
    assert await HostSecrets().get("GITHUB_TOKEN") is None
    await office.client.post(f"{URL}/test/storage")
    tests = (await office.page())["tests"]
    assert set(tests) == {"github", "storage"}
    assert tests["github"] == body
    assert tests["storage"]["offered"] is False


async def test_an_unknown_test_or_offer_is_refused(office: Office) -> None:
    assert (await office.client.post(f"{URL}/test/weather")).status_code == 422
    refused = await office.client.post(f"{URL}/test/github", json={"password": "x"})
    assert set(fields_of(refused)) == {"password"}


async def test_a_kept_result_that_cannot_be_read_is_no_result(office: Office) -> None:
    (office.home / "logs" / "settings-tests.json").write_text("{")
    assert (await office.page())["tests"] == {}


# --- the guard ---


async def test_settings_are_behind_the_guard(office: Office) -> None:
    office.bench.policy[0] = GuardPolicy(bound_to_loopback=True, token="0123456789abcdef-token")
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/audit"), ("PUT", "/secrets/github_token")):
        answer = await office.client.request(method, f"{URL}{path}", json=None if method == "GET" else {})
        assert answer.status_code == 401, (method, path)
    evil = {"Origin": "http://evil.example", "Authorization": "Bearer 0123456789abcdef-token"}
    assert (await office.client.get(URL, headers=evil)).status_code == 403


async def test_the_audit_comes_in_pages(office: Office) -> None:
    for number in range(1, 6):
        await office.patch({"max_concurrent": number + 5})
    first = (await office.client.get(f"{URL}/audit", params={"limit": 3})).json()
    second = (await office.client.get(f"{URL}/audit", params={"limit": 3, "before": first["next_before"]})).json()
    assert [one["new"] for one in first["entries"] + second["entries"]] == ["10", "9", "8", "7", "6"]
    assert second["next_before"] is None


@pytest.mark.parametrize("user", ["<script>", "Ana\u00e4", "x" * 81, "a\tb"])
async def test_a_name_that_is_none_is_somebody(office: Office, user: str) -> None:
    headers = {b"If-Match": b"*", b"X-Archon-User": user.encode("utf-8")}
    answer = await office.client.patch(URL, json={"max_concurrent": 6}, headers=headers)
    if answer.status_code == 200:
        assert (await office.audit())[0]["by"].startswith("somebody (")
    else:
        assert answer.status_code == 422
