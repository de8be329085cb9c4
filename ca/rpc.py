"""The CertificateAuthority service over gRPC: who may call what, and messages in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from cryptography import x509
from sqlalchemy import Engine

from ca.certificate import der
from ca.issue import Issuance, Order
from ca.metrics import CaMetrics
from ca.profiles import ISSUING, IssuerName
from ca.record import is_revoked, list_certificates
from ca.request import read
from ca.revoke import Revocation
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.log import get as get_log
from sealcore.rpc import Rules, caller

_SERVICE: Final = "/vermilion.v1.CertificateAuthority/"
SERIAL_LIMIT_BYTES: Final = 20  # RFC 5280 §4.1.2.2

RULES: Final[Rules] = {
    f"{_SERVICE}Issue": frozenset({"operator", "service:signer"}),
    f"{_SERVICE}Revoke": frozenset({"operator"}),
    f"{_SERVICE}ListCertificates": frozenset({"operator"}),
}
"""Who may call; for Issue each profile narrows it further (an operator gets no seal's certificate: D1)."""


class OwnRecord:
    """The CA asks its own record whether a caller is revoked, not a CRL: nothing is fresher."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_revoked(self, serial: int) -> bool:
        """Whether the infrastructure CA's certificate of this serial number is revoked, or was never issued."""
        return is_revoked(self._engine, "infrastructure", serial)


class CertificateAuthority(ca_pb2_grpc.CertificateAuthorityServicer):
    """Issues, revokes, lists. The work blocks (HSM, database), so it runs in threads."""

    def __init__(
        self,
        engine: Engine,
        issuance: Issuance,
        revocation: Revocation,
        authorities: Mapping[IssuerName, x509.Certificate],
        metrics: CaMetrics,
    ) -> None:
        self._engine = engine
        self._issuance = issuance
        self._revocation = revocation
        self._authorities = authorities
        self._metrics = metrics
        self._log = get_log("ca")

    async def Issue(self, request: ca_pb2.IssueRequest, context: Any) -> ca_pb2.IssueResponse:
        """A certificate for a PKCS#10 request."""
        peer = caller()
        if not peer.roles & set(self._issuance.profile(request.profile).callers):
            raise VermilionError(Code.PERMISSION_DENIED, f"{peer.uri} gets no certificate of the profile {request.profile}")
        wanted = read(request.request, uri=request.subject_uri, dns=request.dns_names, addresses=request.ip_addresses)
        certificate = await asyncio.to_thread(self._issuance.issue, Order(request.profile, wanted))
        self._metrics.issued.labels(request.profile).inc()
        self._log.info("issued", profile=request.profile, serial=f"{certificate.serial_number:x}", caller=peer.uri)
        issuer = next(each for each in self._authorities.values() if each.subject == certificate.issuer)
        return ca_pb2.IssueResponse(certificate=der(certificate), chain=[der(issuer), der(self._authorities["root"])])

    async def Revoke(self, request: ca_pb2.RevokeRequest, context: Any) -> ca_pb2.RevokeResponse:
        """Revokes; the CRL that says so is published when the answer leaves."""
        issuer = next((name for name in ISSUING if name == request.issuer), None)
        if issuer is None:
            raise VermilionError(Code.INVALID_ARGUMENT, f"issuer is one of {', '.join(ISSUING)}")
        if not 0 < len(request.serial) <= SERIAL_LIMIT_BYTES + 1:
            raise VermilionError(Code.INVALID_ARGUMENT, "a serial number has 1 to 20 octets")
        serial = int.from_bytes(request.serial, "big")
        number = await asyncio.to_thread(self._revocation.revoke, issuer, serial, request.reason)
        self._metrics.revoked.labels(issuer).inc()
        self._log.info("revoked", issuer=issuer, serial=f"{serial:x}", reason=request.reason, caller=caller().uri)
        return ca_pb2.RevokeResponse(crl_number=str(number))

    async def ListCertificates(self, request: ca_pb2.ListCertificatesRequest, context: Any) -> ca_pb2.ListCertificatesResponse:
        """Every certificate, or those of one profile."""
        rows: list[Any] = await asyncio.to_thread(list_certificates, self._engine, request.profile or None)
        return ca_pb2.ListCertificatesResponse(certificates=[_record(row) for row in rows])


def _record(row: Any) -> ca_pb2.CertificateRecord:
    serial = int(row.serial, 16)
    return ca_pb2.CertificateRecord(
        serial=serial.to_bytes((serial.bit_length() + 7) // 8, "big"),
        profile=row.profile,
        issuer=row.issuer,
        subject=row.subject,
        not_before=row.not_before,
        not_after=row.not_after,
        state=row.state,
        certificate=row.certificate or b"",
    )
