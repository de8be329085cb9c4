"""The table of services: what it must satisfy, and that a service more is an entry more and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import stat
import subprocess
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml
from sqlalchemy import make_url

from sealcore.errors import Code
from tests.cli.running import RunningOffice
from tests.conftest import REPOSITORY
from vermilion.ceremony import ensure
from vermilion.operation import deployment, doctor, service_settings
from vermilion.operation.configuration import write_all
from vermilion.operation.doctor import Health
from vermilion.operation.launcher import Launcher, require_ports, running
from vermilion.services import METRICS, SERVICES, Identity, Listener, ServiceSpec, named, start_waves
from vermilion.state.layout import Layout

TAKEN = max(port for service in SERVICES for port in service.ports.values())
SMALL = ServiceSpec(
    name="small",
    module="tests.cli.small_service",
    purpose="greets",
    listeners=(Listener("small", TAKEN + 1, "http"),),
    metrics_port=TAKEN + 2,
    after=("ca",),
    identity=Identity.CLIENT,
    database="small",
    settings=lambda _layout, office: {"greeting": office.name},
)
WITH_SMALL = (*SERVICES, SMALL)


@pytest.fixture
def layout(office: RunningOffice, tmp_path: Path) -> Layout:
    """The state of a real office that was made before there was a service named small."""
    old, new = office.layout.state, tmp_path / "var"
    shutil.copytree(old, new, ignore=shutil.ignore_patterns("run", "log", "callers", "*.db*"))
    for name in ("token.toml", "softhsm2.conf"):
        for file in new.glob(f"hsm/*/{name}"):
            file.write_text(file.read_text("utf-8").replace(str(old), str(new)), "utf-8")
    with closing(sqlite3.connect(old / "ca" / "ca.db")) as source, closing(sqlite3.connect(new / "ca" / "ca.db")) as target:
        source.backup(target)  # the CA writes to it meanwhile
    return Layout.at(new)


def test_a_service_more_is_an_entry_more(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # where its package lies
    before = {file: file.read_bytes() for file in layout.state.glob("tls/*/cert.pem")}
    office = ensure(layout, services=WITH_SMALL)
    assert {file: file.read_bytes() for file in before} == before
    assert {"small", "small_metrics"} <= set(office.ports)
    assert stat.S_IMODE((layout.tls("small") / "key.pem").stat().st_mode) == 0o600

    write_all(layout, office, WITH_SMALL)
    with Launcher(layout, (SMALL,)) as launcher:
        require_ports(office, (SMALL,))
        launcher.start()
        assert [one.service for one in running(layout, WITH_SMALL)] == ["small"]
        assert httpx.get(office.url("small"), timeout=30).text == f"{office.name} small"
        targets = {one["labels"]["job"]: one["targets"] for one in json.loads(layout.monitoring_targets.read_text("utf-8"))}
        assert set(targets) == {service.name for service in WITH_SMALL if service.metrics_port is not None}
        assert "small_greetings_total 1.0" in httpx.get(f"http://{targets['small'][0]}/metrics", timeout=30).text
        assert httpx.get(f"{office.url('small')}/nothing", timeout=30).json()["code"] == Code.NOT_FOUND
        metrics = httpx.get(f"http://{targets['small'][0]}/metrics", timeout=30).text
        assert "vermilion_tls_certificate_seconds_left" in metrics  # it renews its certificate
        found = {one.what: one.health for one in doctor.examine(layout, datetime.now(UTC), WITH_SMALL)}
        assert [health for what, health in found.items() if what.startswith("small ")] == [Health.WELL]
    assert running(layout, WITH_SMALL) == []


def test_whoever_has_a_certificate_renews_it(office: RunningOffice) -> None:
    """A service that does not would run for thirty days, and then open nothing."""
    holders = [service for service in SERVICES if service.identity is not Identity.NONE]
    assert holders
    for service in holders:
        port = office.office.ports[f"{service.name}_{METRICS}"]
        said = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        assert "vermilion_tls_certificate_seconds_left" in said, f"{service.name} has no sealcore.platform.renewal.Renewal among its parts"


def test_a_service_more_is_in_what_is_deployed() -> None:
    before, after = deployment.files(), deployment.files(WITH_SMALL)
    unit = after["deploy/systemd/vermilion-small.service"]
    assert set(after) - set(before) == {"deploy/systemd/vermilion-small.service"}
    assert all(after[name] == text for name, text in before.items() if name.startswith("deploy/systemd/"))
    assert "User=vermilion-small\n" in unit and "python -m tests.cli.small_service --config /var/lib/vermilion/config/small.toml\n" in unit
    assert "After=network.target vermilion@ca.service\n" in unit and "/tls/small" in unit and "/hsm/small" not in unit
    assert after[deployment.ACCOUNTS] == before[deployment.ACCOUNTS] + "small\t-\t-\n"
    assert {"targets": [f"127.0.0.1:{SMALL.metrics_port}"], "labels": {"job": "small"}} in json.loads(after[deployment.TARGETS])
    rules = yaml.safe_load(deployment.alerts((REPOSITORY / deployment.ALERTS).read_text("utf-8"), WITH_SMALL))
    (down,) = [rule["expr"] for group in rules["groups"] for rule in group["rules"] if rule["alert"] == "ServiceDown"]
    (said,) = re.findall(r'job=~"([^"]*)"', down)
    assert said.split("|") == [service.name for service in WITH_SMALL if service.metrics_port is not None]


def test_accounts_are_made_for_every_service_in_the_tables_order(tmp_path: Path) -> None:
    (tmp_path / "vermilion.toml").touch()
    for folder in ("config", "hsm", "tls", "pki", "ceremony", "log", "run", "ledger"):
        (tmp_path / folder).mkdir()
    for name in ("timestamp", "signer"):
        (tmp_path / "config" / f"{name}.toml").touch()
    script = REPOSITORY / "deploy" / "accounts.sh"
    said = subprocess.run([script, tmp_path, "--numbers", "64000"], capture_output=True, text=True, check=True).stdout
    assert [line.split() for line in said.splitlines()] == [[one.name, str(64000 + index)] for index, one in enumerate(SERVICES)]
    public, ledger = (path.stat() for path in (tmp_path / "ledger" / "public", tmp_path / "ledger"))  # of a log that never ran
    assert (stat.S_IMODE(public.st_mode), stat.S_IMODE(ledger.st_mode), public.st_uid) == (0o755, 0o711, 64004)


def test_names_ports_and_order_of_what_offices_have_stay() -> None:
    """They stand in certificates, in operators' monitoring, and own files of existing offices."""
    assert [(one.name, one.unit, one.account) for one in SERVICES[:9]] == [
        ("signer", "vermilion@signer.service", "vermilion-signer"),
        ("ca", "vermilion@ca.service", "vermilion-ca"),
        ("timestamp", "vermilion@timestamp.service", "vermilion-timestamp"),
        ("workflow", "vermilion@workflow.service", "vermilion-workflow"),
        ("ledger", "vermilion@ledger.service", "vermilion-ledger"),
        ("witness", "vermilion-witness.service", "vermilion-witness"),
        ("verify", "vermilion@verify.service", "vermilion-verify"),
        ("ocsp", "vermilion-ocsp.service", "vermilion-ocsp"),
        ("sandbox", "vermilion@sandbox.service", "vermilion-sandbox"),
    ]
    ports = Counter(port for service in SERVICES for port in service.ports.values())
    assert ports.most_common(1)[0][1] == 1 and min(ports) == SERVICES[0].ports["signer"] == 8701
    names = {service.name for service in SERVICES}
    assert all({*service.after, service.database or service.name} <= names for service in SERVICES)


def test_services_start_after_what_they_need() -> None:
    waves = start_waves(SERVICES)
    place = {service.name: number for number, wave in enumerate(waves) for service in wave}
    assert sum(map(len, waves)) == len(place) == len(SERVICES)
    for service in SERVICES:  # as soon as it can, and no sooner
        assert place[service.name] == max((place[name] + 1 for name in service.after), default=0)
    with pytest.raises(ValueError, match="ca, small"):
        start_waves([replace(named("ca"), after=("small",)), SMALL])


@pytest.mark.parametrize(
    "wrong",
    [{"name": "Small"}, {"name": "../small"}, {"after": ("small",)}, {"memory_max_mb": 0}, {"cpu_weight": 0}, {"cpu_weight": 10_001}],
)
def test_an_entry_that_makes_no_sense_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not well described"):
        replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_a_state_folder_may_be_called_what_means_something_in_a_url(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path / "what? 100%41 a@b:c;é'\"`$(x)")
    for name in ("signer", "ca", "workflow"):
        assert make_url(service_settings.database(layout, name)["url"]).database == str(layout.service(name) / f"{name}.db")
