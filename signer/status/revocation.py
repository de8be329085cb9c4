"""Whether a seal's certificate is good, asked of the CA when a seal is resumed (docs/protocol.md, "Keys and trust")."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from sealcore import pem
from sealcore.clock import Clock, why_not_current
from sealcore.errors import Code, VermilionError
from sealcore.platform.http_client import OK, HttpClient, HttpError
from sealcore.platform.revocation import KEY_PLACE
from signer.register.model import Seal

FETCH_TIMEOUT_S = 5.0
LARGEST_CRL_BYTES = 16 * 1024 * 1024


class SealRevocations:
    """The CRL of the CA that issues seals, fetched anew each time: resuming is rare and must not rest on an old CRL.

    ``{key}`` in ``crl_url`` stands for the CA's key identifier in hex, so that one address serves all its generations.
    """

    def __init__(self, chain_file: Path, crl_url: str | None, clock: Clock) -> None:
        self._chain: Sequence[x509.Certificate] = x509.load_pem_x509_certificates(chain_file.read_bytes())
        self._url = crl_url
        self._clock = clock
        self._http = HttpClient(within_s=FETCH_TIMEOUT_S)

    def assert_good(self, seal: Seal) -> None:
        """Raises CERTIFICATE_REVOKED when it is revoked, REVOCATION_UNAVAILABLE when that cannot be known."""
        issuer = next((ca for ca in self._chain if ca.subject == seal.leaf.issuer), None)
        if issuer is None:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "the seal's certificate is not by the issuing CA of seals that we trust")
        crl = self._fetch(issuer)
        if crl.issuer != issuer.subject or not pem.is_signed_by(crl, issuer):
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "the CA's CRL is not signed by the issuing CA of seals")
        if crl.next_update_utc is None:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "the CA's CRL does not say until when it counts")
        if (why := why_not_current(self._clock.now(), made=crl.last_update_utc, ends=crl.next_update_utc)) is not None:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CA's CRL {why}")
        if crl.get_revoked_certificate_by_serial_number(seal.leaf.serial_number) is not None:
            raise VermilionError(Code.CERTIFICATE_REVOKED, f"the certificate of the seal {seal.id} is revoked")

    def _fetch(self, issuer: x509.Certificate) -> x509.CertificateRevocationList:
        if self._url is None:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, "no CRL of the issuing CA of seals is configured")
        try:
            key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
            answer = self._http.ask("GET", self._url.replace(KEY_PLACE, key), most_bytes=LARGEST_CRL_BYTES)
            if answer.status != OK:
                raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CA answers with status {answer.status} instead of its CRL")
            return pem.crl(answer.body)
        except HttpError as fault:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CA's CRL cannot be fetched: {fault.reason}") from None
        except pem.EncodingError as fault:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CA's CRL {fault}") from None
        except (ValueError, x509.ExtensionNotFound) as fault:
            raise VermilionError(Code.REVOCATION_UNAVAILABLE, f"the CA's CRL cannot be used ({type(fault).__name__})") from None
