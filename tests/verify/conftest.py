"""One office for all tests of a worker, and a fresh log for each test."""

from __future__ import annotations

import asyncio
import functools
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.clock import FixedClock
from sealcore.platform.service import Service
from sealcore.protocol.ledger_entry import Entry
from tests.support.http_server import HttpServer
from tests.support.ports import free_port
from tests.verify.office import NOW, Office, Sealed, TileLog, page_document
from verify.app import build
from verify.log_view import LedgerView
from verify.report import Report
from verify.settings import VerifySettings
from verify.trust import TrustMaterial
from verify.verifier import verify

Check = Callable[..., Report]


@pytest.fixture(scope="session")
def office() -> Office:
    return Office()


@pytest.fixture(scope="session")
def sealed(office: Office) -> Sealed:
    """A one-page document, sealed five minutes ago."""
    return office.sign(page_document())


@pytest.fixture
def log(tmp_path: Path) -> TileLog:
    return TileLog(tmp_path / "log")


@pytest.fixture
def check(office: Office) -> Check:
    """Verifies as a stranger who holds the office's root and current CRLs."""

    def run(document: bytes, ledger: LedgerView | None = None, *, trust: TrustMaterial | None = None) -> Report:
        return verify(document, trust or office.trust(), ledger, clock=FixedClock(NOW), name="contract.pdf")

    return run


def codes(report: Report) -> set[str]:
    """Every code of a report."""
    return {str(each.code) for each in (*report.findings, *(found for seal in report.seals for found in seal.findings))}


class WallClock(FixedClock):
    """The wall stands still at NOW, deadlines run."""

    def monotonic_s(self) -> float:
        return time.monotonic()


@dataclass
class RunningService:
    """The verification service with a CA's and a log's web server, all in this process, on free ports."""

    url: str
    rpc_target: str
    log: TileLog
    web_folder: Path
    settings: VerifySettings


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A plain web server over a folder: where CRLs and the log are published."""
    folder = tmp_path_factory.mktemp("web")
    handler = functools.partial(QuietHandler, directory=str(folder))
    with HttpServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def service(office: Office, web: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """The whole service, running."""
    base, web_folder = web
    folder = tmp_path_factory.mktemp("service")
    log = TileLog(web_folder / "log")
    log.publish(Entry(kind="audit", time_us=0))
    for name, authority in (("root", office.root), ("seals", office.seals)):
        (web_folder / f"{name}.crl").write_bytes(authority.crl().public_bytes(Encoding.DER))
        (folder / f"{name}.pem").write_bytes(authority.identity.pem)
    http_port, rpc_port = free_port(), free_port()
    settings = VerifySettings.model_validate(
        {
            "office": "Example Seal Office",
            "listen_http": {"port": http_port},
            "listen_rpc": {"port": rpc_port},
            "metrics": {"port": free_port()},
            "trust": {
                "root_file": folder / "root.pem",
                "seals_file": folder / "seals.pem",
                "crl_urls": [f"{base}/root.crl", f"{base}/seals.crl"],
                "crl_cache": folder / "crls",
            },
            "ledger": {"url": f"{base}/log", "log_key": str(log.log_key), "witness_key": str(log.witness_key)},
            "limits": {"document_bytes": 4 * 1024 * 1024, "wait_s": 0.5},
        }
    )
    with running(build(settings, clock=WallClock(NOW))):
        yield RunningService(f"http://127.0.0.1:{http_port}", f"127.0.0.1:{rpc_port}", log, web_folder, settings)


@contextmanager
def running(built: Service) -> Iterator[Service]:
    """Runs a service on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(built.start(), loop).result(60)
    try:
        yield built
    finally:
        asyncio.run_coroutine_threadsafe(built.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
