"""The interface's description is complete: the UI's types and other people's clients are made from it."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from src.agent_work_orders.api import router
from src.agent_work_orders.domain.events import PAYLOADS
from src.agent_work_orders.domain.status import Status

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    app = FastAPI()
    app.include_router(router)
    return app.openapi()


def operations(document: Json) -> Iterator[tuple[str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def schemas(document: Json) -> Iterator[tuple[str, Json]]:
    yield from document["components"]["schemas"].items()


def test_every_route_of_the_contract_is_there_once(document: Json) -> None:
    order = "/api/awo/work-orders/{agent_work_order_id}"
    assert {name for name, _ in operations(document)} == {
        "POST /api/awo/work-orders",
        "GET /api/awo/work-orders",
        f"GET {order}",
        f"DELETE {order}",
        f"POST {order}/cancel",
        f"POST {order}/retry",
        f"POST {order}/archive",
        f"POST {order}/unarchive",
        f"GET {order}/events",
        f"GET {order}/events/stream",
        f"GET {order}/artifacts",
        f"GET {order}/artifacts/{{artifact_id}}",
        f"GET {order}/diff",
        "GET /api/awo/events/stream",
        "GET /api/awo/repositories",
        "POST /api/awo/repositories",
        "GET /api/awo/repositories/{repository_id}",
        "POST /api/awo/work-orders/{agent_work_order_id}/approve",
        "POST /api/awo/work-orders/{agent_work_order_id}/reject",
        "POST /api/awo/work-orders/{agent_work_order_id}/messages",
        "GET /api/awo/work-orders/{agent_work_order_id}/messages",
        "PATCH /api/awo/repositories/{repository_id}",
        "DELETE /api/awo/repositories/{repository_id}",
        "POST /api/awo/repositories/{repository_id}/verify",
        "GET /api/awo/issues",
        "GET /api/awo/workflows",
        "GET /api/awo/health",
        "GET /api/awo/status",
        "GET /api/awo/metrics",
        "GET /api/awo/settings",
        "PATCH /api/awo/settings",
        "GET /api/awo/settings/audit",
        "PUT /api/awo/settings/secrets/{name}",
        "DELETE /api/awo/settings/secrets/{name}",
        "POST /api/awo/settings/test/{subject}",
        "POST /api/awo/cleanup",
        "POST /api/awo/session",
        "DELETE /api/awo/session",
    }


def test_every_route_says_what_it_does_and_how_it_can_fail(document: Json) -> None:
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        answers = operation["responses"]
        assert {"403", "503", "default"} <= set(answers), name
        assert "401" in answers or name.endswith("/health"), name
        about_one = (
            "{agent_work_order_id}" in name or "{repository_id}" in name or name.endswith(("/issues", "/metrics"))
        )
        assert ("404" in answers) == about_one, name
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= set(answers), name
        for status, answer in answers.items():
            assert answer["description"], (name, status)
            if not status.startswith("2") and not (name.endswith("/health") and status == "503"):
                schema = answer["content"]["application/json"]["schema"]
                answered = status == "409" and name.endswith(("/approve", "/reject"))  # says by whom and when, too
                body = "AnsweredBefore" if answered else "ErrorBody"
                assert schema == {"$ref": f"#/components/schemas/{body}"}, (name, status)


def test_every_parameter_is_described(document: Json) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_field_is_described(document: Json) -> None:
    known = document["components"]["schemas"]
    bare = [
        f"{name}.{field}"
        for name, schema in schemas(document)
        for field, described in schema.get("properties", {}).items()
        # A field that is a schema of its own is described there: newer versions keep nothing beside a reference.
        if not (
            described.get("description")
            or known.get(described.get("$ref", "").rpartition("/")[2], {}).get("description")
        )
    ]
    assert not bare


def test_every_body_has_an_example(document: Json) -> None:
    for name, schema in schemas(document):
        if name in ("WorkOrderRequest", "RetryRequest", "SecretValue", "Offer", "NewRepository", "RepositoryChanges"):
            assert schema["examples"]
            assert schema["additionalProperties"] is False


def test_no_body_of_a_success_has_a_field_called_error(document: Json) -> None:
    for name, schema in schemas(document):
        if name != "ErrorDetail":
            assert "error" not in schema.get("properties", {}), name


def test_the_states_are_the_domains_own(document: Json) -> None:
    assert document["components"]["schemas"]["Status"]["enum"] == list(Status)


def test_every_kind_of_event_is_told_apart_by_its_name(document: Json) -> None:
    events = document["components"]["schemas"]["EventsPage"]["properties"]["events"]["items"]
    assert set(events["discriminator"]["mapping"]) == set(PAYLOADS)


def test_names_of_schemas_are_fit_for_types(document: Json) -> None:
    assert all(name.isidentifier() and "__" not in name for name, _ in schemas(document))
