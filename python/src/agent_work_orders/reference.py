"""Makes `docs/reference/{api,events,metrics,failures}.md` from the code itself; run as a program, writes them."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from prometheus_client.metrics_core import Metric

from .api import router
from .domain.errors import FailureClass
from .domain.events import PAYLOADS
from .metrics import Catalogue

MADE_BY = "python -m src.agent_work_orders.reference"
FAILURES: Mapping[FailureClass, tuple[str, str]] = {
    FailureClass.AUTH: (
        "A credential was refused: GitHub's, the model's, or git's.",
        "Save a new one in Archon's settings and try it with the test button; then retry the order.",
    ),
    FailureClass.LIMIT: (
        "The account's limit at the model or at GitHub, and waiting for it did not help.",
        "Wait until the limit is renewed, or use another account; then retry.",
    ),
    FailureClass.BUDGET: (
        "The order spent what it may (`max_cost_usd`, `AWO_MAX_COST_USD`).",
        "File it again with a higher limit, or ask for less.",
    ),
    FailureClass.TIMEOUT: (
        "A turn of the agent or a check took longer than `AGENT_WORK_ORDER_TIMEOUT`.",
        "Raise the time, or make the request smaller; then retry from that step.",
    ),
    FailureClass.STALLED: (
        "The agent said nothing for `AWO_STALL_TIMEOUT`.",
        "Retry; if it happens again, look at the last tool it used.",
    ),
    FailureClass.DISK: (
        "A volume is full, read-only, or holds what cannot be deleted.",
        "Make room (`python -m src.agent_work_orders.cleanup`, or the Settings page), then retry.",
    ),
    FailureClass.NETWORK: (
        "A host could not be reached or did not answer in time.",
        "See that the server reaches it, then retry.",
    ),
    FailureClass.GIT: ("Git refused something; its own words are in the message.", "The message says what."),
    FailureClass.CONFLICT: (
        "The remote's branch is not what the order left there: somebody else pushed to it.",
        "File a new order, or take the work over by hand; the order's commits are kept.",
    ),
    FailureClass.POLICY: (
        "The settings do not allow it, or a person rejected it.",
        "Change the settings, or file another order.",
    ),
    FailureClass.VERIFICATION: (
        "The repository's check stayed red; nothing was pushed.",
        "Read the evidence, then send the agent a message, or retry.",
    ),
    FailureClass.AGENT: (
        "The agent ended without a result, or said that it could not do it.",
        "Read its last words in the transcript, then retry or ask differently.",
    ),
    FailureClass.INTERNAL: (
        "A fault of Agent Work Orders itself.",
        "Retry; if it fails again, report the error in the server's log.",
    ),
}


def main(root: Path) -> int:
    """Writes all below the repository's root."""
    for path, text in documents().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return 0


def documents() -> dict[str, str]:
    """All texts by path."""
    return {
        f"docs/reference/{name}.md": "\n".join(lines) + "\n"
        for name, lines in (
            ("api", _api()),
            ("events", _events()),
            ("metrics", _metrics()),
            ("failures", _failures()),
        )
    }


def _head(title: str, about: str) -> Iterator[str]:
    yield from (f"# {title}", "", f"Made from the code by `{MADE_BY}` (in `python/`); a test keeps it equal.", "")
    yield from (about, "")


def _api() -> Iterator[str]:
    yield from _head(
        "HTTP API",
        "Every route is there with and without a slash at its end. The running server describes them all, with every "
        "field and an example for every body, at `/openapi.json` and, for people, at `/docs`.",
    )
    yield from ("| method | path | what it does | answers |", "| --- | --- | --- | --- |")
    application = FastAPI()
    application.include_router(router)
    paths: dict[str, dict[str, Any]] = application.openapi()["paths"]
    for path, methods in sorted(paths.items()):
        for method, operation in methods.items():
            answers = ", ".join(sorted(operation["responses"]))
            yield f"| {method.upper()} | `{path}` | {_cell(operation['summary'])} | {answers} |"


def _events() -> Iterator[str]:
    yield from _head(
        "Events",
        "An order's journal. Each event has `seq` (from 1, without gaps), `at`, `kind`, `step_order` and `attempt`, "
        "and in `payload` what its kind says. Bodies over 16 kB are cut and name the artifact that holds the whole.",
    )
    for kind, payload in PAYLOADS.items():
        yield from (f"## `{kind}`", "")
        first = (payload.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ")
        if payload.__doc__ and first:
            yield from (first, "")
        if payload.model_fields:
            yield from ("| field | |", "| --- | --- |")
            for name, field in payload.model_fields.items():
                yield f"| `{name}` | {_cell(field.description or '')} |"
            yield ""


def _metrics() -> Iterator[str]:
    yield from _head(
        "Metrics",
        "`GET /api/awo/metrics`, in Prometheus' text format. Counters end in `_total`, histograms in `_bucket`, `_sum` "
        "and `_count`. No label holds an order, a repository or a person. Where a bearer token is configured "
        "Prometheus needs it too (`authorization` in the scrape configuration).",
    )
    yield from ("| metric | type | labels | |", "| --- | --- | --- | --- |")
    for name, metric, labels in _families():
        shown = ", ".join(f"`{label}`" for label in labels) or "none"
        yield f"| `{name}` | {metric.type} | {shown} | {_cell(metric.documentation)} |"


def _families() -> Iterator[tuple[str, Metric, tuple[str, ...]]]:
    for holder in vars(Catalogue()).values():
        if hasattr(holder, "describe"):
            for metric in holder.describe():
                labels: tuple[str, ...] = holder._labelnames  # the library shows them in no other way
                yield (f"{metric.name}_total" if metric.type == "counter" else metric.name), metric, labels


def _failures() -> Iterator[str]:
    yield from _head(
        "Failure classes",
        "An order that failed has one of these in `failure_class`, one sentence on the cause in `error_message` and "
        "one on what to do in `next_action`. What the agent did is not lost: it stands in the order's last checkpoint.",
    )
    yield from ("| class | what it means | what to do |", "| --- | --- | --- |")
    for failure_class in FailureClass:
        meaning, action = FAILURES[failure_class]
        yield f"| `{failure_class}` | {_cell(meaning)} | {_cell(action)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[3]))
