"""The office's own CA as the signer asks it for a certificate of one of its keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import grpc

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error

CALL_S: Final = 20.0


@dataclass(frozen=True)
class Issued:
    """A certificate and its chain, DER."""

    certificate: bytes
    chain: Sequence[bytes]


@dataclass(frozen=True)
class OwnCa:
    """Where the office's own CA is, and who we are there."""

    target: str
    tls: TlsSettings

    def issue(self, request: bytes, profile: str) -> Issued:
        """A certificate for a PKCS#10 request; raises what the CA refuses."""
        with channel(self.target, self.tls) as line:
            stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)  # type: ignore[no-untyped-call]  # generated
            try:
                answer = stub.Issue(ca_pb2.IssueRequest(request=request, profile=profile), timeout=CALL_S)
            except grpc.RpcError as fault:
                raise from_rpc_error(fault) from None
        return Issued(answer.certificate, tuple(answer.chain))
