"""What lies in deploy/monitoring: well formed, whole, and about metrics that the running services serve."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine

from ca.metrics import CaMetrics
from ledger.metrics import LedgerMetrics, WitnessMetrics
from sealcore.clock import SystemClock
from signer.metrics import SignerMetrics
from tests.cli.running import RunningOffice
from tests.conftest import EXAMPLES, REPOSITORY
from tests.observability.promql import parse
from timestamp.client.metrics import SourceMetrics
from timestamp.metrics import ParentMetrics, WorkerMetrics
from verify.service import Metrics
from vermilion.operation.configuration import monitoring_targets
from vermilion.operation.ports import default_ports
from vermilion.state.office import Office
from workflow.metrics import WorkflowMetrics

MONITORING = REPOSITORY / "deploy" / "monitoring"
ALERTS: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [rule["expr"] for rule in ALERTS] + [target["expr"] for panel in PANELS for target in panel.get("targets", ())]
OF_PROMETHEUS = {"up"}
OF_OUTSIDE_TSAS = set(SourceMetrics(CollectorRegistry()).registry._names_to_collectors)  # served where one is configured
OF_THE_TARGET = {"job", "instance"}


def declared() -> dict[str, set[str]]:
    """The labels of every metric that our objects make, for those of which a quiet office shows no sample yet."""
    nobody: Any = None  # what these objects read when they are asked; nobody asks here
    objects = (
        SignerMetrics(SystemClock()),
        SourceMetrics(CollectorRegistry()),
        CaMetrics(create_engine("sqlite://"), tuple, waiting=int, clock=SystemClock()),
        LedgerMetrics(nobody, Path()),
        WitnessMetrics(Path()),
        Metrics(),
        WorkflowMetrics(create_engine("sqlite://")),
        WorkerMetrics(),
        ParentMetrics(),
    )
    found: dict[str, set[str]] = {}
    for one in objects:
        for collector in one.registry._collector_to_names:
            for name in one.registry._collector_to_names[collector]:
                found[name] = set(getattr(collector, "_labelnames", ())) | ({"le"} if name.endswith("_bucket") else set())
    return found


DECLARED = declared()


@pytest.fixture(scope="module")
def served(office: RunningOffice, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Every series that the running office serves after a document was sealed and verified: sample name → its labels."""
    folder = tmp_path_factory.mktemp("papers")
    (folder / "invoice.pdf").write_bytes((EXAMPLES / "invoice.pdf").read_bytes())
    applied = office.run("seal", folder, "--wait", "0", "--out", folder / "sealed")
    number = next(word for word in applied.stdout.split() if word.startswith("DEMO-"))
    for person in ("Chen Rui", "Zhao Ming"):
        assert office.run("forms", "approve", number, "--as", person, "--yes").returncode == 0
    assert office.run("seal", folder, "--out", folder / "sealed").returncode == 0
    document = (folder / "sealed" / "invoice.pdf").read_bytes()
    assert httpx.post(office.office.url("verify") + "/v1/verify", files={"file": ("a.pdf", document)}, timeout=60).status_code == 200
    found: dict[str, set[str]] = defaultdict(set)
    for target in monitoring_targets(office.office):
        answer = httpx.get(f"http://{target['targets'][0]}/metrics", timeout=30)
        assert answer.status_code == 200, (target, answer.text)
        for family in text_string_to_metric_families(answer.text):
            found[f"{family.name}_total" if family.type == "counter" else family.name] |= set()
            if family.type == "histogram":
                for suffix in ("_bucket", "_sum", "_count"):
                    found[family.name + suffix] |= set()
            for sample in family.samples:
                found[sample.name] |= set(sample.labels)
    return found


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_expression_is_about_series_that_are_served(served: dict[str, set[str]], expression: str) -> None:
    named = parse(expression)
    assert named.metrics
    for metric, filtered in named.metrics.items():
        assert metric in served or metric in OF_PROMETHEUS | OF_OUTSIDE_TSAS, f"{metric} is served by nobody"
        labels = served[metric] | DECLARED.get(metric, set()) | OF_THE_TARGET
        assert filtered | named.groups <= labels, f"{metric} has no label {(filtered | named.groups) - labels}"


def test_every_part_of_every_service_is_ready(office: RunningOffice) -> None:
    parts: dict[str, set[str]] = {}
    for target in monitoring_targets(office.office):
        url = f"http://{target['targets'][0]}"
        answer = httpx.get(f"{url}/readyz", timeout=30)
        assert answer.status_code == 200, answer.text
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        parts[target["labels"]["job"]] = set(answer.json()["parts"])
    assert parts == {
        "signer": {"database", "storage", "workers", "clock", "revocation", "sandbox"},
        "ca": {"database", "storage", "hsm", "crls"},
        "ocsp": {"database", "answers"},
        "timestamp": {"token", "clock"},
        "ledger": {"hsm", "log"},
        "witness": {"hsm"},
        "verify": {"crls", "ledger", "sandbox"},
        "workflow": {"database", "storage", "hsm", "signer", "revocation"},
    }


def test_the_office_writes_where_its_services_are(office: RunningOffice) -> None:
    assert json.loads(office.layout.monitoring_targets.read_text("utf-8")) == monitoring_targets(office.office)
    plan = Office(name="a", name_english="a", slug="a", unit="A", ports=default_ports())
    assert json.loads((MONITORING / "targets.json").read_text("utf-8")) == monitoring_targets(plan)
    assert yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))["scrape_configs"][0]["file_sd_configs"] == [
        {"files": ["targets.json"]}
    ]


def test_each_alert_says_how_urgent_it_is_what_is_wrong_and_what_to_do() -> None:
    names = [rule["alert"] for rule in ALERTS]
    assert len(names) == len(set(names)) > 15
    for rule in ALERTS:
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "way_out"}
        assert re.fullmatch(r"\d+[mh]", rule.get("for", "1m"))
        by = parse(rule["expr"]).groups
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"] + rule["annotations"]["way_out"]):
            assert not by or label in by | {"job"}, f"{rule['alert']} speaks of {label}, which its expression sums away"


def test_every_part_of_the_issue_is_on_the_dashboard() -> None:
    shown = " ".join(EXPRESSIONS)
    for metric in (
        "stage_cpu_seconds",
        "waiting_documents",
        "wait_seconds",
        "hsm_calls",
        "hsm_sessions",
        "prepared",
        "held_bytes",
        "stops",
    ):
        assert f"vermilion_signer_{metric}" in shown


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references)) > 0
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert labels <= parse(target["expr"]).groups | OF_THE_TARGET
    assert [one["name"] for one in DASHBOARD["templating"]["list"]] == ["datasource"]


@pytest.mark.parametrize("wrong", ["sum(rate(x[5m])", "sum(x))", "avrg(x)", "x{a=~'b'}", "x[5 m]", "sum by (a"])
def test_the_little_parser_knows_what_is_wrong(wrong: str) -> None:
    with pytest.raises((ValueError, StopIteration)):
        assert not parse(wrong).groups


def test_prometheus_itself_takes_them() -> None:
    """Where promtool is installed it has the last word; the tests above stand without it."""
    promtool = shutil.which("promtool")
    if promtool is None:
        assert all(parse(expression).metrics for expression in EXPRESSIONS)
        return
    for what, file in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = subprocess.run([promtool, "check", what, MONITORING / file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
