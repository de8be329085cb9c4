"""The signer's ledger as the CA tells it what happened."""

from __future__ import annotations

from typing import Any, Final

import grpc

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error

CALL_TIMEOUT_S: Final = 10.0


class LedgerLink:
    """The ledger over gRPC (mTLS)."""

    def __init__(self, signer_target: str, tls: TlsSettings) -> None:
        self._channel = channel(signer_target, tls)
        self._ledger: Any = ledger_pb2_grpc.LedgerStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def append(self, key: str, kind: str, subject_sha256: bytes, *, form: str, people: str, policy: str) -> int:
        """The index of the entry, which a repeat with the same ``key`` gets again; raises what the signer says."""
        request = ledger_pb2.AppendRequest(
            idempotency_key=key, kind=kind, subject_sha256=subject_sha256, form=form, person=people, policy=policy
        )
        try:
            answer = self._ledger.Append(request, timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as fault:
            raise from_rpc_error(fault) from None
        return int(answer.ledger_index)
