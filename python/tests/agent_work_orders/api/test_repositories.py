"""Configured repositories over HTTP, on a real store: what is said of one, who may overwrite it, what it changes."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest

from src.agent_work_orders.api import STATE_NAME, GuardPolicy
from src.agent_work_orders.desk import repositories as desk
from src.agent_work_orders.desk.repositories import RepositoryDesk, options_of
from src.agent_work_orders.domain.errors import FailureClass, MustWait, StepFailed
from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.domain.registry import Configuration, Verification
from src.agent_work_orders.domain.repository import Repository, RepositoryOptions
from src.agent_work_orders.domain.setting import Finding
from src.agent_work_orders.domain.status import WaitingReason
from src.agent_work_orders.domain.workflow import BUILT_IN, Workflow, Workflows
from src.agent_work_orders.ports import Issue, MirrorView, PullRequest

from .conftest import Bench, detail_of, fields_of

pytestmark = pytest.mark.anyio
URL = "/api/awo/repositories"
TOOLS = "https://github.com/Octo/Tools"
ID = "github.com~octo~tools"
SECRET = "a-github-token-1234"
GOOD = Finding(name="repository", ok=True, detail="It can be read.")
Json = dict[str, Any]


class PretendForge:
    """Knows one issue; raises what it is told to."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def issue(self, repository: Repository, number: int) -> Issue:
        if self.error is not None:
            raise self.error
        return Issue(number, f"Trouble in {repository.slug}", "Body", f"{repository.url}/issues/{number}")

    async def open_pull_request(
        self, repository: Repository, *, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        raise NotImplementedError


@dataclass
class Office:
    """A bench with a registry, and what the tests of it turn."""

    bench: Bench
    forge: PretendForge
    asked: list[tuple[str, RepositoryOptions]]
    answer: list[Verification]
    workflows: list[Workflows]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.bench.client

    async def configure(self, url: str = TOOLS, **options: Any) -> Json:
        answer = await self.client.post(URL, json={"repository_url": url, "options": options})
        assert answer.status_code == 201, answer.text
        body: Json = answer.json()
        return body

    async def patch(self, body: Json, version: object = "*", repository_id: str = ID) -> httpx.Response:
        headers = {"If-Match": f'"{version}"'} if version is not None else {}
        return await self.client.patch(f"{URL}/{repository_id}", json=body, headers=headers)

    async def read(self) -> Json:
        answer = await self.client.get(f"{URL}/{ID}")
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        assert answer.headers["etag"] == f'"{body["version"]}"'
        return body

    async def audit(self) -> list[tuple[str, str, str | None, str | None]]:
        entries = await self.bench.store.audit_page(50)
        return [(one.setting, one.action, one.old, one.new) for one in entries]


@pytest.fixture
def office(bench: Bench) -> Office:
    context = getattr(bench.app.state, STATE_NAME)
    redactor = Redactor()
    redactor.register(SECRET)
    known = Office(bench, PretendForge(), [], [Verification(True, (GOOD,), "trunk")], [Workflows()])

    async def verify(repository: Repository, options: RepositoryOptions) -> Verification:
        known.asked.append((repository.url, options))
        return known.answer[0]

    tools = replace(
        context.tools,
        forge=known.forge,
        options=lambda repository: options_of(bench.store, repository),
        workflows=lambda: known.workflows[0],
    )
    registry = RepositoryDesk(bench.store, bench.store, redactor, tools.repository, tools.workflows, verify)
    setattr(bench.app.state, STATE_NAME, replace(context, tools=tools, registry=registry))
    return known


# --- what is said of one ---


async def test_a_configured_repository_is_shown_with_all_that_was_said(office: Office) -> None:
    body = {
        "repository_url": f"{TOOLS}.git",
        "display_name": "The tools",
        "options": {"max_concurrent": 3, "environment": {"LANG": "C"}, "verify_command": "make test"},
    }
    made = await office.client.post(URL, json=body, headers={"X-Archon-User": "Ana"})
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{URL}/{ID}"
    shown = await office.read()
    assert shown == made.json()
    assert (shown["repository_id"], shown["repository_url"], shown["display_name"]) == (ID, TOOLS, "The tools")
    assert (shown["owner"], shown["name"], shown["repository_key"]) == ("Octo", "Tools", "github.com/octo/tools")
    assert shown["options"]["max_concurrent"] == 3
    assert shown["options"]["environment"] == {"LANG": "C"}
    assert set(shown["options"]) == set(RepositoryOptions.model_fields)
    assert (shown["is_verified"], shown["verification"], shown["mirror"]) == (None, None, None)
    assert shown["changed_by"].startswith("Ana")


async def test_one_repository_is_configured_once_however_it_is_written(office: Office) -> None:
    await office.configure()
    again = await office.client.post(URL, json={"repository_url": "https://github.com/octo/tools/"})
    assert detail_of(again, 409)["code"] == "settings_changed"
    assert "configured already" in detail_of(again, 409)["error"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"environment": {"GIT_SSH_COMMAND": "evil"}}, "options.environment.GIT_SSH_COMMAND"),
        ({"environment": {"ld_preload": "/evil.so"}}, "options.environment.ld_preload"),
        ({"environment": {"PATH": "/evil"}}, "options.environment.PATH"),
        ({"environment": {"HOME": "/evil"}}, "options.environment.HOME"),
        ({"environment": {"ANTHROPIC_BASE_URL": "https://evil.example"}}, "options.environment.ANTHROPIC_BASE_URL"),
        ({"environment": {"CLAUDE_CONFIG_DIR": "x"}}, "options.environment.CLAUDE_CONFIG_DIR"),
        ({"environment": {"GITHUB_TOKEN": "x"}}, "options.environment.GITHUB_TOKEN"),
        ({"environment": {"HTTPS_PROXY": "http://evil.example"}}, "options.environment.HTTPS_PROXY"),
        ({"environment": {"A B": "x"}}, "options.environment.A B"),
        ({"files": {"../outside": "x"}}, "options.files.../outside"),
        ({"files": {"/etc/passwd": "x"}}, "options.files./etc/passwd"),
        ({"files": {"a/.git/hooks/pre-commit": "x"}}, "options.files.a/.git/hooks/pre-commit"),
        ({"setup_inputs": ["../lock"]}, "options.setup_inputs.../lock"),
        ({"base_branch": "--upload-pack=x"}, "options.base_branch"),
        ({"base_branch": "a;id"}, "options.base_branch"),
        ({"workflow_type": "no_such_one"}, "options.workflow_type"),
        ({"workflow_type": "../x"}, "options.workflow_type"),
        ({"model": "--dangerous"}, "options.model"),
        ({"max_concurrent": -1}, "options.max_concurrent"),
        ({"max_concurrent": "3"}, "options.max_concurrent"),
        ({"max_cost_usd": 0}, "options.max_cost_usd"),
        ({"verify_command": "  "}, "options.verify_command"),
        ({"setup_command": "a\0b"}, "options.setup_command"),
        ({"lfs": "yes"}, "options.lfs"),
        ({"nonsense": 1}, "options.nonsense"),
    ],
    ids=str,
)
async def test_what_may_not_be_said_is_named_and_nothing_is_kept(office: Office, options: Json, field: str) -> None:
    refused = await office.client.post(URL, json={"repository_url": TOOLS, "options": options})
    assert field in fields_of(refused)
    assert (await office.client.get(URL)).json()["repositories"] == []
    await office.configure(max_concurrent=2)
    assert field in fields_of(await office.patch({"options": options}))
    assert (await office.read())["options"]["max_concurrent"] == 2


