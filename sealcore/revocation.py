"""The infrastructure CA's CRL as services hold it: fetched, verified, refreshed in the background, never trusted when stale."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
from cryptography import x509

from sealcore.clock import Clock
from sealcore.config import TlsSettings
from sealcore.errors import Code, VermilionError
from sealcore.log import get as get_log

REFRESH_S = 5.0  # how late a revoked certificate may still be taken
FETCH_TIMEOUT_S = 3.0


class CrlWatch:
    """Serial numbers that the infrastructure CA has revoked.

    Holds the newest CRL that verified under the issuing CA in ``tls.trust_file``. Until one is there, or once the newest is
    past its nextUpdate, every question raises REVOCATION_UNAVAILABLE (I5).
    """

    def __init__(self, tls: TlsSettings, clock: Clock) -> None:
        if tls.crl_url is None or tls.crl_cache is None:
            raise VermilionError(Code.CONFIGURATION_INVALID, "tls.crl_url and tls.crl_cache are needed to check clients")
        self._url, self._cache, self._clock = tls.crl_url, tls.crl_cache, clock
        self._issuers = x509.load_pem_x509_certificates(tls.trust_file.read_bytes())
        self._crl: x509.CertificateRevocationList | None = None
        self._revoked: frozenset[int] = frozenset()
        self._stop = threading.Event()
        self._log = get_log("revocation")
        self._load_cache(self._cache)

    def is_revoked(self, serial: int) -> bool:
        """Whether ``serial`` is revoked; raises REVOCATION_UNAVAILABLE when no fresh CRL is there."""
        crl = self._crl
        stale = crl is None or crl.next_update_utc is None or crl.next_update_utc < self._clock.now()
        if stale and not self.refresh():
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "no current CRL of the infrastructure CA is at hand")
        return serial in self._revoked

    def refresh(self) -> bool:
        """Fetches the CRL now; True when a valid, current one is held afterwards."""
        try:
            answer = httpx.get(self._url, timeout=FETCH_TIMEOUT_S)
            answer.raise_for_status()
            self._take(answer.content)
            if self._cache.read_bytes() != answer.content if self._cache.exists() else True:
                self._cache.write_bytes(answer.content)
        except (httpx.HTTPError, OSError, ValueError) as fault:
            self._log.warning("crl refresh failed", reason=type(fault).__name__)
        crl = self._crl
        return crl is not None and crl.next_update_utc is not None and crl.next_update_utc >= self._clock.now()

    def start(self) -> None:
        """Refreshes in the background until ``stop``."""
        threading.Thread(target=self._loop, name="crl-watch", daemon=True).start()

    def stop(self) -> None:
        """Ends the background refresh."""
        self._stop.set()

    def _loop(self) -> None:
        while True:
            self.refresh()
            if self._stop.wait(REFRESH_S):
                return

    def _load_cache(self, path: Path) -> None:
        if path.exists():
            try:
                self._take(path.read_bytes())
            except ValueError:
                self._log.warning("crl cache is damaged; fetching anew")

    def _take(self, der: bytes) -> None:
        crl = x509.load_der_x509_crl(der)
        issuer = next((c for c in self._issuers if c.subject == crl.issuer), None)
        if issuer is None or not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
            raise ValueError("the CRL is not signed by the infrastructure CA")
        if self._crl is not None and crl.last_update_utc < self._crl.last_update_utc:
            return  # an older CRL never replaces a newer one
        self._crl, self._revoked = crl, frozenset(entry.serial_number for entry in crl)
