"""The infrastructure CAs' CRLs as services hold them: fetched, verified, asked for every second, never trusted when stale.

Several generations of the CA may issue at one time. The serial numbers of all of them are one set (128 random bits each), but an
answer is given only while a current CRL of *every* CA in ``tls.trust_file`` is at hand: a missing one could name the serial.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry, Gauge

from sealcore import pem
from sealcore.clock import Clock, why_not_current
from sealcore.errors import Code, VermilionError
from sealcore.exhaustion import typed
from sealcore.platform import durable
from sealcore.platform.config import TlsSettings
from sealcore.platform.http_client import NOT_MODIFIED, OK, HttpClient
from sealcore.platform.http_exchange import shown
from sealcore.platform.log import get as get_log
from sealcore.platform.periodic import NOW, Periodic

REFRESH_S: Final = 1.0  # how long a revoked certificate may still be accepted; an unchanged CRL costs a 304 without a body
FETCH_TIMEOUT_S: Final = 3.0
LARGEST_CRL_BYTES: Final = 16 * 1024 * 1024
KEY_PLACE: Final = "{key}"
LONGEST_TAG: Final = 256  # characters of an ETag that is sent back
_END: Final = b"-----END X509 CRL-----"


@dataclass(frozen=True)
class _Held:
    """The newest CRL of one CA."""

    crl: x509.CertificateRevocationList
    until_s: float  # nextUpdate, since the epoch
    serials: frozenset[int]


@dataclass(frozen=True)
class _State:
    """What questions are answered from; replaced whole, so that they need no lock."""

    trust: bytes
    issuers: tuple[x509.Certificate, ...]
    held: Mapping[x509.Certificate, _Held]
    until_s: float
    revoked: frozenset[int]


class CrlWatch:
    """Serial numbers that the infrastructure CAs have revoked.

    Holds the newest CRL that verified under each CA in ``tls.trust_file``, a file that may change meanwhile. While one is missing,
    past its nextUpdate, or not confirmed for ``tls.crl_grace_s`` (handed out or called unmodified where the CA publishes it), every
    question raises REVOCATION_UNAVAILABLE (I5). The cache file's time says when all were confirmed last, so that a restart is no confirmation.
    """

    def __init__(self, tls: TlsSettings, clock: Clock) -> None:
        if not tls.crl_urls or tls.crl_cache is None:
            raise VermilionError(Code.CONFIGURATION_INVALID, "tls.crl_urls and tls.crl_cache are needed to check clients")
        self._tls, self._cache, self._clock = tls, tls.crl_cache, clock
        self._client = HttpClient(within_s=FETCH_TIMEOUT_S)
        self._tags: dict[str, str] = {}  # address → ETag of the CRL that we hold from there
        self._told: dict[str, x509.Certificate] = {}  # address → the CA whose CRL it handed out
        self._confirmed_s: dict[x509.Certificate, float] = {}  # CA → when it was confirmed that no newer CRL is out, by the monotonic clock
        self._good_until_s = float("-inf")  # by the monotonic clock: the first confirmation's end
        self._lock = threading.Lock()
        self._asked_s = -REFRESH_S
        self._failing: frozenset[str] = frozenset()
        self._task = Periodic("crl-watch", self._round, REFRESH_S, first_s=NOW, clock=clock)
        self._log = get_log("revocation")
        trust = _read_trust(tls.trust_file)
        self._state = _state(trust, _parse_trust(tls.trust_file, trust), {})
        self._load_cache(self._cache)

    def is_revoked(self, serial: int) -> bool:
        """Whether ``serial`` is revoked or on hold; raises REVOCATION_UNAVAILABLE when a current CRL is missing."""
        self.require_current()
        return serial in self._state.revoked

    def is_on_hold(self, serial: int) -> bool:
        """Whether the CRLs list ``serial`` as on hold, which can be taken back."""
        listed = (one.crl.get_revoked_certificate_by_serial_number(serial) for one in self._state.held.values())
        return any(_reason(entry) is x509.ReasonFlags.certificate_hold for entry in listed if entry is not None)

    def require_current(self) -> None:
        """REVOCATION_UNAVAILABLE while it cannot be known which certificates are revoked; readiness asks, too."""
        if self._is_current() or self._refresh_once():
            return
        if self._state.until_s < self._now_s():
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "no current CRL of the infrastructure CA is at hand")
        reason = f"the infrastructure CA has not confirmed its CRL for more than {self._tls.crl_grace_s} s (tls.crl_grace_s)"
        raise VermilionError(Code.REVOCATION_UNAVAILABLE, reason)

    @property
    def seconds_left(self) -> float:
        """For how long peers count if the CA stays away from now on; below zero once they do not."""
        return min(self._state.until_s - self._now_s(), self._good_until_s - self._clock.monotonic_s())

    def _is_current(self) -> bool:
        return self._state.until_s >= self._now_s() and self._good_until_s >= self._clock.monotonic_s()

    def refresh(self) -> bool:
        """Fetches what is new; True when a current CRL of every trusted CA is held afterwards."""
        with self._lock:
            return self._refresh()

    def start(self) -> None:
        """Refreshes in the background until ``stop``."""
        self._task.start()

    def measure(self, registry: CollectorRegistry) -> None:
        """Shows ``seconds_left`` in a service's metrics."""
        text = "Seconds for which peers still count if the CA does not confirm its CRLs from now on"
        Gauge("vermilion_revocation_seconds_left", text, registry=registry).set_function(lambda: self.seconds_left)

    def stop(self) -> None:
        """Ends the background refresh; a fetch that is under way is left to its timeout."""
        self._task.stop(within_s=0)

    def _round(self) -> VermilionError | None:
        self.refresh()
        return _unusable(f"no answer that can be used from {', '.join(sorted(map(shown, self._failing)))}") if self._failing else None

    def _now_s(self) -> float:
        return self._clock.now().timestamp()

    def _refresh_once(self) -> bool:
        """As ``refresh``, but for all who ask within one round together."""
        with self._lock:
            # Whoever waited for the lock finds what the one before has fetched.
            if self._is_current():
                return True
            return time.monotonic() - self._asked_s >= REFRESH_S and self._refresh()

    def _refresh(self) -> bool:
        before = self._state
        # First the trust file: the CRL of a CA that was added just now is missing, and no answer
        # may be given without it.
        self._follow_trust()
        failing = frozenset(url for url in self._urls() if not self._fetch(url))
        self._failing, self._asked_s = failing, time.monotonic()
        self._count_grace()
        if self._state.held != before.held:
            self._keep()
        self._stamp_cache()
        return self._is_current()

    def _count_grace(self) -> None:
        """How long the CA whose confirmation is oldest may stay silent."""
        confirmed_s = [self._confirmed_s.get(issuer, float("-inf")) for issuer in self._state.issuers]
        self._good_until_s = min(confirmed_s, default=float("-inf")) + self._tls.crl_grace_s

    def _stamp_cache(self) -> None:
        """Gives the cache the time at which all that is in it was confirmed, for the next start."""
        silent_s = self._clock.monotonic_s() - (self._good_until_s - self._tls.crl_grace_s)
        at_s = max(0.0, self._now_s() - silent_s) if silent_s < float("inf") else 0.0
        with suppress(OSError):  # no file yet, or a full disk: the next start then has to fetch before it can answer
            os.utime(self._cache, (at_s, at_s))

    def _urls(self) -> Iterable[str]:
        for url in self._tls.crl_urls:
            if KEY_PLACE not in url:
                yield url
                continue
            for issuer in self._state.issuers:
                key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
                yield url.replace(KEY_PLACE, key.digest.hex())

    def _follow_trust(self) -> None:
        try:
            trust = _read_trust(self._tls.trust_file)
            if trust == self._state.trust:  # as a rule; parsing it costs as much as asking for a CRL
                return
            issuers = _parse_trust(self._tls.trust_file, trust)
        except VermilionError as fault:
            self._log.warning("trust file cannot be read; the one before stays in use", reason=fault.reason)
            return
        self._state = _state(trust, issuers, self._state.held)
        self._tags.clear()
        self._log.info("trust file read anew", authorities=len(issuers))

    def _fetch(self, url: str) -> bool:
        """Whether the address answered with a CRL of ours; takes it when it is new."""
        try:
            issuer = self._confirmed(url)
        except Exception as raised:  # noqa: BLE001  (what one address sends must not keep the others from being asked)
            fault = typed(raised)
            if url not in self._failing:  # once, not every second of an outage
                self._log.warning("crl cannot be fetched", url=shown(url), code=str(fault.code), reason=fault.reason)
            return False
        self._confirmed_s[issuer] = self._clock.monotonic_s()
        return True

    def _confirmed(self, url: str) -> x509.Certificate:
        """The CA whose newest CRL is held now, as the address confirms: by handing it out, or by saying that it has no other."""
        tag = self._tags.get(url)
        answer = self._client.ask("GET", url, headers={"If-None-Match": tag} if tag else {}, most_bytes=LARGEST_CRL_BYTES)
        # "Not modified" confirms only what we hold from that very address, by a tag that it gave us.
        if tag and answer.status == NOT_MODIFIED and url in self._told:
            return self._told[url]
        if answer.status != OK:
            raise _unusable(f"HTTP status {answer.status}")
        try:
            issuer = self._take(pem.crl(answer.body))
        except ValueError as fault:
            raise _unusable(str(fault)) from None
        if issuer is None:
            raise _unusable("the CRL is older than the one that is held")
        self._told[url] = issuer
        self._tags.pop(url, None)
        if (fresh := answer.headers.get("etag", "")) and len(fresh) <= LONGEST_TAG and fresh.isascii():
            self._tags[url] = fresh
        return issuer

    def _load_cache(self, path: Path) -> None:
        data = durable.read(path)
        if data is None:
            return
        # A restart is no confirmation: the grace that ran before it goes on running.
        age_s = self._now_s() - path.stat().st_mtime
        for part in data.split(_END)[:-1]:
            try:
                issuer = self._take(x509.load_pem_x509_crl(part + _END))
            except ValueError:
                self._log.warning("crl cache is damaged; fetching anew")
            else:
                if issuer is not None and age_s >= 0:  # a time in the future was not written by this clock
                    self._confirmed_s[issuer] = self._clock.monotonic_s() - age_s
        self._count_grace()

    def _keep(self) -> None:
        pem = b"".join(held.crl.public_bytes(Encoding.PEM) for held in self._state.held.values())
        try:
            durable.write(self._cache, pem)
        except VermilionError as fault:
            self._log.warning("crls cannot be kept", code=str(fault.code), reason=fault.reason)

    def _take(self, crl: x509.CertificateRevocationList) -> x509.Certificate | None:
        """Takes a complete CRL of a trusted CA, whose certificate it returns; None where a newer one is held, ValueError for any other."""
        issuer = next((one for one in self._state.issuers if one.subject == crl.issuer and pem.is_signed_by(crl, one)), None)
        if issuer is None:
            raise ValueError("the CRL is not signed by an infrastructure CA that we trust")
        if not _complete(crl) or crl.next_update_utc is None:
            raise ValueError("the CRL does not cover every certificate of its CA")
        if (why := why_not_current(self._clock.now(), made=crl.last_update_utc)) is not None:
            raise ValueError(f"the CRL {why}")  # a newer one would never replace it
        held = self._state.held.get(issuer)
        if held is not None and crl.last_update_utc < held.crl.last_update_utc:
            return None  # an older CRL never replaces a newer one, nor confirms it
        serials = frozenset(entry.serial_number for entry in crl)
        new = {**self._state.held, issuer: _Held(crl, crl.next_update_utc.timestamp(), serials)}
        # One assignment: whoever asks meanwhile sees the old state or the new one, never a part of
        # each.
        self._state = _state(self._state.trust, self._state.issuers, new)
        return issuer


