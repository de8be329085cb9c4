"""The calls about revocation and CRLs: who may do what on their own word, and messages in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from sqlalchemy import Engine

from ca.acts import Acts
from ca.instants import to_text
from ca.metrics import CaMetrics
from ca.names import IssuerName, role_of
from ca.revocation.change import SERIAL_LIMIT_BYTES, Change, Kind, instant
from ca.revocation.crl import CrlPublisher, PublishedCrl, newest
from ca.revocation.revoke import Revocation, by_caller
from protos.vermilion.v1 import ca_pb2
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.rpc.server import Rules, caller
from sealcore.platform.storage import Storage
from sealcore.protocol.canonical import strict_json

_SERVICE: Final = "/vermilion.v1.CertificateAuthority/"
_OPERATOR: Final = frozenset({"operator"})
RULES: Final[Rules] = {
    f"{_SERVICE}Revoke": _OPERATOR,
    f"{_SERVICE}Hold": _OPERATOR,
    f"{_SERVICE}Release": _OPERATOR,
    f"{_SERVICE}Perform": frozenset({"service:workflow"}),
    f"{_SERVICE}CheckAct": frozenset({"operator", "service:workflow"}),
    f"{_SERVICE}PublishCrl": _OPERATOR,
    f"{_SERVICE}ListCrls": _OPERATOR,
}
QUORUM_NEEDED: Final = "Revoking for good or releasing under the seals CA needs a quorum: `vermilion ca revoke`, `vermilion ca release`."


@dataclass(frozen=True)
class Means:
    """What the calls work with; ``urls`` are where the CRL of each authority is fetched, as things stand now."""

    engine: Engine
    revocation: Revocation
    acts: Acts
    publisher: CrlPublisher
    urls: Callable[[], Mapping[IssuerName, str]]
    metrics: CaMetrics
    storage: Storage


class RevocationCalls:
    """Part of the CertificateAuthority service. The work blocks (HSM, database, the signer's answer), so it runs in threads."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._revocation_log = get_log("revocation")

    async def Revoke(self, request: ca_pb2.RevokeRequest, context: Any) -> ca_pb2.RevokeResponse:
        """Revokes; the CRL that says so is published when the answer leaves."""
        invalid = instant(request.invalidity_date) if request.invalidity_date else None
        return await self._on_own_word(Change(Kind.REVOKE, request.issuer, _serial(request.serial), request.reason, invalid))

    async def Hold(self, request: ca_pb2.HoldRequest, context: Any) -> ca_pb2.RevokeResponse:
        """Puts on hold; the CRL that says so is published when the answer leaves."""
        return await self._on_own_word(Change(Kind.HOLD, request.issuer, _serial(request.serial)))

    async def Release(self, request: ca_pb2.ReleaseRequest, context: Any) -> ca_pb2.RevokeResponse:
        """Takes off hold; the CRL that no longer lists it is published when the answer leaves."""
        return await self._on_own_word(Change(Kind.RELEASE, request.issuer, _serial(request.serial)))

    async def Perform(self, request: ca_pb2.ActRequest, context: Any) -> ca_pb2.RevokeResponse:
        """Carries out an approval token, once; the same token again gets the same answer. A new identity's certificate is then listed."""
        peer = caller().uri
        carried = await asyncio.to_thread(self._means.acts.perform, request.token, peer)
        if carried.change is not None:
            self._told(carried.change, peer)
        if carried.issued is not None:
            self._means.metrics.issued.labels(carried.profile).inc()
            serial, subject = f"{carried.issued.serial_number:x}", carried.issued.subject.rfc4514_string()
            self._revocation_log.info("issued by an act", caller=peer, serial=serial, subject=subject)
        return ca_pb2.RevokeResponse(crl_number="" if carried.crl_number is None else str(carried.crl_number))

    async def CheckAct(self, request: ca_pb2.CaActRequest, context: Any) -> ca_pb2.CaActResponse:
        """Whether an act could be carried out now, were it approved."""
        parameters = strict_json(request.parameters.encode("utf-8"), Code.INVALID_ARGUMENT)
        since, earliest = request.approved_since or None, request.earliest or None
        await asyncio.to_thread(self._means.acts.check, request.action, request.seal, parameters, since, earliest)
        return ca_pb2.CaActResponse()

    async def PublishCrl(self, request: ca_pb2.PublishCrlRequest, context: Any) -> ca_pb2.CrlRecord:
        """A new CRL."""
        await asyncio.to_thread(self._means.publisher.publish, request.issuer)
        published = await asyncio.to_thread(newest, self._means.engine, request.issuer)
        assert published is not None, "published above"
        return _record(request.issuer, published, self._means.urls()[request.issuer])

    async def ListCrls(self, request: ca_pb2.ListCrlsRequest, context: Any) -> ca_pb2.ListCrlsResponse:
        """The newest CRL of each CA that has one."""
        found = []
        for name, url in self._means.urls().items():
            if (published := await asyncio.to_thread(newest, self._means.engine, name)) is not None:
                found.append(_record(name, published, url))
        return ca_pb2.ListCrlsResponse(crls=found)

    async def _on_own_word(self, change: Change) -> ca_pb2.RevokeResponse:
        """What an operator may do alone: anything under the infrastructure CA; under the seals CA a hold, which fails safe."""
        uri = caller().uri
        if role_of(change.issuer) != "infrastructure" and change.kind is not Kind.HOLD:
            reason = f"{uri} alone does not {change.kind} a certificate of the CA {change.issuer}"
            raise VermilionError(Code.PERMISSION_DENIED, reason, rule=QUORUM_NEEDED)
        number = await asyncio.to_thread(self._means.revocation.perform, change, by_caller(uri, change))
        self._told(change, uri)
        return ca_pb2.RevokeResponse(crl_number=str(number))

    def _told(self, change: Change, peer: str) -> None:
        if change.kind is Kind.REVOKE:
            self._means.metrics.revoked.labels(change.issuer).inc()
        self._revocation_log.info("standing changed", caller=peer, **change.as_json())


def _record(name: IssuerName, published: PublishedCrl, url: str) -> ca_pb2.CrlRecord:
    crl = x509.load_der_x509_crl(published.der)
    return ca_pb2.CrlRecord(
        issuer=name,
        number=str(published.number),
        this_update=to_text(published.this_update),
        next_update=to_text(published.next_update),
        entries=len(crl),
        crl=published.der,
        url=url,
    )


def _serial(value: bytes) -> int:
    if not 0 < len(value) <= SERIAL_LIMIT_BYTES + 1:
        raise VermilionError(Code.INVALID_ARGUMENT, f"a serial number has 1 to {SERIAL_LIMIT_BYTES} octets")
    return int.from_bytes(value, "big")
