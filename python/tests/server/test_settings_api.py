"""Archon's settings routes: their shapes, and that no secret ever comes out of them."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from .conftest import make_unusable
from .pretend_database import PretendDatabase

pytestmark = pytest.mark.anyio

SECRET = 'ghp_sëcret/"with+everything'


@pytest.fixture(params=["files", "table"], autouse=True)
def store(request: pytest.FixtureRequest) -> str:
    if request.param == "table":
        request.getfixturevalue("database")
    return str(request.param)


async def post(client: httpx.AsyncClient, key: str, value: object, **more: object) -> httpx.Response:
    return await client.post("/api/credentials", json={"key": key, "value": value, **more})


async def test_a_plain_setting_goes_in_and_comes_out(client: httpx.AsyncClient) -> None:
    answer = await post(client, "THEME", "dark", category="features", description="colours")
    assert answer.status_code == 200
    assert answer.json()["success"] is True
    assert (await client.get("/api/credentials/THEME")).json() == {
        "key": "THEME",
        "value": "dark",
        "is_encrypted": False,
    }
    shown = {
        "key": "THEME",
        "value": "dark",
        "encrypted_value": None,
        "is_encrypted": False,
        "category": "features",
        "description": "colours",
    }
    assert (await client.get("/api/credentials")).json() == [shown]
    assert (await client.get("/api/credentials?category=features")).json() == [shown]
    assert (await client.get("/api/credentials?category=other")).json() == []
    assert (await client.get("/api/credentials/categories/features")).json() == {"credentials": {"THEME": "dark"}}
    metrics = (await client.get("/api/database/metrics")).json()
    assert (metrics["tables"], metrics["total_records"]) == ({"settings": 1}, 1)


async def test_no_route_returns_a_secret(client: httpx.AsyncClient) -> None:
    answers = [
        await post(client, "GITHUB_TOKEN", SECRET, category="api_keys"),
        await client.put("/api/credentials/OTHER", json={"value": SECRET, "is_encrypted": True}),
        await client.get("/api/credentials"),
        await client.get("/api/credentials/GITHUB_TOKEN"),
        await client.get("/api/credentials/categories/api_keys"),
        await client.post("/api/credentials/status-check", json={"keys": ["GITHUB_TOKEN", "OTHER", "NONE"]}),
        await client.post("/api/credentials/initialize"),
        await client.get("/api/database/metrics"),
        await client.get("/api/settings/health"),
        await post(client, "GITHUB_TOKEN", f"{SECRET}\n"),
        await client.post("/api/credentials", json={"key": "", "value": SECRET}),
        await client.post("/api/credentials", content=json.dumps({"value": SECRET})),
        await client.delete("/api/credentials/OTHER"),
    ]
    assert [answer.status_code for answer in answers] == [200] * 9 + [422] * 3 + [200]
    forms = (SECRET, quote(SECRET), base64.b64encode(SECRET.encode()).decode(), json.dumps(SECRET)[1:-1])
    for answer in answers:
        for form in forms:
            assert form not in answer.text
    assert answers[3].json() == {
        "key": "GITHUB_TOKEN",
        "value": "[ENCRYPTED]",
        "is_encrypted": True,
        "category": "api_keys",
        "description": None,
        "has_value": True,
    }
    assert answers[5].json() == {
        "GITHUB_TOKEN": {"key": "GITHUB_TOKEN", "value": "[ENCRYPTED]", "has_value": True},
        "OTHER": {"key": "OTHER", "value": "[ENCRYPTED]", "has_value": True},
        "NONE": {"key": "NONE", "value": None, "has_value": False},
    }


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("value", ["[ENCRYPTED]", "  [ENCRYPTED]\n"])
async def test_the_mask_is_refused_as_a_value(client: httpx.AsyncClient, method: str, value: str) -> None:
    await post(client, "GITHUB_TOKEN", "ghp_1")
    if method == "POST":
        answer = await post(client, "GITHUB_TOKEN", value)
    else:
        answer = await client.put("/api/credentials/GITHUB_TOKEN", json={"value": value})
    assert answer.status_code == 422
    assert answer.json()["detail"]["fields"][0]["field"] == "value"
    assert await usable(client, "GITHUB_TOKEN")


async def usable(client: httpx.AsyncClient, key: str) -> bool:
    answer = await client.post("/api/credentials/status-check", json={"keys": [key]})
    found: bool = answer.json()[key]["has_value"]
    return found


async def test_saving_without_metadata_keeps_it_and_the_encryption(client: httpx.AsyncClient) -> None:
    await post(client, "MINE", "one", is_encrypted=True, category="api_keys", description="words")
    await post(client, "MINE", "two")
    await client.put("/api/credentials/MINE", json={"value": "three"})
    [shown] = (await client.get("/api/credentials")).json()
    assert (shown["is_encrypted"], shown["category"], shown["description"]) == (True, "api_keys", "words")


async def test_saving_metadata_alone_keeps_the_value(client: httpx.AsyncClient) -> None:
    await post(client, "GITHUB_TOKEN", "ghp_1")
    answer = await client.put("/api/credentials/GITHUB_TOKEN", json={"description": "words"})
    assert answer.status_code == 200
    [shown] = (await client.get("/api/credentials")).json()
    assert (shown["value"], shown["description"]) == ("[ENCRYPTED]", "words")
    assert await usable(client, "GITHUB_TOKEN")


async def test_put_creates_what_is_missing_and_can_turn_a_value_into_a_secret(client: httpx.AsyncClient) -> None:
    await client.put("/api/credentials/NEW", json={"category": "features"})
    assert (await client.get("/api/credentials/NEW")).json()["value"] == ""
    await client.put("/api/credentials/NEW", json={"value": True})
    assert (await client.get("/api/credentials/NEW")).json()["value"] == "true"
    await client.put("/api/credentials/NEW", json={"is_encrypted": True})
    assert (await client.get("/api/credentials/NEW")).json()["value"] == "[ENCRYPTED]"
    assert await usable(client, "NEW")


async def test_a_secret_is_not_turned_plain_by_leaving_its_value_out(client: httpx.AsyncClient) -> None:
    await post(client, "NEW", "hidden", is_encrypted=True)
    answer = await client.put("/api/credentials/NEW", json={"is_encrypted": False})
    assert answer.status_code == 422
    assert (await client.get("/api/credentials/NEW")).json()["value"] == "[ENCRYPTED]"


async def test_an_unknown_name_is_404_in_archons_shape_and_known_features_have_defaults(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/api/credentials/NOBODY")
    assert answer.status_code == 404
    assert answer.json()["detail"]["error"] == "Credential NOBODY not found"
    default = (await client.get("/api/credentials/DISCONNECT_SCREEN_ENABLED")).json()
    assert (default["value"], default["is_default"], default["category"]) == ("true", True, "features")


async def test_a_deleted_credential_is_gone(client: httpx.AsyncClient) -> None:
    await post(client, "GITHUB_TOKEN", "ghp_1")
    assert (await client.delete("/api/credentials/GITHUB_TOKEN")).status_code == 200
    assert (await client.get("/api/credentials/GITHUB_TOKEN")).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"value": "x"}, "key"),
        ({"key": "K"}, "value"),
        ({"key": "", "value": "x"}, "key"),
        ({"key": "K" * 256, "value": "x"}, "key"),
        ({"key": "K\n", "value": "x"}, "key"),
        ({"key": "K", "value": ["x"]}, "value"),
        ({"key": "K", "value": "a\x00b"}, "value"),
        ({"key": "K", "value": "x" * 70_000}, "value"),
        ({"key": "K", "value": "x", "category": "c" * 101}, "category"),
        ({"key": "GITHUB_TOKEN", "value": "ghp_1\nHost: evil"}, "value"),
    ],
)
async def test_what_is_not_valid_is_refused_by_name_and_nothing_is_saved(
    client: httpx.AsyncClient, body: dict[str, object], field: str
) -> None:
    answer = await client.post("/api/credentials", json=body)
    assert answer.status_code == 422
    detail = answer.json()["detail"]
    assert field in [problem["field"] for problem in detail["fields"]]
    assert detail["error"]
    assert detail["next_action"]
    assert (await client.get("/api/credentials")).json() == []


async def test_a_lone_surrogate_is_refused(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/api/credentials", content=b'{"key": "K", "value": "\\ud800"}', headers=headers)
    assert answer.status_code == 422
    assert (await client.get("/api/credentials")).json() == []


async def test_a_secret_that_cannot_be_opened_is_said_so(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "the key that will be lost")
    await post(client, "GITHUB_TOKEN", "ghp_1")
    monkeypatch.setenv("ARCHON_ENCRYPTION_KEY", "another key altogether")
    answer = await client.post("/api/credentials/status-check", json={"keys": ["GITHUB_TOKEN"]})
    status = answer.json()["GITHUB_TOKEN"]
    assert status["has_value"] is False
    assert "ARCHON_ENCRYPTION_KEY_PREVIOUS" in status["error"]


async def test_a_store_that_is_away_is_503_with_a_next_action(
    client: httpx.AsyncClient, store: str, home: Path, request: pytest.FixtureRequest
) -> None:
    if store == "table":
        database: PretendDatabase = request.getfixturevalue("database")
        database.refuse()
    else:
        make_unusable(home)
    for answer in (
        await client.get("/api/credentials"),
        await post(client, "THEME", "dark", is_encrypted=False),
        await client.delete("/api/credentials/THEME"),
    ):
        assert answer.status_code == 503
        assert answer.json()["detail"]["error"]
        assert answer.json()["detail"]["next_action"]
