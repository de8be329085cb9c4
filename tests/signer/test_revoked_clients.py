"""A client whose certificate is revoked while its stream is open: what was taken in is finished, nothing more is taken in."""

from __future__ import annotations

import queue
import time

import pytest

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.platform.rpc.client import channel
from tests.signer.office import document
from tests.signer.station import TIMEOUT_S, Results, Station, stream_messages, typed


def test_an_open_stream_takes_nothing_more_in_once_its_client_is_revoked(station: Station) -> None:
    leaver = client_uri(uuid7())
    approved = station.office.approve([document(f"Leaver {number}") for number in range(8)], sub=leaver)
    opening, first, second = stream_messages(approved.token, approved.items, a_message=4)
    waiting: queue.SimpleQueue[signer_pb2.SealStreamRequest] = queue.SimpleQueue()
    for message in (opening, first):
        waiting.put(message)
    line = channel(f"127.0.0.1:{station.port}", tls := station.infrastructure.identity("leaver", leaver))
    stub = signer_pb2_grpc.SignerStub(line)
    call, results = stub.SealStream(iter(waiting.get, None), timeout=TIMEOUT_S), Results()
    while len(results.sealed) < 4:
        results.take(next(call))
    asked = signer_pb2.ListUsesRequest(jti=approved.claims.jti)
    assert len(typed(lambda: stub.ListUses(asked, timeout=TIMEOUT_S)).uses) == 4
    station.infrastructure.revoked.append(station.infrastructure.serial(tls))
    _until_revoked(lambda: stub.ListUses(asked, timeout=TIMEOUT_S))
    waiting.put(second)
    with pytest.raises(VermilionError) as refused:
        typed(lambda: next(call))
    assert refused.value.code is Code.CERTIFICATE_REVOKED
    line.close()
    with channel(f"127.0.0.1:{station.port}", station.infrastructure.identity("successor", leaver)) as again:
        stub = signer_pb2_grpc.SignerStub(again)
        uses = typed(lambda: stub.ListUses(asked, timeout=TIMEOUT_S)).uses
        assert [(use.index, use.state) for use in uses] == [(index, "sealed") for index in range(4)]
        after = Results.collect(stub.SealStream(stream_messages(approved.token, approved.items), timeout=TIMEOUT_S))
    assert {index: after.suffixes[index] for index in results.suffixes} == results.suffixes and len(after.sealed) == 8


def _until_revoked(call: object) -> None:
    """The same connection's next call after the CRL came in; one a moment before may still pass."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline_s:
        try:
            typed(call)
        except VermilionError as refused:
            assert refused.code is Code.CERTIFICATE_REVOKED
            return
        time.sleep(0.05)
    raise AssertionError("the revoked certificate still opens calls")
