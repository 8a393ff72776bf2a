"""The dashboard and the alert rules ask only for what the server really tells."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from src.agent_work_orders.metrics import Catalogue

FOLDER = Path(__file__).parents[3] / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "agent-work-orders.json").read_text())
RULES: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]


def told() -> dict[str, frozenset[str]]:
    """Every series that the server can tell, with its labels."""
    catalogue = Catalogue()
    series: dict[str, frozenset[str]] = {}
    for holder in vars(catalogue).values():
        names: tuple[str, ...] = getattr(holder, "_labelnames", ())
        if names:
            holder.labels(*("x" for _ in names))
    for line in generate_latest(catalogue.registry).decode().splitlines():
        if line.startswith("awo_"):
            name = re.match(r"[a-z_]+", line)
            assert name is not None
            series[name[0]] = frozenset(re.findall(r'([a-z_]+)="', line))
    return series


def queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for rule in RULES:
        yield rule["alert"], rule["expr"]


@pytest.mark.parametrize(("title", "query"), list(queries()))
def test_a_query_asks_for_series_and_labels_that_are_told(title: str, query: str) -> None:
    series = told()
    used = set(re.findall(r"awo_[a-z_]+", query))
    assert used <= set(series), title
    labels = frozenset(["instance"]).union(*(series[name] for name in used))
    asked = {word.strip() for group in re.findall(r"by \(([^)]*)\)", query) for word in group.split(",")}
    asked |= set(re.findall(r"([a-z_]+)=\"", query))
    assert asked <= labels, title
    assert query.count("(") == query.count(")")


def test_every_metric_is_on_the_dashboard() -> None:
    asked = " ".join(query for _, query in queries())
    for holder in vars(Catalogue()).values():
        if hasattr(holder, "describe"):
            [metric] = holder.describe()
            assert metric.name in asked


def test_no_panel_lies_over_another() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_every_alert_says_what_to_do() -> None:
    for rule in RULES:
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["action"].endswith(".")
        assert rule["labels"]["severity"] in ("warning", "critical")
