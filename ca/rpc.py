"""The CertificateAuthority service over gRPC: who may call what, and messages in and out."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from cryptography import x509
from sqlalchemy import Engine

from ca.issuance.certificate import der
from ca.issuance.declared import require_declared
from ca.issuance.issue import Issuance, Order
from ca.issuance.profiles import Profile
from ca.issuance.renew import Renewals
from ca.issuance.request import read
from ca.metrics import CaMetrics
from ca.names import parts
from ca.pki import PkiFolder, root_of
from ca.record import is_on_hold, is_revoked, list_certificates
from ca.revocation import rpc as revocation_rpc
from ca.revocation.rpc import Means, RevocationCalls
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.log import get as get_log
from sealcore.platform.metrics import CallMetrics
from sealcore.platform.rpc.server import Rules, caller, server

SERVICE: Final = ca_pb2.DESCRIPTOR.services_by_name["CertificateAuthority"].full_name
_SERVICE: Final = f"/{SERVICE}/"

RULES: Final[Rules] = {
    f"{_SERVICE}Issue": frozenset({"service:signer", "service:ocsp"}),
    **revocation_rpc.RULES,
    f"{_SERVICE}ListCertificates": frozenset({"operator"}),
    f"{_SERVICE}ListProfiles": frozenset({"operator"}),
    f"{_SERVICE}Renew": frozenset({"any"}),
}
"""Who may call; for Issue each profile narrows it further. Identities come by ceremony, approved act (``Perform``) and renewal alone."""


class OwnRecord:
    """The CA asks its own record whether a caller is revoked, not a CRL: nothing is fresher."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def is_revoked(self, serial: int) -> bool:
        """Whether the infrastructure CA's certificate of this serial number is revoked, or was never issued, in all its generations."""
        return is_revoked(self._engine, "infrastructure", serial)

    def is_on_hold(self, serial: int) -> bool:
        """Whether it is on hold."""
        return is_on_hold(self._engine, "infrastructure", serial)


def create_server(servicer: CertificateAuthority, engine: Engine, tls: TlsSettings, *, target: str, metrics: CallMetrics) -> Any:
    """An aio server that is not started yet; raises as ``sealcore.platform.rpc.server.server``."""
    made = server(tls, RULES, OwnRecord(engine), target=target, metrics=metrics)
    ca_pb2_grpc.add_CertificateAuthorityServicer_to_server(servicer, made)  # type: ignore[no-untyped-call]  # generated
    return made


class CertificateAuthority(RevocationCalls, ca_pb2_grpc.CertificateAuthorityServicer):
    """Issues, revokes, lists. The work blocks (HSM, database), so it runs in threads."""

    def __init__(
        self,
        engine: Engine,
        issuance: Issuance,
        means: Means,
        folder: PkiFolder,
        metrics: CaMetrics,
    ) -> None:
        super().__init__(means)
        self._engine = engine
        self._issuance = issuance
        self._renewals = Renewals(engine, issuance)
        self._folder = folder
        self._metrics = metrics
        self._log = get_log("ca")

    async def Issue(self, request: ca_pb2.IssueRequest, context: Any) -> ca_pb2.IssueResponse:
        """A certificate for a PKCS#10 request by a key of the caller's own token."""
        peer, profile = caller(), self._issuance.profile(request.profile)
        if profile.keys is None or not peer.roles & set(profile.callers):
            raise VermilionError(Code.PERMISSION_DENIED, f"{peer.uri} gets no certificate of the profile {request.profile}")
        role, generation = parts(request.issuer) if request.issuer else (None, None)
        self._means.storage.require_room()
        wanted = read(request.request, uri=request.subject_uri, dns=request.dns_names, addresses=request.ip_addresses)
        # The profile says which service may ask, the ceremony's record for which keys: a service's
        # stolen identity opens none of its own.
        await asyncio.to_thread(require_declared, self._folder.folder, profile.keys, wanted.spki_der)
        certificate = await asyncio.to_thread(self._issuance.issue, Order(request.profile, wanted, role, generation))
        self._metrics.issued.labels(request.profile).inc()
        self._log.info("issued", profile=request.profile, serial=f"{certificate.serial_number:x}", caller=peer.uri)
        return self._answer(certificate)

    async def Renew(self, request: ca_pb2.RenewRequest, context: Any) -> ca_pb2.IssueResponse:
        """The successor of the certificate that the caller shows."""
        peer = caller()
        profile, certificate = await asyncio.to_thread(self._renewals.renew, peer, request.request)
        self._metrics.issued.labels(profile).inc()
        self._log.info("renewed", profile=profile, serial=f"{certificate.serial_number:x}", caller=peer.uri)
        return self._answer(certificate)

    async def ListCertificates(self, request: ca_pb2.ListCertificatesRequest, context: Any) -> ca_pb2.ListCertificatesResponse:
        """Every certificate, or those of one profile."""
        rows: list[Any] = await asyncio.to_thread(list_certificates, self._engine, request.profile or None)
        return ca_pb2.ListCertificatesResponse(certificates=[_record(row) for row in rows])

    async def ListProfiles(self, request: ca_pb2.ListProfilesRequest, context: Any) -> ca_pb2.ListProfilesResponse:
        """The profiles, in the order of their file."""
        return ca_pb2.ListProfilesResponse(profiles=[_profile(name, one) for name, one in self._issuance.profiles.items()])

    def _answer(self, certificate: x509.Certificate) -> ca_pb2.IssueResponse:
        present = self._folder.current.authorities
        issuer = next(each for each in present.values() if each.subject == certificate.issuer)
        return ca_pb2.IssueResponse(certificate=der(certificate), chain=[der(issuer), der(present[root_of(issuer, present)])])


def _profile(name: str, profile: Profile) -> ca_pb2.ProfileRecord:
    return ca_pb2.ProfileRecord(
        name=name,
        issuers=profile.issuers,
        days=profile.days or 0,
        algorithms=profile.algorithms,
        key_usage=profile.key_usage,
        extended_key_usage=profile.extended_key_usage,
        policies=profile.policies,
        qc_statements=profile.qc.names,
        names=profile.name_rules,
        callers=profile.callers,
        etsi=profile.etsi or "",
    )


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
        revoked_at=row.revoked_at or "",
        reason=row.reason or "",
        invalidity_date=row.invalidity_date or "",
        held_at=row.held_at or "",
    )