def _unusable(reason: str) -> VermilionError:
    return VermilionError(Code.REVOCATION_UNAVAILABLE, reason)


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return None


def _read_trust(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the trust file {path.name} cannot be read") from None


def _parse_trust(path: Path, trust: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(trust))
    except ValueError:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"the trust file {path.name} cannot be read") from None


def _state(trust: bytes, issuers: tuple[x509.Certificate, ...], held: Mapping[x509.Certificate, _Held]) -> _State:
    """A CA that is trusted no longer is dropped with its CRL; one without a CRL makes the whole unusable."""
    kept = {issuer: held[issuer] for issuer in issuers if issuer in held}
    until_s = min(one.until_s for one in kept.values()) if issuers and len(kept) == len(set(issuers)) else float("-inf")
    return _State(trust, issuers, kept, until_s, frozenset().union(*(one.serials for one in kept.values())))


def _complete(crl: x509.CertificateRevocationList) -> bool:
    """Neither a delta nor limited to some certificates or reasons (RFC 5280 §5.2.4, §5.2.5)."""
    try:
        crl.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    except x509.ExtensionNotFound:
        pass
    else:
        return False
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return True
    partial = (scope.only_contains_ca_certs, scope.only_contains_attribute_certs, scope.indirect_crl)
    return not any(partial) and scope.only_some_reasons is None