@pytest.mark.parametrize("url", ["http://github.com/a/b", "https://evil.example/a/b", "https://u:p@github.com/a/b"])
async def test_an_address_that_orders_may_not_use_cannot_be_configured(office: Office, url: str) -> None:
    refused = await office.client.post(URL, json={"repository_url": url})
    assert "repository_url" in fields_of(refused)


async def test_pages_hold_every_repository_once(office: Office) -> None:
    urls = [f"https://github.com/octo/r{number}" for number in range(5)]
    for url in reversed(urls):
        await office.configure(url)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        parameters = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await office.client.get(URL, params=parameters)).json()
        seen += [one["repository_url"] for one in page["repositories"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == urls


async def test_what_orders_merely_named_is_not_configured(office: Office) -> None:
    await office.bench.file(repository_url=TOOLS)
    assert (await office.client.get(URL)).json() == {"repositories": [], "next_cursor": None}
    detail_of(await office.client.get(f"{URL}/{ID}"), 404)
    detail_of(await office.patch({"display_name": "x"}), 404)
    detail_of(await office.client.post(f"{URL}/{ID}/verify"), 404)
    detail_of(await office.client.delete(f"{URL}/{ID}"), 404)


@pytest.mark.parametrize("strange", ["x", "..~..~..x", "github.com~octo", "github.com~a~b~c", "%00~a~b", "a" * 700])
async def test_a_strange_identifier_is_no_repository(office: Office, strange: str) -> None:
    answer = await office.client.get(f"{URL}/{strange}")
    assert answer.status_code in (404, 422)


# --- changes ---


async def test_a_change_touches_only_what_it_names(office: Office) -> None:
    made = await office.configure(max_concurrent=3, model="opus", lfs=True)
    changed = await office.patch(
        {"options": {"model": None, "max_cost_usd": 2}, "display_name": "Tools"}, made["version"]
    )
    assert changed.status_code == 200, changed.text
    options = changed.json()["options"]
    assert (options["max_concurrent"], options["model"], options["lfs"], options["max_cost_usd"]) == (3, None, True, 2)
    named = await office.patch({"display_name": None})
    assert (named.json()["display_name"], named.json()["options"]) == (None, options)


async def test_a_change_says_which_version_it_is_about(office: Office) -> None:
    made = await office.configure()
    missing = await office.patch({"display_name": "x"}, None)
    assert detail_of(missing, 428)["code"] == "version_missing"
    assert "If-Match" in fields_of(await office.patch({"display_name": "x"}, "newest"))
    assert (await office.patch({"options": {"depth": 1}}, made["version"])).status_code == 200
    late = await office.patch({"options": {"depth": 2}}, made["version"])
    assert detail_of(late, 409)["code"] == "settings_changed"
    assert (await office.read())["options"]["depth"] == 1
    gone = await office.client.delete(f"{URL}/{ID}", headers={"If-Match": str(made["version"])})
    detail_of(gone, 409)


async def test_of_many_changes_of_one_version_one_wins(office: Office) -> None:
    made = await office.configure()
    statuses: list[int] = []

    async def change(depth: int) -> None:
        statuses.append((await office.patch({"options": {"depth": depth}}, made["version"])).status_code)

    async with anyio.create_task_group() as group:
        for depth in range(1, 7):
            group.start_soon(change, depth)
    assert sorted(statuses) == [200, *[409] * 5]


async def test_a_forgotten_repository_keeps_its_orders(office: Office) -> None:
    await office.configure(max_concurrent=0)
    order_id = await office.bench.file(repository_url=TOOLS)
    assert (await office.client.delete(f"{URL}/{ID}")).status_code == 204
    detail_of(await office.client.get(f"{URL}/{ID}"), 404)
    assert (await office.client.get(f"/api/awo/work-orders/{order_id}")).json()["status"] == "pending"
    again = await office.configure()
    assert again["options"]["max_concurrent"] is None


async def test_the_audit_says_who_changed_what_and_no_value_of_a_variable(office: Office) -> None:
    await office.configure(environment={"A_KEY": "hidden-value"}, files={"a.env": "hidden-content"})
    await office.patch({"options": {"depth": 1, "environment": {"B_KEY": "hidden-value"}}})
    await office.patch({"options": {"verify_command": f"curl -H {SECRET}"}})
    await office.client.delete(f"{URL}/{ID}")
    told = await office.audit()
    assert [(setting, action) for setting, action, _, _ in told] == [
        ("repository:github.com/octo/tools", "reset"),
        *[("repository:github.com/octo/tools", "changed")] * 3,
    ]
    assert told[2][2:] == ('{"depth": null, "environment": ["A_KEY"]}', '{"depth": 1, "environment": ["B_KEY"]}')
    assert "hidden" not in str(told)
    assert SECRET not in str(told)


# --- verification, mirrors ---


async def test_a_verification_is_kept_with_its_checks_and_time(office: Office) -> None:
    made = await office.configure(base_branch="develop")
    bad = Finding(name="contents", ok=False, detail=f"No push with {SECRET}.", next_action="Give it the right.")
    office.answer[0] = Verification(False, (GOOD, bad), "trunk")
    answer = await office.client.post(f"{URL}/{ID}/verify")
    assert answer.status_code == 200
    assert office.asked == [(TOOLS, RepositoryOptions(base_branch="develop"))]
    shown = await office.read()
    assert shown == answer.json()
    assert (shown["is_verified"], shown["default_branch"]) == (False, "trunk")
    assert shown["last_verified_at"] == shown["verification"]["at"]
    assert [check["name"] for check in shown["verification"]["checks"]] == ["repository", "contents"]
    assert SECRET not in answer.text
    assert shown["version"] == made["version"]


async def test_a_verification_that_hangs_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.configure()
    monkeypatch.setattr(desk, "VERIFY_WITHIN", 0.01)

    async def hang(repository: Repository, options: RepositoryOptions) -> Verification:
        await anyio.sleep_forever()
        raise AssertionError

    registry = getattr(office.bench.app.state, STATE_NAME).registry
    monkeypatch.setattr(registry, "_verify", hang)
    shown = (await office.client.post(f"{URL}/{ID}/verify")).json()
    assert (shown["is_verified"], shown["verification"]["checks"][0]["name"]) == (False, "time")


async def test_a_repository_whose_host_is_no_longer_allowed_is_not_asked(office: Office) -> None:
    gone = Configuration("gone.example/a/b", "https://gone.example/a/b", RepositoryOptions())
    await office.bench.store.save_repository(gone, 0, "Ana")
    shown = (await office.client.post(f"{URL}/gone.example~a~b/verify")).json()
    assert office.asked == []
    assert (shown["is_verified"], shown["verification"]["checks"][0]["name"]) == (False, "address")
    assert "AWO_ALLOWED_REPOSITORY_HOSTS" in shown["verification"]["checks"][0]["next_action"]


async def test_the_mirror_is_shown_and_a_broken_disk_hides_nothing_else(office: Office) -> None:
    await office.configure()
    at = datetime(2026, 1, 2, tzinfo=UTC)
    office.bench.checkouts.kept = [MirrorView("github.com/octo/tools", 1234, at, 2)]
    assert (await office.read())["mirror"] == {
        "size_bytes": 1234, "last_fetched_at": "2026-01-02T00:00:00Z", "orders": 2,
    }  # fmt: skip
    office.bench.checkouts.error = OSError("the disk is gone")
    assert (await office.read())["mirror"] is None


# --- what it changes for orders ---


async def test_an_order_gets_the_repositorys_defaults_where_it_names_none(office: Office) -> None:
    await office.configure(workflow_type="quick_fix", base_branch="develop", model="opus", max_cost_usd=2)
    order_id = await office.bench.file(repository_url=TOOLS)
    order = await office.bench.store.get(order_id)
    assert (order.workflow_type, order.base_branch, order.model, order.max_cost_usd) == (
        "quick_fix", "develop", "opus", 2,
    )  # fmt: skip
    assert list(order.selected_commands) == [step.name for step in BUILT_IN["quick_fix"].steps]
    named = await office.bench.file(
        repository_url=TOOLS, workflow_type="plan_only", base_branch="main", model="haiku", max_cost_usd=1
    )
    order = await office.bench.store.get(named)
    assert (order.workflow_type, order.base_branch, order.model, order.max_cost_usd) == (
        "plan_only", "main", "haiku", 1,
    )  # fmt: skip


async def test_a_repeated_request_is_the_same_order_also_when_the_defaults_changed_meanwhile(office: Office) -> None:
    await office.configure(model="opus")
    body = {"repository_url": TOOLS, "user_request": "Add a flag.", "idempotency_key": "one"}
    first = await office.client.post("/api/awo/work-orders", json=body)
    await office.patch({"options": {"model": "haiku", "workflow_type": "quick_fix"}})
    again = await office.client.post("/api/awo/work-orders", json=body)
    assert (again.status_code, again.json()["agent_work_order_id"]) == (202, first.json()["agent_work_order_id"])
    assert again.json()["model"] == "opus"


async def test_a_default_workflow_that_is_gone_is_named_before_anything_is_filed(office: Office) -> None:
    mine = Workflow("mine", "Mine.", BUILT_IN["quick_fix"].steps, source="mine.yaml")
    office.workflows[0] = Workflows((mine,))
    await office.configure(workflow_type="mine")
    order = await office.bench.store.get(await office.bench.file(repository_url=TOOLS))
    assert order.workflow_type == "mine"
    office.workflows[0] = Workflows()
    refused = await office.client.post(
        "/api/awo/work-orders", json={"repository_url": TOOLS, "user_request": "Add a flag."}
    )
    assert "workflow_type" in fields_of(refused)
    # What was filed with it is still read like any other.
    shown = await office.client.get(f"/api/awo/work-orders/{order.agent_work_order_id}")
    assert shown.json()["workflow_type"] == "mine"
    assert (await office.client.get("/api/awo/work-orders")).status_code == 200
    # And the option that names it stays as it is until somebody changes it.
    assert (await office.patch({"options": {"depth": 3}})).status_code == 422
    assert (await office.patch({"options": {"workflow_type": None}})).status_code == 200


async def test_an_operators_workflow_is_listed_and_its_steps_can_be_chosen(office: Office) -> None:
    steps = BUILT_IN["agent_workflow_plan"].steps
    mine = Workflow("mine", "Mine.", steps, branch_prefix="bot/", source="mine.yaml")
    office.workflows[0] = Workflows((mine,), ("workflows/bad.yaml:3: it is no YAML",))
    listed = (await office.client.get("/api/awo/workflows")).json()
    assert listed["problems"] == ["workflows/bad.yaml:3: it is no YAML"]
    assert [one["name"] for one in listed["workflows"]] == [*BUILT_IN, "mine"]
    shown = listed["workflows"][-1]
    assert (shown["source"], shown["branch_prefix"], shown["is_default"]) == ("mine.yaml", "bot/", False)
    assert shown["possible_gates"] == ["plan", "push"]
    planning = shown["steps"][1]
    assert (planning["kind"], planning["command"], planning["read_only"]) == ("agent", "planning", True)
    assert shown["steps"][0]["command"] is None
    order_id = await office.bench.file(workflow_type="mine", selected_commands=["create-branch", "execute", "commit"])
    order = await office.bench.store.get(order_id)
    assert order.selected_commands == ("create-branch", "execute", "verify", "commit")


# --- issues ---


async def test_an_issues_title_is_shown(office: Office) -> None:
    answer = await office.client.get("/api/awo/issues", params={"repository_url": TOOLS, "number": 7})
    assert answer.json() == {"number": 7, "title": "Trouble in Octo/Tools", "url": f"{TOOLS}/issues/7"}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StepFailed(FailureClass.CONFLICT, "There is no issue 7.", next_action="Correct it."), 404),
        (StepFailed(FailureClass.AUTH, "The token may not see it.", next_action="Give it the right."), 404),
        (StepFailed(FailureClass.NETWORK, "GitHub cannot be reached.", next_action="Wait."), 503),
        (MustWait(WaitingReason.USAGE_LIMIT, "Too many calls.", until=None, next_action="Wait."), 503),
    ],
    ids=lambda value: type(value).__name__ + str(value)[:20].strip().replace(" ", "-"),
)
async def test_an_issue_that_cannot_be_read_says_why(office: Office, error: Exception, status: int) -> None:
    office.forge.error = error
    answer = await office.client.get("/api/awo/issues", params={"repository_url": TOOLS, "number": 7})
    assert detail_of(answer, status)["error"] == str(error)


