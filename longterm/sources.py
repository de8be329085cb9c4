"""Where CRLs, OCSP answers and certificates are fetched: only from allowed hosts, within limits, each once for thousands of files."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from longterm.certificates import Certificate
from sealcore import pem
from sealcore.errors import Code, VermilionError
from sealcore.platform.http_client import OK, HttpClient, HttpError, Target

MOST_CRL_BYTES: Final = 32 * 1024 * 1024
MOST_OCSP_BYTES: Final = 256 * 1024
MOST_CERTIFICATE_BYTES: Final = 256 * 1024
TOTAL_S: Final = 30.0  # for one answer, from the question to its last byte
AT_ONCE: Final = 32  # exchanges: as many files may wait for one server each
REST_S: Final = 5.0  # the same question is not asked again sooner; what failed, neither
_NONCE_BYTES: Final = 32  # RFC 9654 §2.1
_PORTS: Final = (80, 443)


def origin(url: str) -> str:
    """``host:port`` of an http or https URL; INVALID_ARGUMENT for any other."""
    return Target.of(url).origin


@dataclass
class _Kept:
    at: float
    body: bytes | None = None
    fault: VermilionError | None = None


class Sources:
    """Fetches and keeps answers for the length of one run; safe to share between threads.

    allowed  hosts, with a port (``host:port``) or for ports 80 and 443; what is elsewhere is refused by FETCH_FORBIDDEN
    """

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = {one.lower() for one in allowed}
        self._http = HttpClient(within_s=TOTAL_S, at_once=AT_ONCE)
        self._kept: dict[tuple[str, ...], _Kept] = {}
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def certificate(self, url: str) -> bytes:
        """What a caIssuers URL points to. FETCH_FORBIDDEN, REVOCATION_UNAVAILABLE."""
        return self._once(("get", url), lambda: self._fetched(url, MOST_CERTIFICATE_BYTES), again=False)

    def crl(self, url: str, *, again: bool = False) -> bytes:
        """A CRL, in DER whatever it comes in; ``again`` asks anew, unless that was done a moment ago. FETCH_FORBIDDEN, REVOCATION_UNAVAILABLE."""
        return self._once(("crl", url), lambda: _der(self._fetched(url, MOST_CRL_BYTES), pem.CRL, f"the CRL from {url}"), again=again)

    def ocsp(self, url: str, about: Certificate, issuer: Certificate, *, live: bool = False) -> bytes:
        """An OCSP answer; ``live`` sends a nonce, so that it is made now (RFC 9654). FETCH_FORBIDDEN, REVOCATION_UNAVAILABLE."""
        key = ("live" if live else "ocsp", url, about.der.hex())
        return self._once(key, lambda: self._asked(url, about, issuer, live=live), again=live)

    def _once(self, key: tuple[str, ...], fetch: Callable[[], bytes], *, again: bool) -> bytes:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            kept = self._kept.get(key)
            recent = kept is not None and time.monotonic() - kept.at < REST_S
            if kept is None or ((again or kept.fault is not None) and not recent):
                kept = _Kept(time.monotonic())
                try:
                    kept.body = fetch()
                except VermilionError as fault:
                    kept.fault = fault
                self._kept[key] = kept
        if kept.fault is not None:
            raise kept.fault
        assert kept.body is not None
        return kept.body

    def _asked(self, url: str, about: Certificate, issuer: Certificate, *, live: bool) -> bytes:
        # SHA-1 only names the issuer here; it is what every responder knows (RFC 5019 §2.1.1, RFC 9654 keeps it).
        builder = ocsp.OCSPRequestBuilder().add_certificate(about.parsed, issuer.parsed, SHA1())  # noqa: S303
        nonce = os.urandom(_NONCE_BYTES) if live else b""
        if live:
            builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
        answered = self._fetched(url, MOST_OCSP_BYTES, builder.build().public_bytes(Encoding.DER))
        body = _der(answered, pem.OCSP_RESPONSE, f"the OCSP answer from {url}")
        if live and not _has_nonce(body, nonce):
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the OCSP responder {origin(url)} gives no live answers")
        return body

    def _fetched(self, url: str, most_bytes: int, question: bytes | None = None) -> bytes:
        where = origin(url)
        self._require_allowed(url, where)
        method = "GET" if question is None else "POST"
        headers = {} if question is None else {"Content-Type": "application/ocsp-request"}
        try:
            answer = self._http.ask(method, url, body=question, headers=headers, most_bytes=most_bytes)
        except HttpError as fault:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, fault.reason) from None
        if answer.status != OK:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"{url} answers with status {answer.status}")
        return answer.body

    def _require_allowed(self, url: str, where: str) -> None:
        host, _colon, port = where.rpartition(":")
        if where in self._allowed or (host in self._allowed and int(port) in _PORTS):
            return
        name = host if int(port) in _PORTS else where
        raise VermilionError(Code.FETCH_FORBIDDEN, f"{url} is needed, and its host is not allowed; allow it by `--allow-host {name}`")


def _der(data: bytes, label: str, what: str) -> bytes:
    """What a document's DSS can hold: DER, never PEM."""
    try:
        return pem.der(data, label)
    except pem.EncodingError as fault:
        raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"{what} {fault}") from None


def _has_nonce(body: bytes, nonce: bytes) -> bool:
    try:
        found = ocsp.load_der_ocsp_response(body).extensions.get_extension_for_class(x509.OCSPNonce)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.nonce == nonce
