"""The signer's register as the CA asks for it: whose tokens, whose decisions, how many, for which seal. Asked anew for every act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography.hazmat.primitives.serialization import load_der_public_key

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import call, channel
from sealcore.protocol.token import key_id

CALL_TIMEOUT_S = 5.0  # the wait for a signer that is coming back (sealcore.platform.rpc.client.READY_S) not counted


@dataclass(frozen=True)
class RegisteredSeal:
    """A seal as the signer knows it; ``quorum`` is the least number of distinct persons by action."""

    id: str
    state: str
    quorum: Mapping[str, int]


@dataclass(frozen=True)
class RegisterView:
    """What the register says at one moment.

    issuers    kid → public key of the pinned approval issuers
    approvers  person id → public key of everyone who may approve now
    people     person id → public key of everybody registered
    seals      SHA-256 of the SPKI → seal
    own_quorum least number of persons for what concerns no seal
    """

    issuers: Mapping[str, Any]
    approvers: Mapping[str, Any]
    people: Mapping[str, Any]
    seals: Mapping[bytes, RegisteredSeal]
    own_quorum: int


class Register(Protocol):
    """Where a view comes from; raises SERVICE_UNAVAILABLE or the signer's own refusal, and then nothing is done."""

    def view(self) -> RegisterView: ...


class SignerRegister:
    """The register over gRPC (mTLS)."""

    def __init__(self, target: str, tls: TlsSettings) -> None:
        self._channel = channel(target, tls)
        self._stub = signer_pb2_grpc.RegisterStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def view(self) -> RegisterView:
        """The register now."""
        roll = call(self._channel, self._stub.ListPeople, signer_pb2.ListPeopleRequest(), timeout_s=CALL_TIMEOUT_S)
        seals = call(self._channel, self._stub.ListSeals, signer_pb2.ListSealsRequest(), timeout_s=CALL_TIMEOUT_S).seals
        try:
            people = {one.id: load_der_public_key(one.public_key) for one in roll.people}
            issuers = {key_id(spki): load_der_public_key(spki) for spki in roll.issuers}
        except ValueError:
            raise VermilionError(Code.INTERNAL, "the signer's register holds a key that cannot be read") from None
        return RegisterView(
            issuers=issuers,
            approvers={one.id: people[one.id] for one in roll.people if one.active and "approver" in one.roles},
            people=people,
            seals={one.spki_sha256: _seal(one) for one in seals},
            # At least one person, whatever is answered: zero would let the workflow alone issue
            # identities.
            own_quorum=max(1, roll.register_quorum),
        )


def _seal(record: signer_pb2.SealRecord) -> RegisteredSeal:
    return RegisteredSeal(record.id, record.state, {rule.action: rule.least_persons for rule in record.quorum})
