"""Nothing of ours asks over HTTP but ``sealcore.platform.http_client``: any other client takes what a hostile server sends.

Third parties' clients are kept out by a contract of import-linter; Python's own are inside packages that are needed for other things.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import REPOSITORY

ROOMS: Final = (
    *("sealcore", "signer", "longterm", "ca", "timestamp", "ledger", "verify", "workflow", "vermilion", "hsm_config", "migrations"),
    *("tools", "docs", "deploy", "examples"),
)
CLIENTS: Final = frozenset(
    [
        *("urllib.request", "http.client", "xmlrpc.client", "httpx", "httpcore", "requests", "urllib3", "aiohttp", "pycurl"),
        *("pyhanko.sign.timestamps.requests_client", "pyhanko.sign.timestamps.aiohttp_client"),
        *("pyhanko_certvalidator.fetchers.requests_fetchers", "pyhanko_certvalidator.fetchers.aiohttp_fetchers"),
        *("opentelemetry.exporter.otlp.proto.http", "websockets", "websocket", "ftplib", "telnetlib"),
    ]
)


def _imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    return names


def _clients(file: Path) -> set[str]:
    return {name for name in _imported(file) for client in CLIENTS if name == client or name.startswith(client + ".")}


@pytest.mark.parametrize("room", [room for room in ROOMS if (REPOSITORY / room).is_dir()])
def test_no_other_client_is_imported(room: str) -> None:
    files = [*(REPOSITORY / room).rglob("*.py")]
    assert {file.name: _clients(file) for file in files if _clients(file)} == {}


def test_a_client_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    for line in (
        "import urllib.request",
        "from urllib import request",
        "from http import client as c",
        "import httpx",
        "from requests import get",
    ):
        file.write_text(f"def late():\n    {line}\n")
        assert _clients(file), line
    file.write_text("from urllib.parse import quote\nfrom http import HTTPStatus\n")
    assert not _clients(file)
