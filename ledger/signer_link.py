"""The signer's Ledger service, as the log process reads it: the committed head, and entries in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import grpc

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.ledger.follower import Head
from sealcore.platform.rpc import client as rpc_client
from sealcore.platform.rpc.errors import from_rpc_error

CALL_TIMEOUT_S = 10.0
STREAM_TIMEOUT_S = 60.0


class EntrySource(Protocol):
    """Where committed entries come from."""

    def head(self) -> Head:
        """The committed head; raises SERVICE_UNAVAILABLE and the like."""

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        """Entries [start, end) in order, all of them; raises LEDGER_INCONSISTENT when the signer sends others."""

    def close(self) -> None:
        """Lets go of the connection."""


class SignerLink:
    """gRPC over mTLS. After a failed call the channel is made anew, so that renewed certificates are read."""

    def __init__(self, target: str, tls: TlsSettings) -> None:
        self._target, self._tls = target, tls
        self._channel: grpc.Channel | None = None

    def head(self) -> Head:
        try:
            answer = self._stub().Head(ledger_pb2.HeadRequest(), timeout=CALL_TIMEOUT_S)
        except grpc.RpcError as fault:
            raise self._failed(fault) from None
        return Head(answer.size, answer.root)

    def entries(self, start: int, end: int) -> Iterator[bytes]:
        expected = start
        try:
            for answer in self._stub().Entries(ledger_pb2.EntriesRequest(start=start, end=end), timeout=STREAM_TIMEOUT_S):
                if answer.start != expected or expected + len(answer.entries) > end:
                    raise VermilionError(Code.LEDGER_INCONSISTENT, "the signer sent other entries than it was asked for")
                yield from answer.entries
                expected += len(answer.entries)
        except grpc.RpcError as fault:
            raise self._failed(fault) from None
        # A stream that ends early looks like one that is complete: it is counted.
        if expected != end:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"the signer has a head of {end} entries but sent only {expected}")

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _stub(self) -> Any:
        if self._channel is None:
            try:
                self._channel = rpc_client.channel(self._target, self._tls)
            except OSError as fault:
                raise VermilionError(Code.CONFIGURATION_INVALID, f"the log's mTLS files cannot be read ({fault.strerror})") from None
        return ledger_pb2_grpc.LedgerStub(self._channel)  # type: ignore[no-untyped-call]  # generated code

    def _failed(self, fault: grpc.RpcError) -> VermilionError:
        self.close()
        return from_rpc_error(fault)
