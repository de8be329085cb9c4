"""Where to ask about a certificate: only at addresses that an operator has allowed, within limits of time and size."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from sealcore.clock import Clock, why_not_current
from sealcore.errors import Code, VermilionError
from sealcore.platform.http_client import OK, HttpClient, HttpError
from signer.settings import OutsideCaSettings
from signer.status.answers import Answer, Kind, Link, read

_SCHEMES = frozenset({"http", "https"})
_REQUEST_HEADERS = {"content-type": "application/ocsp-request"}


@dataclass(frozen=True)
class Source:
    """One address to ask."""

    kind: Kind
    url: str


class Sources:
    """Asks outside CAs. Thread-safe. Follows no redirects and ignores proxies set in the environment."""

    def __init__(self, settings: OutsideCaSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._http = HttpClient(within_s=settings.timeout_s)

    def of(self, link: Link) -> list[Source]:
        """OCSP before CRL: the operator's own addresses, then those in the certificate whose host is allowed."""
        settings = self._settings
        ocsp_urls = [*settings.ocsp_urls, *filter(self._is_allowed, _ocsp_urls(link.certificate))]
        crl_urls = [*settings.crl_urls, *filter(self._is_allowed, _crl_urls(link.certificate))]
        return [*(Source("ocsp", url) for url in dict.fromkeys(ocsp_urls)), *(Source("crl", url) for url in dict.fromkeys(crl_urls))]

    def ask(self, link: Link) -> Answer:
        """The newest answer of all sources; REVOCATION_UNAVAILABLE with what kept each from giving a current one, FETCH_FORBIDDEN
        when there is no source that may be asked.

        All are asked: a responder may repeat for days what it signed before a revocation that is on the CRL already.
        """
        sources = self.of(link)
        if not sources:
            raise VermilionError(
                Code.FETCH_FORBIDDEN,
                f"nobody may be asked about {_named(link)}; allow its CA's host under trust.outside.hosts, or give an address there",
            )
        answers: list[Answer] = []
        faults: list[str] = []
        for source in sources:
            try:
                answer = read(source.kind, self._fetched(source, link), link, self._clock.now())
            except VermilionError as fault:
                faults.append(f"{source.url}: {fault.reason}")
                continue
            why = why_not_current(self._clock.now(), made=answer.this_update, ends=answer.next_update)
            if why is None:
                answers.append(answer)
            else:
                faults.append(f"{source.url}: the answer {why}")
        if answers:
            return max(answers, key=lambda answer: (answer.this_update, answer.revoked))
        raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"no current answer about {_named(link)} ({'; '.join(faults)})")

    def _is_allowed(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:  # a CA may write into a certificate what it likes
            return False
        return parts.scheme in _SCHEMES and parts.username is None and parts.netloc.lower() in self._settings.hosts

    def _fetched(self, source: Source, link: Link) -> bytes:
        try:
            if source.kind == "crl":
                answer = self._http.ask("GET", source.url, most_bytes=self._settings.largest_bytes)
            else:
                # SHA-1, because responders index by it (RFC 5019 §2.1.1); it only identifies the certificate.
                asked = ocsp.OCSPRequestBuilder().add_certificate(link.certificate, link.issuer, hashes.SHA1())  # noqa: S303
                question = asked.build().public_bytes(Encoding.DER)
                answer = self._http.ask(
                    "POST", source.url, body=question, headers=_REQUEST_HEADERS, most_bytes=self._settings.largest_bytes
                )
        except HttpError as fault:
            raise _unavailable(fault.reason) from None
        if answer.status != OK:
            raise _unavailable(f"HTTP status {answer.status}")
        return answer.body


def _unavailable(reason: str) -> VermilionError:
    return VermilionError(Code.REVOCATION_UNAVAILABLE, reason)


def _named(link: Link) -> str:
    return f"the certificate {link.certificate.serial_number:x} of {link.issuer.subject.rfc4514_string()}"


def _ocsp_urls(certificate: x509.Certificate) -> list[str]:
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return [
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.OCSP and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]


def _crl_urls(certificate: x509.Certificate) -> list[str]:
    try:
        points = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return [name.value for point in points for name in point.full_name or () if isinstance(name, x509.UniformResourceIdentifier)]
