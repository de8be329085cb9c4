"""The two questions that go to the signer's Ledger service, over mTLS as ``service:verify``. Its answers are checked by who asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import grpc

from protos.vermilion.v1 import ledger_pb2, ledger_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc import client as rpc_client
from sealcore.platform.rpc.errors import from_rpc_error

CALL_TIMEOUT_S = 3.0
AnswerT = TypeVar("AnswerT")


class SignerLink:
    """A ``verify.log_view.Disclosure``. After a failed call the channel is made anew, so that renewed certificates are read."""

    def __init__(self, target: str, tls: TlsSettings) -> None:
        self._target, self._tls = target, tls
        self._channel: grpc.Channel | None = None

    def form(self, signature_hash: bytes, index: int) -> tuple[str, bytes] | None:
        """Number and salt of the form behind an entry, when the signer discloses it."""
        request = ledger_pb2.FindRequest(signature_hash=signature_hash)
        answer = self._ask(lambda stub: stub.Find(request, timeout=CALL_TIMEOUT_S))
        found = next((each for each in answer.entries if each.index == index and each.form), None)
        return None if found is None else (found.form, found.form_salt)

    def committed_size(self) -> int:
        """Entries that the signer has committed."""
        head = self._ask(lambda stub: stub.Head(ledger_pb2.HeadRequest(), timeout=CALL_TIMEOUT_S))
        return int(head.size)

    def close(self) -> None:
        """Lets go of the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _ask(self, call: Callable[[Any], Any]) -> Any:
        try:
            if self._channel is None:
                self._channel = rpc_client.channel(self._target, self._tls)
            return call(ledger_pb2_grpc.LedgerStub(self._channel))  # type: ignore[no-untyped-call]  # generated code
        except OSError as fault:
            raise VermilionError(Code.CONFIGURATION_INVALID, f"the mTLS files cannot be read ({fault.strerror})") from None
        except grpc.RpcError as fault:
            self.close()
            raise from_rpc_error(fault) from None
