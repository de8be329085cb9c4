"""A signer with moods: it stands before the real one, puts documents off with codes as told, and passes the others on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.rpc import client as rpc_client
from sealcore.platform.rpc.error_messages import to_message
from sealcore.platform.rpc.errors import from_rpc_error
from tests.serving import Serving

Mood = Callable[[int, int], Code | None]
"""(index of the document, how often it came before) → the code that it is put off with, or None to seal it."""

_SERVICE = "/vermilion.v1.Signer/"


class Moody(signer_pb2_grpc.SignerServicer):
    """Answers on ``target``. ``came`` counts how often each document came; ``items_a_message`` how many a message had."""

    def __init__(self, signer: str, client: TlsSettings, own: TlsSettings, port: int, mood: Mood) -> None:
        self._real = rpc_client.channel(signer, client)
        self._stub: Any = signer_pb2_grpc.SignerStub(self._real)
        self._mood = mood
        self.target = f"localhost:{port}"
        self.came: Counter[int] = Counter()
        self.calls = 0
        self.items_a_message: list[int] = []
        rules = {_SERVICE + name: frozenset({"client"}) for name in ("SealStream", "Acknowledge")}
        self._serving = Serving(own, rules, port, partial(signer_pb2_grpc.add_SignerServicer_to_server, self))

    def close(self) -> None:
        self._serving.close()
        self._real.close()

    async def SealStream(self, request_iterator: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.calls += 1
        token = ""
        async for message in request_iterator:
            token = token or message.open.token
            if message.items.items:
                self.items_a_message.append(len(message.items.items))
            for item in message.items.items:
                before = self.came[item.index]
                self.came[item.index] += 1
                code = self._mood(item.index, before)
                results = signer_pb2.SealStreamResponse.Results()
                if code is not None:
                    results.refused.append(signer_pb2.Refused(index=item.index, error=to_message(VermilionError(code, "not now"))))
                else:
                    results.sealed.append(await asyncio.to_thread(self._seal, token, item))
                yield signer_pb2.SealStreamResponse(results=results)

    async def Acknowledge(self, request: Any, context: Any) -> Any:
        return await asyncio.to_thread(self._stub.Acknowledge, request)

    def _seal(self, token: str, item: Any) -> Any:
        try:
            return self._stub.Seal(signer_pb2.SealRequest(token=token, item=item), timeout=60).sealed
        except grpc.RpcError as fault:
            raise from_rpc_error(fault) from None
