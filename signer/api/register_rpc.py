"""The Register service over gRPC: reading the signer's register, stopping, and acts of a quorum."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.log import get as get_log
from sealcore.platform.rpc.server import caller
from sealcore.platform.storage import Storage
from sealcore.protocol.canonical import strict_json
from sealcore.protocol.covers import GrantCovers
from sealcore.protocol.stop import StopStatement
from sealcore.protocol.token import parse
from signer.acts.perform import Performer
from signer.acts.stop import Stopped, stop
from signer.api.certificate_requests import CertificateRequests
from signer.api.threads import in_thread
from signer.metrics import SignerMetrics
from signer.pipeline.examiner import Examiner
from signer.register.model import Register, Seal
from signer.register.store import RegisterStore
from signer.uses.retention import Grant, Retention
from signer.worker.status import KeyFacts

REGISTER = signer_pb2.DESCRIPTOR.services_by_name["Register"].full_name
PICTURES_HELD = 256


class KeyPurposes:
    """Purpose and owner of keys, as the inventory declares them; empty for keys that it does not declare."""

    def __init__(self, declared: dict[str, tuple[str, str]]) -> None:
        self._declared = declared

    def of(self, label: str) -> tuple[str, str]:
        """Purpose and owner."""
        return self._declared.get(label, ("", ""))


def add_register_service(server: Any, service: RegisterService) -> None:
    """Registers the service."""
    signer_pb2_grpc.add_RegisterServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated


class RegisterService(signer_pb2_grpc.RegisterServicer):
    """Answers reads, and carries out signed orders: stops and acts."""

    def __init__(
        self,
        *,
        store: RegisterStore,
        performer: Performer,
        retention: Retention,
        keys: Callable[[], Awaitable[list[KeyFacts]]],
        purposes: KeyPurposes,
        requests: CertificateRequests,
        examiner: Examiner,
        metrics: SignerMetrics,
        storage: Storage,
        clock: Clock,
        executor: Executor,
    ) -> None:
        self._store = store
        self._performer = performer
        self._retention = retention
        self._keys = keys
        self._purposes = purposes
        self._requests = requests
        self._metrics = metrics
        self._storage = storage
        self._clock = clock
        self._executor = executor
        self._log = get_log("register")
        self._picture_size = lru_cache(maxsize=PICTURES_HELD)(lambda sha256: examiner.picture_size(store.attachment(sha256)))

    async def ListSeals(self, request: signer_pb2.ListSealsRequest, context: Any) -> signer_pb2.ListSealsResponse:
        """All seals, in any state."""
        register = await in_thread(self._executor, self._store.current)
        return signer_pb2.ListSealsResponse(seals=[_seal_message(register, seal) for seal in register.seals.values()])

    async def GetSeal(self, request: signer_pb2.GetSealRequest, context: Any) -> signer_pb2.SealRecord:
        """One seal."""
        register = await in_thread(self._executor, self._store.current)
        return _seal_message(register, register.seal(request.id))

    async def GetPicture(self, request: signer_pb2.GetPictureRequest, context: Any) -> signer_pb2.Picture:
        """A picture of a registered seal, with its size."""
        pdf, (width, height) = await in_thread(self._executor, self._picture, request.picture_sha256)
        return signer_pb2.Picture(pdf=pdf, width_millipoints=width, height_millipoints=height)

    async def ListPeople(self, request: signer_pb2.ListPeopleRequest, context: Any) -> signer_pb2.ListPeopleResponse:
        """Everyone who may decide or stop, including those who have left; the pinned issuers, the last restore, and the clients shut out."""
        register = await in_thread(self._executor, self._store.current)
        people = [
            signer_pb2.PersonRecord(id=one.id, roles=sorted(one.roles), public_key=one.public_key, active=one.active)
            for one in register.people.values()
        ]
        peer, shut_out = caller(), sorted(subject for kind, subject in register.stopped if kind == "client")
        issuers = [one.public_key for one in register.issuers.values() if one.active]
        return signer_pb2.ListPeopleResponse(
            people=people,
            register_quorum=register.register_quorum,
            issuers=issuers,
            restored_at=register.restored_at or 0,
            shut_out=[uri for uri in shut_out if "client" not in peer.roles or uri == peer.uri],
        )

    async def ListKeys(self, request: signer_pb2.ListKeysRequest, context: Any) -> signer_pb2.ListKeysResponse:
        """Every key of the signer's token."""
        return signer_pb2.ListKeysResponse(keys=[_key_message(key, *self._purposes.of(key.label)) for key in await self._keys()])

    async def RequestCertificate(
        self, request: signer_pb2.RequestCertificateRequest, context: Any
    ) -> signer_pb2.RequestCertificateResponse:
        """A PKCS#10 request by a key of the token."""
        noted = await self._requests.request(request.label, request.common_name, request.organization)
        self._log.info("certificate requested", label=request.label, caller=caller().uri, ledger_index=noted.ledger_index)
        return signer_pb2.RequestCertificateResponse(request=noted.request, ledger_index=noted.ledger_index)

    async def CertifyKey(self, request: signer_pb2.RequestCertificateRequest, context: Any) -> signer_pb2.CertifyKeyResponse:
        """A certificate by the office's own CA for a key of the token."""
        issued = await self._requests.certify(request.label, request.common_name, request.organization)
        self._log.info("key certified", label=request.label, caller=caller().uri)
        return signer_pb2.CertifyKeyResponse(certificate=issued.certificate, chain=issued.chain)

    async def ListGrants(self, request: signer_pb2.ListGrantsRequest, context: Any) -> signer_pb2.ListGrantsResponse:
        """Every grant that was used at least once; a client sees its own."""
        peer = caller()
        register = await in_thread(self._executor, self._store.current)
        grants = await in_thread(self._executor, self._retention.grants)
        own = [one for one in grants if "client" not in peer.roles or one.client == peer.uri]
        return signer_pb2.ListGrantsResponse(grants=[_grant_message(register, one) for one in own])

    async def Stop(self, request: signer_pb2.StopRequest, context: Any) -> signer_pb2.StopResponse:
        """An officer's signed stop of a seal or a grant."""
        statement = StopStatement(request.subject_kind, request.subject, request.officer, request.reason, request.time)
        work = partial(stop, self._store, self._clock, statement, request.signature)
        try:
            stopped: Stopped = await in_thread(self._executor, self._storage.for_a_stop, work)
        except VermilionError as fault:
            if fault.code is not Code.STORAGE_FULL:
                raise
            undone = "the seal was NOT suspended" if request.subject_kind == "seal" else "the grant was NOT withdrawn"
            raise VermilionError(fault.code, f"{undone}: {fault.reason}") from None
        self._metrics.stops.labels(request.subject_kind).inc()
        self._log.info("stopped", kind=request.subject_kind, subject=request.subject, officer=request.officer, epoch=stopped.epoch)
        return signer_pb2.StopResponse(epoch=stopped.epoch, ledger_index=stopped.ledger_index)

    async def Perform(self, request: signer_pb2.PerformRequest, context: Any) -> signer_pb2.PerformResponse:
        """An act of a quorum: resuming a seal, or a change of the register."""
        files: Sequence[bytes] = list(request.attachments)
        recorded = await in_thread(self._executor, self._performer.perform, request.token, files, caller().uri)
        self._metrics.acts.labels("perform").inc()
        self._log.info("act carried out", ledger_index=recorded.ledger_index, acts=recorded.register.version)
        return signer_pb2.PerformResponse(ledger_index=recorded.ledger_index)

    async def CheckAct(self, request: signer_pb2.CheckActRequest, context: Any) -> signer_pb2.CheckActResponse:
        """Whether an act could be carried out now if it were approved."""
        parameters = strict_json(request.parameters.encode("utf-8"), Code.INVALID_ARGUMENT)
        files: Sequence[bytes] = list(request.attachments)
        since = request.approved_since or None
        after = await in_thread(self._executor, self._performer.check, request.action, request.seal, parameters, files, since)
        # People would approve a seal that can never seal.
        if parameters.get("change") == "seal_add":
            _require_key(after.seal(str(parameters["id"])), await self._keys())
        return signer_pb2.CheckActResponse()

    def _picture(self, sha256: bytes) -> tuple[bytes, tuple[int, int]]:
        # Only pictures of seals: base PDFs of templates lie in the same table and are nobody's
        # business here.
        if not any(sha256 in seal.pictures for seal in self._store.current().seals.values()):
            raise VermilionError(Code.NOT_FOUND, "no registered seal has this picture")
        return self._store.attachment(sha256), self._picture_size(sha256)


