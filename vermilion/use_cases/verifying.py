"""Two ways to verify: the library over files on this machine, and the office's public service, as any stranger meets it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError, code_named
from sealcore.platform.config import load
from sealcore.platform.http_client import REQUEST_ID_HEADER, HttpClient, HttpError, request_headers
from sealcore.platform.ledger.reader import LogReader
from sealcore.platform.ledger.sources import FolderSource
from verify.crls import CrlStore
from verify.log_view import PublicLedger
from verify.report import Report
from verify.settings import VerifySettings
from verify.signer_link import SignerLink
from vermilion.operation.launcher import running
from vermilion.remote.workflow_client import tls_of
from vermilion.state.layout import Layout
from vermilion.state.office import Office

TIMEOUT_S = 120.0
MOST_REPORT_BYTES = 64 * 1024 * 1024


@contextmanager
def examiner(layout: Layout, office: Office, language: str) -> Iterator[Callable[[Path], Report]]:
    """The library with this office's trust, its current revocation lists, and its log: over HTTP, or from its folder when it is closed."""
    from verify.files import read_file  # noqa: PLC0415  (the PDF libraries: a second that other commands need not wait)
    from verify.sandbox import Sandbox  # noqa: PLC0415
    from verify.verifier import verify  # noqa: PLC0415

    settings, clock = load(layout.config("verify"), VerifySettings), SystemClock()
    assert settings.ledger is not None, "this office has a ledger"
    is_open = bool(running(layout))
    trust = settings.trust.load()
    crls = CrlStore(trust, settings.trust.crl_urls, settings.trust.crl_cache)
    if is_open:
        crls.refresh()
    source = settings.ledger.url if is_open else FolderSource(layout.service("ledger") / "public")
    link = SignerLink(office.listen("signer").target, tls_of(layout, "operator")) if is_open else None
    reader = LogReader(source, settings.ledger.log_key, settings.ledger.witness_key)
    # Nothing comes to a closed office's log any more: there is nothing to wait for.
    ledger = PublicLedger(reader, clock, link) if is_open else PublicLedger(reader, clock, ClosedSigner(layout), patience_s=0)
    sandbox = Sandbox()

    def examine(file: Path) -> Report:
        return verify(
            read_file(file), trust.with_crls(crls.current()), ledger, clock=clock, name=file.name, language=language, reader=sandbox.read
        )

    try:
        yield examine
    finally:
        sandbox.close()
        if link is not None:
            link.close()


class ClosedSigner:
    """What the signer's own database says while the signer is away, to who may read it: a ``verify.log_view.Disclosure`` without forms."""

    def __init__(self, layout: Layout) -> None:
        self._config = layout.config("signer")

    def form(self, _signature_hash: bytes, _index: int) -> tuple[str, bytes] | None:
        """None: the number of a form is the signer's to disclose."""
        return None

    def committed_size(self) -> int:
        """Entries that were committed; DATABASE_UNAVAILABLE, CONFIGURATION_INVALID."""
        from sqlalchemy import make_url  # noqa: PLC0415  (every command imports this module, and few ask for a database)

        from sealcore.platform import db  # noqa: PLC0415
        from sealcore.platform.ledger import store  # noqa: PLC0415
        from signer.settings import SignerSettings  # noqa: PLC0415

        url = load(self._config, SignerSettings).database.url
        file = make_url(url).database
        if url.startswith("sqlite") and not (file and Path(file).is_file()):  # opening it would make it
            raise VermilionError(Code.DATABASE_UNAVAILABLE, "the signer's database is not there")
        engine = db.connect(url, pool_size=1)
        try:
            with db.read(engine) as connection:
                return store.head(connection).size
        finally:
            engine.dispose()


class Verifier:
    """The public service's answers over HTTP; use as a context manager. Safe to share between threads."""

    def __init__(self, layout: Layout, office: Office) -> None:
        self._url = office.url("verify").rstrip("/") + "/v1/verify"
        self._http = HttpClient(within_s=TIMEOUT_S)

    def __enter__(self) -> Verifier:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._http.close()

    def report(self, file: Path) -> dict[str, Any]:
        """The report on a file (docs/schemas/verification-report.json); SERVICE_UNAVAILABLE, or the service's own refusal."""
        content_type, sent = _form(file)
        headers = {**request_headers(), "Content-Type": content_type}
        try:
            answer = self._http.ask("POST", self._url, body=sent, headers=headers, most_bytes=MOST_REPORT_BYTES)
            body: dict[str, Any] = json.loads(answer.body)
        except HttpError as fault:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the verification service does not answer: {fault.reason}") from None
        except (ValueError, RecursionError):
            raise VermilionError(Code.INTERNAL, f"the verification service answered {answer.status} without JSON") from None
        if "verdict" not in body:
            refusal = VermilionError(
                code_named(body.get("code"), Code.INTERNAL), str(body.get("reason", answer.status)), document=file.name
            )
            refusal.request_id = answer.headers.get(REQUEST_ID_HEADER.lower())
            raise refusal
        return body


def _form(file: Path) -> tuple[str, bytes]:
    """Content-Type and body of a form whose one field ``file`` is a PDF (RFC 7578)."""
    boundary = os.urandom(16).hex()
    name = file.name.encode("utf-8", "surrogateescape")
    for char, escaped in ((b'"', b"%22"), (b"\r", b"%0D"), (b"\n", b"%0A")):  # as browsers do (HTML, multipart/form-data encoding)
        name = name.replace(char, escaped)
    head = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"\r\nContent-Type: application/pdf\r\n\r\n'
    body = b"".join((f"--{boundary}\r\n".encode(), head, file.read_bytes(), f"\r\n--{boundary}--\r\n".encode()))
    return f"multipart/form-data; boundary={boundary}", body
