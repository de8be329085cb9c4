"""The signer's register and ledger as the operator sees them, over gRPC with the operator's certificate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc, signer_pb2, signer_pb2_grpc
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from sealcore.protocol.stop import StopStatement
from vermilion.remote.workflow_client import tls_of
from vermilion.state.layout import Layout
from vermilion.state.office import Office

TIMEOUT_S = 20.0
AnswerT = TypeVar("AnswerT")


class SignerClient:
    """Calls of the operator; every refusal comes back as the typed error that the signer raised."""

    def __init__(self, layout: Layout, office: Office, *, identity: str = "operator") -> None:
        self._channel = channel(office.listen("signer").target, tls_of(layout, identity))
        self._register: Any = signer_pb2_grpc.RegisterStub(self._channel)  # type: ignore[no-untyped-call]
        self._ledger: Any = ledger_pb2_grpc.LedgerStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> SignerClient:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._channel.close()

    def seals(self) -> list[signer_pb2.SealRecord]:
        """All seals."""
        return list(_typed(lambda: self._register.ListSeals(signer_pb2.ListSealsRequest(), timeout=TIMEOUT_S)).seals)

    def seal(self, seal_id: str) -> signer_pb2.SealRecord:
        """One seal; SEAL_UNKNOWN."""
        record: signer_pb2.SealRecord = _typed(lambda: self._register.GetSeal(signer_pb2.GetSealRequest(id=seal_id), timeout=TIMEOUT_S))
        return record

    def people(self) -> list[signer_pb2.PersonRecord]:
        """Everyone whose decisions the signer counts."""
        return list(self.roll().people)

    def roll(self) -> signer_pb2.ListPeopleResponse:
        """The same with the quorum for changes of the register."""
        answer: signer_pb2.ListPeopleResponse = _typed(lambda: self._register.ListPeople(signer_pb2.ListPeopleRequest(), timeout=TIMEOUT_S))
        return answer

    def signer_keys(self) -> list[signer_pb2.KeyRecord]:
        """The keys in the signer's token."""
        return list(_typed(lambda: self._register.ListKeys(signer_pb2.ListKeysRequest(), timeout=TIMEOUT_S)).keys)

    def request_certificate(self, label: str, common_name: str, organization: str = "") -> signer_pb2.RequestCertificateResponse:
        """A PKCS#10 request by a key of the signer's token, for an outside CA."""
        request = signer_pb2.RequestCertificateRequest(label=label, common_name=common_name, organization=organization)
        answer: signer_pb2.RequestCertificateResponse = _typed(lambda: self._register.RequestCertificate(request, timeout=TIMEOUT_S))
        return answer

    def certify_key(self, label: str, common_name: str) -> signer_pb2.CertifyKeyResponse:
        """A certificate by the office's own CA for a key of the signer's token."""
        request = signer_pb2.RequestCertificateRequest(label=label, common_name=common_name)
        answer: signer_pb2.CertifyKeyResponse = _typed(lambda: self._register.CertifyKey(request, timeout=TIMEOUT_S))
        return answer

    def grants(self) -> list[signer_pb2.GrantRecord]:
        """Standing approvals that the signer has seen used or stopped."""
        return list(_typed(lambda: self._register.ListGrants(signer_pb2.ListGrantsRequest(), timeout=TIMEOUT_S)).grants)

    def stop(self, statement: StopStatement, signature: bytes) -> signer_pb2.StopResponse:
        """Stops a seal or withdraws a grant at once, by an officer's signature."""
        request = signer_pb2.StopRequest(
            subject_kind=statement.subject_kind,
            subject=statement.subject,
            officer=statement.officer,
            reason=statement.reason,
            time=statement.time,
            signature=signature,
        )
        answer: signer_pb2.StopResponse = _typed(lambda: self._register.Stop(request, timeout=TIMEOUT_S))
        return answer

    def find(self, *, form: str = "", signature_hash: bytes = b"") -> list[ledger_pb2.FoundEntry]:
        """Ledger entries of a form, or of one signature."""
        request = ledger_pb2.FindRequest(form=form, signature_hash=signature_hash)
        return list(_typed(lambda: self._ledger.Find(request, timeout=TIMEOUT_S)).entries)


def _typed(call: Callable[[], AnswerT]) -> AnswerT:
    try:
        return call()
    except grpc.RpcError as fault:
        raise from_rpc_error(fault) from None
