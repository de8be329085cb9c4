"""Liveness and readiness over HTTP: each failing part is named, and a part that hangs holds nothing up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry, Counter
from starlette.testclient import TestClient
from structlog.testing import capture_logs

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect, database_answers
from sealcore.platform.metrics import snapshot
from sealcore.platform.observability import ObservabilityEndpoint
from tests.observability.endpoint import get, served
from tests.support.strange import patterns, walk
from vermilion.operation import doctor
from vermilion.state.office import Office


def test_the_failing_part_is_named_and_the_others_are_well(free_port: Callable[[], int]) -> None:
    faults: dict[str, VermilionError] = {}

    def hsm() -> None:
        if "hsm" in faults:
            raise faults["hsm"]

    async def workers() -> None:
        await asyncio.sleep(0)

    port = free_port()
    with served(port, CollectorRegistry(), {"hsm": hsm, "workers": workers}):
        told = get(port, "/readyz").json()
        assert (told["status"], told["parts"]) == ("ready", {"hsm": {"status": "ok"}, "workers": {"status": "ok"}})
        faults["hsm"] = VermilionError(Code.HSM_UNAVAILABLE, "the token is away")
        answer = get(port, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["hsm"]["code"] == "HSM_UNAVAILABLE"
        assert answer.json()["parts"]["hsm"]["way_out"]
        assert answer.json()["parts"]["workers"] == {"status": "ok"}
        assert get(port, "/healthz").status_code == 200  # it lives, though it is not ready
        shown = get(port, "/metrics").text
        assert 'vermilion_ready{part="hsm"} 0.0' in shown
        assert 'vermilion_ready{part="workers"} 1.0' in shown
        faults.clear()
        assert get(port, "/readyz").status_code == 200


def test_doctor_shows_what_a_running_service_says_of_its_parts(free_port: Callable[[], int]) -> None:
    def hsm() -> None:
        raise VermilionError(Code.HSM_UNAVAILABLE, "the token is away")

    port = free_port()
    plan = Office(name="a", name_english="a", slug="a", unit="A", ports={"signer_metrics": port})
    assert "does not answer" in doctor.failing_parts(plan, "signer")
    assert doctor.failing_parts(plan, "ca") == ""  # an office from before it had such an address
    with served(port, CollectorRegistry(), {"hsm": hsm, "workers": lambda: None}):
        assert doctor.failing_parts(plan, "signer") == "hsm: HSM_UNAVAILABLE: the token is away"
    with served(port, CollectorRegistry(), {"workers": lambda: None}):
        assert doctor.failing_parts(plan, "signer") == ""


def test_a_part_that_hangs_is_reported_and_asked_no_second_time(free_port: Callable[[], int]) -> None:
    asked: list[int] = []
    release = threading.Event()

    def hsm() -> None:
        asked.append(1)
        release.wait(60)

    port = free_port()
    with served(port, CollectorRegistry(), {"hsm": hsm}):
        for _ in range(3):
            answer = get(port, "/readyz")
            assert answer.status_code == 503
            assert answer.json()["parts"]["hsm"]["reason"] == "hsm does not answer"
        assert asked == [1]
        release.set()
        while get(port, "/readyz").status_code != 200:
            continue
        assert len(asked) >= 1


def test_however_often_somebody_asks_the_log_says_once_what_fails(free_port: Callable[[], int]) -> None:
    faults = {"hsm": VermilionError(Code.HSM_UNAVAILABLE, "the token is away")}

    def part(name: str) -> Callable[[], None]:
        def check() -> None:
            if name in faults:
                raise faults[name]

        return check

    port = free_port()
    structlog.reset_defaults()
    with served(port, CollectorRegistry(), {name: part(name) for name in ("hsm", "database")}), capture_logs() as logs:
        for _ in range(20):
            assert get(port, "/readyz").status_code == 503
        faults["database"] = VermilionError(Code.DATABASE_UNAVAILABLE, "and now the database")
        for _ in range(20):
            get(port, "/readyz")
    assert [line["parts"] for line in logs if line["event"] == "not ready"] == [
        {"hsm": "HSM_UNAVAILABLE"},
        {"hsm": "HSM_UNAVAILABLE", "database": "DATABASE_UNAVAILABLE"},
    ]


def test_a_service_that_drains_is_alive_and_not_ready(free_port: Callable[[], int]) -> None:
    port = free_port()
    with served(port, CollectorRegistry(), {}) as endpoint:
        assert get(port, "/readyz").status_code == 200
        endpoint.readiness.drain()
        answer = get(port, "/readyz")
        assert (answer.status_code, answer.json()["parts"]["service"]["reason"]) == (503, "the service is stopping")
        assert get(port, "/healthz").status_code == 200


def test_a_fault_that_nobody_foresaw_stays_inside(free_port: Callable[[], int]) -> None:
    def broken() -> None:
        raise RuntimeError("a text that must stay inside")

    port = free_port()
    with served(port, CollectorRegistry(), {"database": broken}):
        answer = get(port, "/readyz")
        assert answer.json()["parts"]["database"]["code"] == "INTERNAL"
        assert "must stay inside" not in answer.text


def test_a_database_that_goes_away_and_comes_back(free_port: Callable[[], int], tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    engine = connect(f"sqlite:///{file}")
    port = free_port()
    with served(port, CollectorRegistry(), {"database": database_answers(engine)}):
        assert get(port, "/readyz").status_code == 200
        engine.dispose()
        for left in (file, tmp_path / "a.db-wal", tmp_path / "a.db-shm"):
            left.unlink(missing_ok=True)
        file.mkdir()
        answer = get(port, "/readyz")
        assert answer.status_code == 503
        assert answer.json()["parts"]["database"]["code"] == "DATABASE_UNAVAILABLE"
        file.rmdir()
        assert get(port, "/readyz").status_code == 200
    engine.dispose()


def test_workers_are_gathered_when_somebody_asks(free_port: Callable[[], int]) -> None:
    registry = CollectorRegistry()
    documents = Counter("test_documents", "Documents", registry=registry)

    async def gather() -> dict[str, bytes]:
        return {"front": snapshot(registry), "bulk-0": snapshot(registry)}

    port = free_port()
    with served(port, gather, {}):
        documents.inc(7)
        told = get(port, "/metrics")
        assert told.headers["content-type"].startswith("text/plain; version=")
        assert 'test_documents_total{worker="front"} 7.0' in told.text
        assert 'test_documents_total{worker="bulk-0"} 7.0' in told.text


def test_workers_that_do_not_answer_are_an_error_and_no_hole(free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sealcore.platform.observability.GATHER_S", 0.2)

    async def gather() -> dict[str, bytes]:
        await asyncio.sleep(60)
        raise AssertionError

    port = free_port()
    with served(port, gather, {}):
        answer = get(port, "/metrics")
        assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")


def test_a_taken_port_is_a_wrong_configuration(free_port: Callable[[], int]) -> None:
    port = free_port()
    with served(port, CollectorRegistry(), {}), pytest.raises(VermilionError) as refused, served(port, CollectorRegistry(), {}):
        pass
    assert refused.value.code is Code.CONFIGURATION_INVALID


def test_no_value_in_a_request_is_a_fault_of_ours() -> None:
    app = ObservabilityEndpoint(None, CollectorRegistry(), {}).app()
    assert walk([*patterns(app.routes), "/{other}"], TestClient(app).request) > 100
