"""The CA as the workflow sees it: acts are judged by it before they are approved and handed to it then, over gRPC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc.client import call, channel
from sealcore.protocol.canonical import canonical_json

CALL_TIMEOUT_S = 20.0  # it asks the signer's register and makes a CRL before it answers


class Authority(Protocol):
    """What the outbox needs of the CA."""

    def check_act(self, action: str, seal: str, parameters: Mapping[str, Any], approved_since: int | None, earliest: int) -> None: ...

    def perform(self, token: str) -> None: ...


class CaAuthority:
    """The CA over gRPC."""

    def __init__(self, target: str, tls: TlsSettings) -> None:
        self._channel = channel(target, tls)
        self._stub = ca_pb2_grpc.CertificateAuthorityStub(self._channel)  # type: ignore[no-untyped-call]  # generated

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def check_act(self, action: str, seal: str, parameters: Mapping[str, Any], approved_since: int | None, earliest: int) -> None:
        """Raises what the CA would refuse this act for if it were approved now; changes nothing. ``earliest`` as ``forms.kinds.kind.Judged`` has it."""
        text = canonical_json(dict(parameters)).decode("utf-8")
        request = ca_pb2.CaActRequest(action=action, seal=seal, parameters=text, approved_since=approved_since or 0, earliest=earliest)
        call(self._channel, self._stub.CheckAct, request, timeout_s=CALL_TIMEOUT_S)

    def perform(self, token: str) -> None:
        """Has an approved act carried out; idempotent by its jti. Raises SERVICE_UNAVAILABLE or the CA's own refusal."""
        call(self._channel, self._stub.Perform, ca_pb2.ActRequest(token=token), timeout_s=CALL_TIMEOUT_S)
