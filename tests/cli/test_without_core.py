"""An office without the compiled core seals all the same, the general way, and says so."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

from sealcore import compiled
from tests.conftest import EXAMPLES
from vermilion import exits

LONGEST_S = 500.0


def test_the_examples_are_sealed_and_found_valid_without_the_core(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONSAFEPATH": "1", compiled.SWITCH: "1"}
    command = [sys.executable, "-c", "from vermilion.cli import main; main()"]
    ports = str(random.randrange(20_000, 31_000, 20))
    told: list[str | Path] = ["--state", tmp_path / "var", "--out", tmp_path / "out", "--documents", EXAMPLES, "--ports-from", ports]
    done = subprocess.run(
        [*command, "demo", *told], env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False, cwd=tmp_path
    )
    assert done.returncode == exits.DONE, done.stdout + done.stderr
    report = json.loads((tmp_path / "out" / "demo" / "report.json").read_text("utf-8"))
    assert report["sealed"] == report["valid"] > 5
    doctor = subprocess.run(
        [*command, "doctor", "--state", tmp_path / "var", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert f"{compiled.SWITCH}=1" in doctor.stdout
    log = (tmp_path / "var" / "log" / "signer.log").read_text("utf-8")
    assert compiled.SWITCH in log and "the compiled core" not in log
