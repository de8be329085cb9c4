"""The signer's register and ledger as the workflow meets them: a real gRPC server over mTLS, with state that tests set and read."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc import server as rpc
from sealcore.protocol import stop as stops
from sealcore.protocol import token as tokens
from sealcore.protocol.decision import Decision, DecisionContext, sign
from tests.pki import NeverRevoked

_WORKFLOW = frozenset({"service:workflow"})
_METHODS = ("GetSeal", "ListSeals", "ListPeople", "ListGrants", "Stop", "Perform", "CheckAct")
RULES = {f"/vermilion.v1.Register/{name}": _WORKFLOW for name in _METHODS} | {"/vermilion.v1.Ledger/Append": _WORKFLOW}


class Human:
    """A person with a P-256 key in software, as short as tests want it."""

    def __init__(self, *roles: str, name: str = "Someone") -> None:
        self.id = uuid7()
        self.name = name
        self.roles = roles
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(SHA256()))

    def decide(self, context: DecisionContext, verdict: str, time: int) -> Decision:
        return sign(context, self.id, verdict, time, self.sign)


@dataclass
class State:
    """What the register says, and what came in."""

    seals: dict[str, signer_pb2.SealRecord] = field(default_factory=dict)
    people: dict[str, signer_pb2.PersonRecord] = field(default_factory=dict)
    grants: list[signer_pb2.GrantRecord] = field(default_factory=list)
    register_quorum: int = 2
    restored_at: int = 0
    shut_out: list[str] = field(default_factory=list)
    issuer_key: Any = None
    appended: dict[str, ledger_pb2.AppendRequest] = field(default_factory=dict)
    performed: list[tokens.Claims] = field(default_factory=list)
    stopped: list[signer_pb2.StopRequest] = field(default_factory=list)
    refuse_appends: VermilionError | None = None
    refuse_performs: VermilionError | None = None
    refuse_checks: VermilionError | None = None
    checked: list[signer_pb2.CheckActRequest] = field(default_factory=list)
    files: list[list[bytes]] = field(default_factory=list)  # that came with each act

    def add_seal(self, seal_id: str = "", *, state: str = "active", **quorum: int) -> str:
        """A seal with these rules (``grant_untemplated`` stands for ``grant-untemplated``); its id."""
        seal_id = seal_id or uuid7()
        rules = [signer_pb2.QuorumRule(action=name.replace("_", "-"), least_persons=least) for name, least in quorum.items()]
        self.seals[seal_id] = signer_pb2.SealRecord(
            id=seal_id, name="Example Ltd", kind="contract", state=state, epoch=0, algorithm="p-256", spki_sha256=bytes(32),
            certificate=b"certificate", picture_sha256=[bytes(32)], content_policy="report", certification="form-fill", quorum=rules,
        )  # fmt: skip
        return seal_id

    def register(self, *humans: Human) -> None:
        """Puts people into the signer's own register."""
        for human in humans:
            roles = [role for role in human.roles if role in ("approver", "officer")]
            self.people[human.id] = signer_pb2.PersonRecord(id=human.id, roles=roles, public_key=human.spki, active=True)


class _Register(signer_pb2_grpc.RegisterServicer):
    def __init__(self, state: State) -> None:
        self._state = state

    async def GetSeal(self, request: Any, context: Any) -> Any:
        if request.id not in self._state.seals:
            raise VermilionError(Code.SEAL_UNKNOWN, "no such seal")
        return self._state.seals[request.id]

    async def ListSeals(self, request: Any, context: Any) -> Any:
        return signer_pb2.ListSealsResponse(seals=self._state.seals.values())

    async def ListPeople(self, request: Any, context: Any) -> Any:
        state = self._state
        return signer_pb2.ListPeopleResponse(
            people=state.people.values(),
            register_quorum=state.register_quorum,
            restored_at=state.restored_at,
            shut_out=state.shut_out,
        )

    async def ListGrants(self, request: Any, context: Any) -> Any:
        return signer_pb2.ListGrantsResponse(grants=self._state.grants)

    async def Stop(self, request: Any, context: Any) -> Any:
        officer = self._state.people.get(request.officer)
        if officer is None or "officer" not in officer.roles:
            raise VermilionError(Code.APPROVER_UNKNOWN, "not an officer")
        statement = stops.StopStatement(request.subject_kind, request.subject, request.officer, request.reason, request.time)
        stops.verify(statement, request.signature, load_der_public_key(officer.public_key))
        self._state.stopped.append(request)
        return signer_pb2.StopResponse(epoch=len(self._state.stopped), ledger_index=70)

    async def CheckAct(self, request: Any, context: Any) -> Any:
        if self._state.refuse_checks is not None:
            raise self._state.refuse_checks
        self._state.checked.append(request)
        return signer_pb2.CheckActResponse()

    async def Perform(self, request: Any, context: Any) -> Any:
        if self._state.refuse_performs is not None:
            raise self._state.refuse_performs
        parsed = tokens.parse(request.token)
        tokens.verify_signature(parsed, self._state.issuer_key)
        if parsed.claims.sub != rpc.caller().uri:
            raise VermilionError(Code.SUBJECT_MISMATCH, "another's token")
        if parsed.claims.jti not in {claims.jti for claims in self._state.performed}:
            self._state.performed.append(parsed.claims)
            self._state.files.append(list(request.attachments))
        return signer_pb2.PerformResponse(ledger_index=71)


class _Ledger(ledger_pb2_grpc.LedgerServicer):
    def __init__(self, state: State) -> None:
        self._state = state

    async def Append(self, request: Any, context: Any) -> Any:
        if self._state.refuse_appends is not None:
            raise self._state.refuse_appends
        self._state.appended.setdefault(request.idempotency_key, request)
        return ledger_pb2.AppendResponse(ledger_index=list(self._state.appended).index(request.idempotency_key))


class SignerSide:
    """The server; it can be stopped and started again on its port."""

    def __init__(self, tls: TlsSettings, port: int) -> None:
        self.state = State()
        self.target = f"127.0.0.1:{port}"
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server: Any = None

    def start(self) -> None:
        async def up() -> Any:
            server = rpc.server(self._tls, RULES, NeverRevoked(), target=self.target)
            signer_pb2_grpc.add_RegisterServicer_to_server(_Register(self.state), server)
            ledger_pb2_grpc.add_LedgerServicer_to_server(_Ledger(self.state), server)
            await server.start()
            return server

        self._server = asyncio.run_coroutine_threadsafe(up(), self._loop).result(10)

    def stop(self) -> None:
        if self._server is not None:
            asyncio.run_coroutine_threadsafe(self._server.stop(0), self._loop).result(10)
            self._server = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
