"""The signer's register and ledger as the workflow sees them: over gRPC, held for a moment, and failing closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import call, channel
from sealcore.platform.rpc.errors import UnreachableError
from sealcore.protocol.canonical import canonical_json
from sealcore.protocol.leaf import Certification

CALL_TIMEOUT_S = 5.0  # the wait for a signer that is coming back (sealcore.platform.rpc.client.READY_S) not counted
ValueT = TypeVar("ValueT")


@dataclass(frozen=True)
class RegisteredSeal:
    """A seal as the signer knows it; ``quorum`` is the least number of distinct persons by action.

    ``certification`` is what a document is certified with whose form does not say otherwise.
    """

    id: str
    name: str
    kind: str
    state: str
    epoch: int
    algorithm: str
    spki_sha256: bytes
    certificate: bytes
    pictures: tuple[bytes, ...]
    content_policy: str
    certification: Certification
    quorum: Mapping[str, int]


@dataclass(frozen=True)
class RegisteredPerson:
    """A person whose signature the signer accepts."""

    id: str
    roles: frozenset[str]
    public_key: bytes
    active: bool


@dataclass(frozen=True)
class Countable:
    """Whose tokens cannot count at the signer, and what is too old to.

    restored_at  NumericDate of its last restore, before which nothing in a token may lie; None when there was none
    shut_out     URI of the clients that an act of the register shut out
    """

    restored_at: int | None
    shut_out: frozenset[str]


@dataclass(frozen=True)
class Grant:
    """A standing approval and how much of it is used."""

    jti: str
    seal: str
    client: str
    most_uses: int
    uses: int
    expires: str
    template: str
    withdrawn: bool


@dataclass(frozen=True)
class Stop:
    """An officer's signed order to stop a seal or a grant (sealcore.protocol.stop); forwarded as it is."""

    subject_kind: str
    subject: str
    officer: str
    reason: str
    time: str
    signature: bytes


@dataclass(frozen=True)
class Stopped:
    """What the signer answered: the subject's new epoch and the ledger entry."""

    epoch: int
    ledger_index: int


@dataclass(frozen=True)
class Append:
    """An event for the ledger; form, person and policy are committed to there, never shown."""

    idempotency_key: str
    kind: str
    subject_sha256: bytes
    form: str
    person: str
    policy: str


class Register(Protocol):
    """What the use cases need of the signer. Every method raises SERVICE_UNAVAILABLE or the signer's own refusal."""

    def seal(self, seal_id: str) -> RegisteredSeal: ...

    def seals(self) -> list[RegisteredSeal]: ...

    def people(self) -> Mapping[str, RegisteredPerson]: ...

    def own_quorum(self) -> int: ...

    def countable(self) -> Countable: ...

    def grants(self) -> list[Grant]: ...

    def stop(self, stop: Stop) -> Stopped: ...

    def check_act(
        self, action: str, seal: str, parameters: Mapping[str, Any], files: Sequence[bytes], approved_since: int | None
    ) -> None: ...

    def perform(self, token: str, files: Sequence[bytes] = ()) -> int: ...

    def append(self, event: Append) -> int: ...