def _require_key(seal: Seal, keys: Sequence[KeyFacts]) -> None:
    """NOT_FOUND unless the token has the seal's key under its label, INVALID_ARGUMENT when the certificate is for another."""
    key = next((one for one in keys if one.label == seal.key_label), None)
    if key is None:
        raise VermilionError(Code.NOT_FOUND, f"the signer's token has no key {seal.key_label}; the seal could not be used")
    if key.spki_sha256 != seal.spki_sha256:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the certificate is not for the key {seal.key_label}")


def _seal_message(register: Register, seal: Seal) -> signer_pb2.SealRecord:
    return signer_pb2.SealRecord(
        id=seal.id,
        name=seal.name,
        kind=seal.kind,
        state=seal.state,
        epoch=register.epoch("seal", seal.id),
        algorithm=str(seal.algorithm),
        spki_sha256=seal.spki_sha256,
        certificate=seal.certificate,
        chain=seal.chain,
        picture_sha256=seal.pictures,
        content_policy=seal.content_policy,
        certification=seal.certifies.word,
        quorum=[signer_pb2.QuorumRule(action=action, least_persons=least) for action, least in sorted(seal.quorum.items())],
    )


def _key_message(key: KeyFacts, purpose: str, owner: str) -> signer_pb2.KeyRecord:
    return signer_pb2.KeyRecord(
        label=key.label,
        algorithm=key.algorithm,
        purpose=purpose,
        owner=owner,
        spki_sha256=key.spki_sha256,
        extractable=key.extractable,
        sensitive=key.sensitive,
    )


def _grant_message(register: Register, grant: Grant) -> signer_pb2.GrantRecord:
    claims = parse(grant.jws).claims
    assert isinstance(claims.covers, GrantCovers), "stored as a grant"
    return signer_pb2.GrantRecord(
        jti=grant.jti,
        seal=claims.seal,
        client=grant.client,
        most_uses=claims.covers.most_uses,
        uses=grant.uses,
        expires=datetime.fromtimestamp(min(claims.exp, claims.covers.expires), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        template=claims.covers.template or "none",
        withdrawn=("grant", grant.jti) in register.stopped,
    )
