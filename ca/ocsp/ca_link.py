"""The CA as the responder asks it for its delegates' certificates."""

from __future__ import annotations

from typing import Any, Final

from ca.ocsp.delegate import Certify
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import call, channel

PROFILE: Final = "ocsp"
CALL_TIMEOUT_S: Final = 30.0  # an RSA-3072 signature and a lint, on a busy machine


def by_ca(target: str, tls: TlsSettings) -> Certify:
    """Certifies by asking the CA service."""

    def certify(issuer: str, request: bytes) -> bytes:
        message = ca_pb2.IssueRequest(request=request, profile=PROFILE, issuer=issuer)
        with channel(target, tls) as line:
            stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)  # type: ignore[no-untyped-call]  # generated
            answer = call(line, stub.Issue, message, timeout_s=CALL_TIMEOUT_S)
        return bytes(answer.certificate)

    return certify