async def test_an_issue_of_a_host_that_is_not_allowed_is_not_asked_for(office: Office) -> None:
    asked = {"repository_url": "https://evil.example/a/b", "number": "7"}
    assert "repository_url" in fields_of(await office.client.get("/api/awo/issues", params=asked))
    assert "number" in fields_of(
        await office.client.get("/api/awo/issues", params={"repository_url": TOOLS, "number": "0"})
    )


# --- the guard ---


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("POST", ""), ("GET", f"/{ID}"), ("PATCH", f"/{ID}"), ("DELETE", f"/{ID}"),
        ("POST", f"/{ID}/verify"), ("GET", "/../issues"),
    ],
)  # fmt: skip
async def test_strangers_and_other_sites_get_nowhere(office: Office, method: str, path: str) -> None:
    url = f"{URL}{path}" if ".." not in path else "/api/awo/issues"
    body: Json | None = {} if method in ("POST", "PATCH") else None
    if method != "GET":
        evil = await office.client.request(method, url, json=body, headers={"Origin": "https://evil.example"})
        detail_of(evil, 403)
    office.bench.policy[0] = GuardPolicy(bound_to_loopback=False, token="0123456789abcdef")
    detail_of(await office.client.request(method, url, json=body), 401)


async def test_a_server_without_a_registry_says_so(bench: Bench) -> None:
    assert detail_of(await bench.client.get(URL), 503)["code"] == "no_registry"