class SignerRegister:
    """The register over gRPC. Seals and people are kept for ``cache_s``; a failed call is an error, never an old answer (I5)."""

    def __init__(self, target: str, tls: TlsSettings, clock: Clock, cache_s: float) -> None:
        self._channel = channel(target, tls)
        self._register = signer_pb2_grpc.RegisterStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._ledger = ledger_pb2_grpc.LedgerStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._clock = clock
        self._cache_s = cache_s
        self._cache: dict[str, tuple[float, Any]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def probe(self) -> None:
        """Whether the signer's register answers; raises what every other question would raise."""
        self._call(self._register.ListPeople, signer_pb2.ListPeopleRequest())

    def seal(self, seal_id: str) -> RegisteredSeal:
        """One seal; SEAL_UNKNOWN."""
        return self._kept(f"seal {seal_id}", lambda: _seal(self._call(self._register.GetSeal, signer_pb2.GetSealRequest(id=seal_id))))

    def seals(self) -> list[RegisteredSeal]:
        """All seals."""
        answer = self._call(self._register.ListSeals, signer_pb2.ListSealsRequest())
        return [_seal(record) for record in answer.seals]

    def people(self) -> Mapping[str, RegisteredPerson]:
        """Registered people by id."""
        return _people(self._roll())

    def own_quorum(self) -> int:
        """How many distinct people change the register itself."""
        return max(1, self._roll().register_quorum)

    def countable(self) -> Countable:
        """What the signer judges of a token's times and its client. Kept apart from people: each filing asks, and makes no one's entry wait."""
        roll = self._kept("countable", lambda: self._call(self._register.ListPeople, signer_pb2.ListPeopleRequest()))
        return Countable(roll.restored_at or None, frozenset(roll.shut_out))

    def _roll(self) -> signer_pb2.ListPeopleResponse:
        answer: signer_pb2.ListPeopleResponse = self._kept(
            "people", lambda: self._call(self._register.ListPeople, signer_pb2.ListPeopleRequest())
        )
        return answer

    def grants(self) -> list[Grant]:
        """Standing approvals that have been used or withdrawn, with their counts."""
        return [_grant(record) for record in self._call(self._register.ListGrants, signer_pb2.ListGrantsRequest()).grants]

    def stop(self, stop: Stop) -> Stopped:
        """Hands an officer's order on."""
        request = signer_pb2.StopRequest(
            subject_kind=stop.subject_kind,
            subject=stop.subject,
            officer=stop.officer,
            reason=stop.reason,
            time=stop.time,
            signature=stop.signature,
        )
        answer = self._call(self._register.Stop, request, repeatable=False)  # each stop is an entry of the ledger
        self._forget()
        return Stopped(answer.epoch, answer.ledger_index)

    def check_act(self, action: str, seal: str, parameters: Mapping[str, Any], files: Sequence[bytes], approved_since: int | None) -> None:
        """Raises what the signer would refuse this act for if it were approved now; changes nothing."""
        text = canonical_json(dict(parameters)).decode("utf-8")
        request = signer_pb2.CheckActRequest(
            action=action, seal=seal, parameters=text, attachments=files, approved_since=approved_since or 0
        )
        self._call(self._register.CheckAct, request)

    def perform(self, token: str, files: Sequence[bytes] = ()) -> int:
        """Has an approved act carried out, with the files that it names; idempotent by its jti. Returns the ledger index."""
        index: int = self._call(self._register.Perform, signer_pb2.PerformRequest(token=token, attachments=files)).ledger_index
        self._forget()
        return index

    def append(self, event: Append) -> int:
        """Writes an event to the ledger; idempotent by its key. Returns the ledger index."""
        request = ledger_pb2.AppendRequest(
            idempotency_key=event.idempotency_key,
            kind=event.kind,
            subject_sha256=event.subject_sha256,
            form=event.form,
            person=event.person,
            policy=event.policy,
        )
        return int(self._call(self._ledger.Append, request).ledger_index)

    def _kept(self, key: str, fetch: Callable[[], ValueT]) -> ValueT:
        now_s = self._clock.monotonic_s()
        with self._lock:
            kept = self._cache.get(key)
        if kept is not None and now_s - kept[0] < self._cache_s:
            value: ValueT = kept[1]
            return value
        # Outside the lock: a signer that hangs must not hold up those whose answer is still kept.
        value = fetch()
        with self._lock:
            self._cache[key] = (now_s, value)
        return value

    def _forget(self) -> None:
        with self._lock:
            self._cache.clear()

    def _call(self, method: Any, request: Any, *, repeatable: bool = True) -> Any:
        try:
            return call(self._channel, method, request, timeout_s=CALL_TIMEOUT_S, repeatable=repeatable)
        except VermilionError as fault:
            if fault.code in (Code.DEADLINE_EXCEEDED, Code.CANCELLED):
                # Not heard is not refused: the outbox tries again, and keys and jti make a second
                # delivery harmless.
                raise UnreachableError(Code.SERVICE_UNAVAILABLE, "the signer did not answer in time") from fault
            raise


def _seal(record: signer_pb2.SealRecord) -> RegisteredSeal:
    return RegisteredSeal(
        id=record.id,
        name=record.name,
        kind=record.kind,
        state=record.state,
        epoch=record.epoch,
        algorithm=record.algorithm,
        spki_sha256=record.spki_sha256,
        certificate=record.certificate,
        pictures=tuple(record.picture_sha256),
        content_policy=record.content_policy,
        certification=Certification.of_word(record.certification or "form-fill"),  # of a signer from before it said so
        quorum={rule.action: rule.least_persons for rule in record.quorum},
    )


def _people(answer: signer_pb2.ListPeopleResponse) -> dict[str, RegisteredPerson]:
    return {record.id: RegisteredPerson(record.id, frozenset(record.roles), record.public_key, record.active) for record in answer.people}


def _grant(record: signer_pb2.GrantRecord) -> Grant:
    return Grant(
        jti=record.jti,
        seal=record.seal,
        client=record.client,
        most_uses=record.most_uses,
        uses=record.uses,
        expires=record.expires,
        template=record.template,
        withdrawn=record.withdrawn,
    )
