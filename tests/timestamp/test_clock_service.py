"""The clock watch in the running service: every worker stops and goes on, monitoring says so."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from asn1crypto import tsp
from prometheus_client.parser import text_string_to_metric_families

from tests import plain_http
from tests.support.waiting import until
from tests.timestamp.chrony import SOON_S, Chrony
from tests.timestamp.kit import Response, SmallCa, UnitKeys, write_config
from timestamp.http import QUERY_TYPE

NAME = "vermilion_timestamp_clock_"
PROCESSES = 3  # two workers, and the one that starts them and is monitored


def query() -> bytes:
    imprint = {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(b"x").digest()}
    return bytes(tsp.TimeStampReq({"version": 1, "message_imprint": imprint}).dump())


def test_all_workers_stop_and_go_on_with_the_clock(
    chrony: Chrony, tmp_path: Path, unit_keys: UnitKeys, small_ca: SmallCa, free_port: Callable[[], int]
) -> None:
    port, monitoring = free_port(), free_port()
    chrony.follow()
    config = write_config(tmp_path, unit_keys, small_ca, port, clock="require-synchronised", chrony=chrony.address)
    config.write_text(config.read_text() + f"[metrics]\nport = {monitoring}\n")

    def outcomes() -> set[str]:
        """Of some requests, each over a connection of its own, so that either worker may get it."""
        answers = [plain_http.post(f"http://127.0.0.1:{port}/", content=query(), headers={"Content-Type": QUERY_TYPE}) for _ in range(12)]
        statuses = [Response.load(answer.content)["status"] for answer in answers]
        return {next(iter(status["fail_info"].native or ()), status["status"].native) for status in statuses}

    def said() -> str:
        return (tmp_path / "log").read_text()

    def samples(name: str) -> dict[str, float]:
        families = text_string_to_metric_families(plain_http.get(f"http://127.0.0.1:{monitoring}/metrics").text)
        return {each.labels["worker"]: each.value for family in families for each in family.samples if each.name == NAME + name}

    with (tmp_path / "log").open("wb") as log:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "timestamp",
            "--config",
            config,
        ]  # not from a nursery, which would not know this chronyc's place
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n", (tmp_path / "log").read_text()
        assert outcomes() == {"time_not_available"}
        ready = plain_http.get(f"http://127.0.0.1:{monitoring}/readyz")
        assert ready.status_code == 503 and ready.json()["parts"]["clock"]["code"] == "TIMESTAMP_UNAVAILABLE"
        assert samples("stopped") == {"1": 1, "2": 1} and samples("synchronised") == {"1": 0, "2": 0}
        until(lambda: said().count("timestamps are stopped") == PROCESSES, "each has looked at the clock")

        chrony.lead()
        until(lambda: outcomes() == {"granted"}, "every worker goes on by itself")
        until(lambda: samples("stopped") == {"1": 0, "2": 0}, "and says so")
        assert all(bound_s < samples("accuracy_seconds")["1"] == 1 for bound_s in samples("bound_seconds").values())
        until(lambda: plain_http.get(f"http://127.0.0.1:{monitoring}/readyz").status_code == 200, "monitoring too")
        clock = plain_http.get(f"http://127.0.0.1:{monitoring}/readyz").json()["parts"]["clock"]
        assert clock["status"] == "ok" and clock["note"].startswith("chrony: off by at most")

        chrony.end("leader")
        until(lambda: outcomes() == {"time_not_available"}, "every worker stops before the accuracy is lost")
        process.terminate()
        assert process.wait(SOON_S) == 0
        assert said().count("timestamps go on") == PROCESSES
    finally:
        process.kill()
        process.wait()
