"""The harness itself, over the real services: a tiny run from beginning to end, and one that is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import REPOSITORY
from vermilion.services import SERVICES

RUN_S = 500
pytestmark = [pytest.mark.xdist_group("benchmarks"), pytest.mark.timeout(RUN_S + 60)]


def _command(folder: Path, *arguments: str) -> list[str]:
    ports_from = 23_000 + os.getpid() % 100 * 90
    options = ("--quick", "--state", str(folder / "state"), "--out", str(folder / "out"), "--ports-from", str(ports_from))
    return [sys.executable, "-m", "benchmarks", *options, *arguments]


def _left(folder: Path) -> list[str]:
    """Processes that still have to do with the offices in ``folder``."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(folder / "state") in line and "-m benchmarks" not in line]


def test_a_tiny_run_measures_writes_draws_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        _command(tmp_path, "cpu_ms_per_document", "tsa.of_limit", "extend", "office"),
        cwd=REPOSITORY, capture_output=True, text=True, timeout=RUN_S, check=False, env={**os.environ, "NO_COLOR": "1", "COLUMNS": "140"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    written = json.loads((tmp_path / "out" / "latest.json").read_text("utf-8"))
    assert written.keys() == {"machine", "figures"}
    assert written["machine"]["durable"]["main"].endswith("synchronous=2 (FULL)")
    for figure in written["figures"].values():
        assert figure.keys() == {"value", "min", "max", "unit"}
        assert figure["min"] <= figure["value"] <= figure["max"]
    figures = written["figures"]
    assert figures["cpu_ms_per_document.hsm"]["value"] > 0 and figures["cpu_ms_per_document.front"]["value"] > 0
    assert figures["tsa.tokens"]["value"] > 0
    assert figures["tsa.of_limit"]["value"] == pytest.approx(figures["tsa.tokens"]["value"] / figures["tsa.hsm_limit"]["value"])
    assert figures["extend.documents_per_s"]["value"] > 0 and figures["extend.cpu_ms"]["value"] > 0
    ratio = figures["extend.documents_per_s"]["value"] / figures["extend.pyhanko_documents_per_s"]["value"]
    assert figures["extend.vs_pyhanko"]["value"] == pytest.approx(ratio)
    rest = {name: figure["value"] for name, figure in figures.items() if name.startswith("office.")}
    assert rest["office.processes"] >= len(SERVICES)
    parts = [rest[f"office.rest_mb.{service.name}"] for service in SERVICES]
    assert min(parts) > 5 and rest["office.rest_mb"] == pytest.approx(sum(parts)) and rest["office.rest_cpu"] >= 0
    assert "24 sealed documents of all classes and variants verified: valid" in done.stdout
    assert re.search(r"cpu_ms_per_document\s+[0-9.]+", done.stdout)
    assert (tmp_path / "out" / "aims.png").exists() and (tmp_path / "out" / "cpu.png").exists()
    assert list((tmp_path / "state").iterdir()) == []
    assert _left(tmp_path) == []


def test_an_interrupted_run_ends_all_that_it_started(tmp_path: Path) -> None:
    process = subprocess.Popen(
        _command(tmp_path, "rsa2048.of_limit"), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        assert process.stdout is not None
        printed = ""
        while "durable:" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        assert _left(tmp_path) != []
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, printed + rest
    assert _left(tmp_path) == []
