"""The CA as the workflow sees it: approved revocations and releases are handed to it, over gRPC with the workflow's certificate."""

from __future__ import annotations

from typing import Protocol

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.config import TlsSettings
from sealcore.rpc import call, channel

CALL_TIMEOUT_S = 20.0  # it asks the signer's register and makes a CRL before it answers


class Authority(Protocol):
    """What the outbox needs of the CA."""

    def perform(self, token: str) -> None: ...


class CaAuthority:
    """The CA over gRPC."""

    def __init__(self, target: str, tls: TlsSettings) -> None:
        self._channel = channel(target, tls)
        self._stub = ca_pb2_grpc.CertificateAuthorityStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def perform(self, token: str) -> None:
        """Has an approved act carried out; idempotent by its jti. Raises SERVICE_UNAVAILABLE or the CA's own refusal."""
        call(self._channel, self._stub.Perform, ca_pb2.ActRequest(token=token), timeout_s=CALL_TIMEOUT_S)
