"""The dashboard and the alert rules, asked of a real Prometheus that scrapes a real server whose orders really ran."""

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from src.agent_work_orders.rehearsal import Stage
from tests.agent_work_orders.postgres.binaries import must_be_there
from tests.agent_work_orders.story.archon import Archon, eventually, free_port, running_archon
from tests.agent_work_orders.story.conftest import MakeRepository, Play, make_repository, play, stage
from tests.agent_work_orders.story.scripts import WRITES_HELLO, executing, says
from tests.agent_work_orders.story.test_conversation import answer, asks

from .test_dashboards import DASHBOARD, FOLDER, RULES

__all__ = ["make_repository", "play", "stage"]

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and not must_be_there(),
    reason="NOT TESTED: prometheus is not installed here (Debian: apt-get install --no-install-recommends prometheus)",
)
# For each alert the series, in promtool's own notation and one value a minute, that make it fire within two hours.
MAKE_IT_FIRE = {
    "WorkOrdersWaitForASlot": {"awo_oldest_pending_seconds": "0+60x120"},
    "WorkOrdersFail": {
        'awo_orders_finished_total{status="failed",failure_class="agent"}': "0+1x120",
        'awo_orders_finished_total{status="completed",failure_class=""}': "0x120",
    },
    "WorkOrderCredentialsRefused": {'awo_orders_finished_total{status="failed",failure_class="auth"}': "0x100 1x20"},
    "WorkOrderVolumeFillsUp": {
        'awo_disk_free_bytes{instance="a",volume="repositories"}': "9x120",
        'awo_disk_size_bytes{instance="a",volume="repositories"}': "100x120",
    },
    "WorkOrderStoreAway": {'awo_store_failures_total{instance="a",call="claim"}': "0+60x120"},
    "WorkOrderLeasesLost": {'awo_leases_lost_total{instance="a"}': "0+1x120"},
    "WorkOrdersCostMuch": {'awo_cost_usd_total{instance="a"}': "0+2x120"},
}


class Prometheus:
    """One that runs and scrapes each second."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def ready(self) -> bool:
        try:
            return self._client.get("/status/runtimeinfo").status_code == 200
        except httpx.TransportError:
            return False

    def values(self, query: str) -> list[float]:
        """What the query returns now, without what is no number."""
        said = self._client.get("/query", params={"query": query}).json()
        assert said["status"] == "success", (query, said)
        found = (float(one["value"][1]) for one in said["data"]["result"])
        return [value for value in found if math.isfinite(value)]

    def rules(self) -> dict[str, dict[str, Any]]:
        [group] = self._client.get("/rules").json()["data"]["groups"]
        return {rule["name"]: rule for rule in group["rules"]}


@contextmanager
def watching(archon: Archon, folder: Path) -> Iterator[Prometheus]:
    """With the alert rules of this repository; it is gone at the end, with all that it kept."""
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(FOLDER / "alerts.yml")],
        "scrape_configs": [
            {
                "job_name": "archon",
                "metrics_path": "/api/awo/metrics",
                "static_configs": [{"targets": [archon.address.removeprefix("http://")]}],
            }
        ],
    }
    folder.mkdir()
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    listens = f"127.0.0.1:{free_port()}"
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address={listens}", "--log.level=warn",
    ]  # fmt: skip
    with (
        httpx.Client(base_url=f"http://{listens}/api/v1", timeout=30) as client,
        (folder / "log").open("wb") as sink,
        subprocess.Popen(  # noqa: TID251 - this block is the child's scope
            command, cwd=folder, env={"PATH": os.environ["PATH"]}, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL
        ) as process,
    ):
        try:
            prometheus = Prometheus(client)
            eventually(prometheus.ready, within=30)
            yield prometheus
        finally:
            process.kill()


@needs_prometheus
def test_every_query_of_the_dashboard_returns_data_and_every_alert_is_evaluated(
    stage: Stage, play: Play, make_repository: MakeRepository, tmp_path: Path
) -> None:
    def all_sorts_of_orders() -> None:
        play(WRITES_HELLO)
        approved = archon.file(make_repository().url, requires_approval=["push"])
        assert answer(approved, "approve", asks(approved, "push")).status_code == 202
        approved.completed()
        play(executing(says("Refused.", error=401)))
        archon.file(make_repository().url).failed("auth")

    with running_archon(tmp_path / "home", stage) as archon, watching(archon, tmp_path / "prometheus") as prometheus:
        all_sorts_of_orders()
        # What grows between two scrapes is a rate: a series that is only just there has none yet.
        eventually(lambda: prometheus.values('awo_orders_finished_total{failure_class="auth"}'), within=30)
        all_sorts_of_orders()

        for panel in DASHBOARD["panels"]:
            for query in (target["expr"] for target in panel["targets"]):
                assert "$" not in query, "say here what Grafana would put in its place"
                eventually(partial(prometheus.values, query), within=20)

        # The one alert that these orders give cause for.
        eventually(lambda: prometheus.rules()["WorkOrderCredentialsRefused"]["state"] == "firing", within=20)
        rules = prometheus.rules()
        assert set(rules) == {rule["alert"] for rule in RULES}
        assert {name: (rule["health"], rule.get("lastError")) for name, rule in rules.items()} == dict.fromkeys(
            rules, ("ok", None)
        )


@needs_prometheus
def test_every_alert_fires_when_it_should_and_is_silent_otherwise(tmp_path: Path) -> None:
    def case(alert: str, series: dict[str, str], at: str) -> dict[str, Any]:
        [rule] = [rule for rule in RULES if rule["alert"] == alert]
        told = [name for name in series if name.partition("{")[0] in rule["expr"]]
        assert told == list(series)
        return {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {"expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})', "eval_time": at}
            ],
        }

    assert set(MAKE_IT_FIRE) == {rule["alert"] for rule in RULES}
    tests = []
    for alert, series in MAKE_IT_FIRE.items():
        fires, silent = case(alert, series, "2h"), case(alert, series, "1m")
        fires["promql_expr_test"][0]["exp_samples"] = [{"value": 1}]
        tests += [fires, silent]
    file = tmp_path / "tests.yml"
    file.write_text(
        yaml.safe_dump({"rule_files": [str(FOLDER / "alerts.yml")], "evaluation_interval": "1m", "tests": tests})
    )
    for command in (["check", "rules", str(FOLDER / "alerts.yml")], ["test", "rules", str(file)]):
        said = subprocess.run(
            ["promtool", *command], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )
        assert said.returncode == 0, said.stdout + said.stderr
