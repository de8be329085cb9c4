"""Every loop of every service is seen by monitoring: it says since when it fails, that it stalls, or that it has ended."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable, Iterator
from typing import Final

import httpx
import pytest
from prometheus_client import CollectorRegistry

from sealcore.errors import Code, VermilionError
from sealcore.platform.metrics import process_metrics, snapshot
from sealcore.platform.periodic import NOW, Health, Periodic
from tests.cli.running import RunningOffice
from tests.conftest import REPOSITORY
from tests.observability.endpoint import get, served
from tests.support.waiting import until
from vermilion.operation import doctor
from vermilion.operation.configuration import monitoring_targets

ROOMS: Final = ("sealcore", "signer", "ca", "timestamp", "ledger", "verify", "workflow", "longterm", "hsm_config")
OF_THE_OFFICE: Final = {  # service → its loops; a loop more is an entry more
    "signer": {"workers", "clock-watch", "crl-watch", "seal-status", "tls-renewal", "housekeeping", "storage-reserve"},
    "ca": {"crl-upkeep", "ledger-outbox", "tls-renewal", "storage-reserve"},
    "ocsp": {"ocsp-presign", "tls-renewal"},
    "timestamp": {"clock-watch", "workers"},
    "ledger": {"publisher", "tls-renewal"},
    "witness": set[str](),
    "verify": {"crls", "ledger", "tls-renewal"},
    "workflow": {"crl-watch", "tls-renewal", "outbox", "form-lapse", "storage-reserve"},
}
THREADS: Final = {  # threads that wait for data rather than for time, and what keeps them alive
    "ca/ocsp/http.py": "a pool's",
    "sealcore/hsm/watch.py": "an outcome for each job, whatever it raised",
    "sealcore/platform/http_client.py": "an event loop",
    "sealcore/platform/http_connection.py": "one look-up",
    "sealcore/platform/observability.py": "one check",
    "sealcore/platform/periodic.py": "the loops themselves",
    "sealcore/platform/rpc/renewed_channel.py": "one close",
    "signer/worker/process.py": "one answer, and the batches: the worker ends when one of them does",
    "timestamp/client/source.py": "an event loop",
    "timestamp/stamping.py": "an outcome for each batch, whatever it raised",
}


@pytest.fixture
def loop() -> Iterator[Callable[[str, Callable[[], object]], Periodic]]:
    begun: list[Periodic] = []

    def begin(name: str, work: Callable[[], object]) -> Periodic:
        task = Periodic(name, work, 0.01, first_s=NOW)
        begun.append(task)
        task.start()
        return task

    yield begin
    for task in begun:
        task.stop()


def test_a_loop_that_fails_is_named_with_its_way_out_and_the_service_stays_ready(
    free_port: Callable[[], int], loop: Callable[[str, Callable[[], object]], Periodic]
) -> None:
    failing = threading.Event()
    failing.set()

    def work() -> object:
        return VermilionError(Code.REVOCATION_UNAVAILABLE, "a stranger's CA is away") if failing.is_set() else None

    registry = CollectorRegistry()
    process_metrics(registry)
    port = free_port()
    with served(port, registry, {}):
        task = loop("asks-strangers", work)
        until(lambda: task.fault is not None)
        answer = get(port, "/readyz")
        told = answer.json()["loops"]["asks-strangers"]
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")
        assert (told["status"], told["code"], told["reason"]) == ("failing", "REVOCATION_UNAVAILABLE", "a stranger's CA is away")
        assert told["since"] and told["way_out"]
        assert _seconds(port, "asks-strangers") > 0
        failing.clear()
        until(lambda: task.fault is None)
        assert get(port, "/readyz").json()["loops"]["asks-strangers"] == {"status": "ok"}
        assert _seconds(port, "asks-strangers") == 0


def _seconds(port: int, task: str) -> float:
    line = next(
        line
        for line in get(port, "/metrics").text.splitlines()
        if line.startswith(f'vermilion_background_failing_seconds{{task="{task}"}}')
    )
    return float(line.split()[-1])


def test_a_service_whose_loop_has_ended_is_not_ready(
    free_port: Callable[[], int], loop: Callable[[str, Callable[[], object]], Periodic], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = loop("ends", lambda: None)
    monkeypatch.setattr(Periodic, "alive", False)  # as after a fault in the interpreter; tests of the loop itself bring one about
    port = free_port()
    with served(port, CollectorRegistry(), {}):
        answer = get(port, "/readyz")
        told = answer.json()["loops"][task.name]
        assert (answer.status_code, told["status"], told["code"]) == (503, "ended", "INTERNAL")


def test_loops_of_workers_are_named_by_their_worker(
    free_port: Callable[[], int], loop: Callable[[str, Callable[[], object]], Periodic]
) -> None:
    registry = CollectorRegistry()
    process_metrics(registry)
    task = loop("in-a-worker", lambda: VermilionError(Code.SERVICE_UNAVAILABLE, "away"))

    async def gather() -> dict[str, bytes]:
        return {"front": snapshot(registry), "bulk-0": snapshot(registry)}

    until(lambda: task.fault is not None)
    port = free_port()
    with served(port, gather, {}):
        loops = get(port, "/readyz").json()["loops"]
        assert loops["in-a-worker"]["reason"] == "away" and "front/in-a-worker" not in loops
        assert loops["bulk-0/in-a-worker"]["status"] == "failing" and "log" in loops["bulk-0/in-a-worker"]["reason"]


def test_every_loop_of_a_running_office_is_told_by_its_service(office: RunningOffice) -> None:
    seen: dict[str, set[str]] = {}
    for target in monitoring_targets(office.office):
        answer = httpx.get(f"http://{target['targets'][0]}/readyz", timeout=30, trust_env=False).json()
        seen[target["labels"]["job"]] = {name.rpartition("/")[2] for name in answer["loops"]}
        assert {one["status"] for one in answer["loops"].values()} <= {Health.WELL, Health.FAILING}, answer
    assert seen == OF_THE_OFFICE


def _calls(name: str) -> dict[str, list[ast.Call]]:
    found: dict[str, list[ast.Call]] = {}
    for room in ROOMS:
        for file in sorted((REPOSITORY / room).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_bytes())):
                if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
                    found.setdefault(str(file.relative_to(REPOSITORY)), []).append(node)
    return found


def test_no_loop_is_made_that_the_office_does_not_show() -> None:
    """Loops have their names in the source; ``Outbox`` takes its name from its service."""
    made = {
        call.args[0].value
        for calls in (_calls("Periodic"), _calls("AsyncPeriodic"))
        for of_file in calls.values()
        for call in of_file
        if isinstance(call.args[0], ast.Constant)
    }
    assert made | {"outbox", "ledger-outbox"} == set().union(*OF_THE_OFFICE.values())


def test_no_thread_loops_beside_them() -> None:
    assert set(_calls("Thread")) <= THREADS.keys()


def test_doctor_names_a_loop_that_fails(free_port: Callable[[], int], loop: Callable[[str, Callable[[], object]], Periodic]) -> None:
    from vermilion.state.office import Office

    task = loop("doctor-sees", lambda: VermilionError(Code.SERVICE_UNAVAILABLE, "away"))
    until(lambda: task.fault is not None)
    port = free_port()
    office = Office(name="Office", name_english="Office", slug="office", unit="Office", ports={"signer_metrics": port})
    with served(port, CollectorRegistry(), {}):
        assert "doctor-sees: SERVICE_UNAVAILABLE: away" in doctor.failing_parts(office, "signer")
