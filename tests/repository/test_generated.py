"""What is generated and committed is what its source gives today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sealcore.errors import REGISTRY, Code
from tests.conftest import REPOSITORY
from vermilion.operation import deployment

ERRORS_PAGE = REPOSITORY / "docs" / "errors.md"


def test_the_generated_wire_code_is_current(tmp_path: Path) -> None:
    sources = sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "protos/vermilion/v1").glob("*.proto"))
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "grpc_python", "pyi")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, *sources], check=True, cwd=REPOSITORY)
    made = sorted(tmp_path.rglob("*.py*"))
    assert made
    for path in made:
        committed = REPOSITORY / path.relative_to(tmp_path)
        assert committed.read_text() == path.read_text(), f"{committed.name} is stale: run `make proto`"


def test_every_code_stands_in_the_errors_page() -> None:
    page = ERRORS_PAGE.read_text("utf-8")
    for code in Code:
        row = REGISTRY[code]
        assert f"| `{code}` | {row.kind} | {row.rule} | {row.way_out} |" in page, f"{code} is missing: run `make docs`"


def test_what_deploy_says_of_the_services_is_current() -> None:
    made = deployment.files()
    assert {f"deploy/systemd/{file.name}" for file in REPOSITORY.glob("deploy/systemd/*")} == {
        name for name in made if name.startswith("deploy/systemd/")
    }
    alerts = (REPOSITORY / deployment.ALERTS).read_text("utf-8")
    for name, text in (made | {deployment.ALERTS: deployment.alerts(alerts)}).items():
        assert (REPOSITORY / name).read_text("utf-8") == text, f"{name} is stale: run `make deploy-files`"
