"""There is one version, of all that is released together, and it stands in one place."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

import vermilion.cli
from sealcore import __version__
from sealcore.platform.observability import ObservabilityEndpoint
from tests.conftest import REPOSITORY
from verify.web import openapi
from vermilion import exits


def test_the_package_has_it() -> None:
    assert importlib.metadata.version("vermilion") == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)


def test_the_command_line_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert vermilion.cli.run(["--version"]) == exits.DONE
    assert capsys.readouterr().out == f"vermilion {__version__}\n"


def test_a_service_says_it() -> None:
    done = subprocess.run([sys.executable, "-m", "ledger", "--version"], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout == f"vermilion {__version__}\n"


def test_monitoring_and_the_description_of_the_interface_say_it() -> None:
    with TestClient(ObservabilityEndpoint(None, CollectorRegistry(), {}).app()) as client:
        assert f'vermilion_build_info{{version="{__version__}"}} 1.0' in client.get("/metrics").text
    assert openapi.description()["info"]["version"] == __version__


def test_it_stands_nowhere_else() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.toml", "*.proto", "*.html", "*.sh"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    holding = [
        path
        for path in listed.stdout.splitlines()
        if Path(REPOSITORY, path).is_file() and f'"{__version__}"' in Path(REPOSITORY, path).read_text()
    ]
    assert holding == ["sealcore/__init__.py"]
