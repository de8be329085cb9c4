"""The CRLs of our own authorities, fetched from our own configured addresses, kept on disk, replaced only by newer ones.

A document never names an address that is asked here. What is held is used as long as it is current; ``verify.steps.paths`` judges that.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.http_client import OK, HttpClient
from sealcore.platform.http_exchange import shown
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import Periodic
from verify.trust import TrustMaterial, crl_of, signer_of

REFRESH_S = 30.0  # how late a revocation may become known here
FETCH_TIMEOUT_S = 5.0
MOST_CRL_BYTES = 32 * 1024 * 1024


class CrlStore:
    """The newest verified CRL of each address. Thread-safe."""

    def __init__(self, trust: TrustMaterial, urls: Sequence[str], cache: Path | None) -> None:
        self._authorities = trust.authorities
        self._urls = tuple(urls)
        self._cache = cache
        self._held: dict[str, x509.CertificateRevocationList] = {}
        self._failing: dict[str, str] = {}  # address → why, as the log has it
        self._lock = threading.Lock()
        self._http = HttpClient(within_s=FETCH_TIMEOUT_S)
        self._task = Periodic("crls", self.refresh, REFRESH_S)
        self._log = get_log("crls")
        for url in self._urls:
            self._load(url)

    def current(self) -> tuple[x509.CertificateRevocationList, ...]:
        """What is held now, one per address at most."""
        with self._lock:
            return tuple(self._held.values())

    def refresh(self) -> VermilionError | None:
        """Fetches every address once; one that fails keeps what it had. The last fault, if any."""
        fault = None
        for url in self._urls:
            try:
                self._take(url, self._fetch(url))
            except Exception as raised:  # noqa: BLE001  (what one address sends must not keep the others from being asked)
                fault = typed(raised)
                if self._failing.get(url) != fault.reason:  # once an outage, and when its reason changes
                    self._log.warning("crl refresh failed", url=shown(url), code=str(fault.code), reason=fault.reason)
                self._failing[url] = fault.reason
            else:
                self._failing.pop(url, None)
        return fault

    def start(self) -> None:
        """Fetches now, and from then on in the background until ``stop``."""
        self.refresh()
        self._task.start()

    def stop(self) -> None:
        """Ends the background refresh; a fetch that is under way is left to its timeout."""
        self._task.stop(within_s=0)

    def _fetch(self, url: str) -> bytes:
        answer = self._http.ask("GET", url, most_bytes=MOST_CRL_BYTES)
        if answer.status != OK:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"HTTP status {answer.status}")
        return answer.body

    def _take(self, url: str, data: bytes) -> None:
        crl = crl_of(data)
        if signer_of(crl, self._authorities) is None:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "the CRL is not signed by one of our authorities")
        with self._lock:
            held = self._held.get(url)
            if held is not None and held.last_update_utc >= crl.last_update_utc:
                return  # an older CRL never replaces a newer one
            self._held[url] = crl
        if self._cache is not None:
            self._cache.mkdir(parents=True, exist_ok=True)
            fresh = self._file(self._cache, url).with_suffix(".new")
            fresh.write_bytes(crl.public_bytes(Encoding.DER))
            fresh.replace(self._file(self._cache, url))

    def _load(self, url: str) -> None:
        if self._cache is None or not self._file(self._cache, url).exists():
            return
        try:
            self._take(url, self._file(self._cache, url).read_bytes())
        except (VermilionError, OSError, ValueError):
            self._log.warning("a cached crl is damaged; fetching anew", url=url)

    @staticmethod
    def _file(cache: Path, url: str) -> Path:
        return cache / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.crl"
