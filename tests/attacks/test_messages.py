"""Messages of a certified caller that are none, or nearly: each of the signer's calls answers them with a typed error, and goes on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import grpc
import pytest
from google.protobuf.message import Message

from protos.vermilion.v1 import ledger_pb2, signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import operator_uri, service_uri, uuid7
from sealcore.platform.rpc import ERROR_METADATA
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.error_messages import to_message
from sealcore.platform.rpc.errors import from_rpc_error
from tests.crash.fixtures import house, scenes
from tests.crash.scene import Scene
from tests.signer.batches import batch, everything_sealed_once
from tests.signer.office import document
from tests.signer.station import TIMEOUT_S

__all__ = ["house", "scenes"]
Scenes = Callable[..., Scene]
CALLERS: Final = {"Signer": "", "Register": operator_uri("test"), "Ledger": service_uri("workflow")}
SERVICES: Final = {"Signer": signer_pb2, "Register": signer_pb2, "Ledger": ledger_pb2}
UNREADABLE: Final = (b"\xff", b"\x0a\x05ab", b"\x0b" * 200, b"\x00", b"\x08" + b"\xff" * 11, b"\x0a" + b"\xff" * 9 + b"\x01")
MUTATIONS: Final = 20  # of each call
SEED: Final = 10


def methods() -> Iterator[tuple[str, Any]]:
    """Service and descriptor of each call."""
    for service, module in SERVICES.items():
        for method in module.DESCRIPTOR.services_by_name[service].methods:
            yield service, method


def answer_to(line: grpc.Channel, service: str, method: Any, message: bytes) -> str:
    """The code that a message is answered with, ``OK`` for none; fails where the answer has no code, or says that we are at fault."""
    sides = ["stream" if side else "unary" for side in (method.client_streaming, method.server_streaming)]
    call = getattr(line, "_".join(sides))(f"/vermilion.v1.{service}/{method.name}", None, None)
    try:
        answer = call(iter([message]) if method.client_streaming else message, timeout=TIMEOUT_S)
        if method.server_streaming:
            list(answer)
    except grpc.RpcError as fault:
        trailers: Any = fault.trailing_metadata() or ()
        assert ERROR_METADATA in dict(trailers), (method.name, message[:80], str(fault))
        refusal = from_rpc_error(fault)
        assert refusal.code is not Code.INTERNAL, (method.name, message[:80], refusal)
        return str(refusal.code)
    return "OK"


def caller(scene: Scene, service: str) -> Any:
    """A line under the identity that may make this service's calls."""
    return channel(f"127.0.0.1:{scene.station.port}", scene.station.identity(CALLERS[service] or scene.office.client))


def mutated(random_: random.Random, data: bytes) -> bytes:
    """Something changed in it, put in or taken out."""
    message = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4))):
        at, to = (random_.randrange(len(message) + 1) for _ in range(2))
        match random_.randrange(4):
            case 0:
                message[at : at + 1] = bytes([random_.randrange(256)])
            case 1:
                del message[at : at + random_.randrange(8)]
            case 2:
                message[at:at] = random_.choice(
                    [b"\0", b"\xff" * 9 + b"\x01", "\u202e".encode(), b"\x08\xff\xff\xff\xff\x0f", b"NaN", b"[" * 500]
                )
            case _:
                message[at:at] = message[min(at, to) : max(at, to)][:200]
    return bytes(message)


def examples(scene: Scene) -> dict[str, Sequence[Message]]:
    """Messages that are nearly right; texts that are long, or that not every database holds; numbers at their ends."""
    office, pb, long = scene.office, signer_pb2, "é" * 30_000
    one = office.approve([document("Mutated")], placement=office.visible())
    jti, seal, officer = one.claims.jti, office.seals["contract"].id, office.dai.id
    stop: dict[str, Any] = {
        "subject_kind": "seal",
        "subject": seal,
        "officer": officer,
        "reason": "r",
        "time": "2026-11-30T08:00:00Z",
        "signature": b"1",
    }
    impossible = ("0000-00-00T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-30T08:00:60Z", "2026-11-30T29:00:00Z", "9999-12-31T23:59:59Z")
    return {
        "Seal": [pb.SealRequest(token=one.token, item=one.items[0]), pb.SealRequest(token=long)],
        "Acknowledge": [pb.AcknowledgeRequest(jti=jti, indexes=[0, 2**32 - 1]), pb.AcknowledgeRequest(jti="\0", indexes=[1])],
        "ListUses": [pb.ListUsesRequest(jti=jti), pb.ListUsesRequest(jti="\0"), pb.ListUsesRequest(jti=long)],
        "GetSeal": [pb.GetSealRequest(id=seal), pb.GetSealRequest(id=long), pb.GetSealRequest(id="x" * 3_000_000)],
        "GetPicture": [pb.GetPictureRequest(picture_sha256=b"x" * 100_000)],
        "Stop": [pb.StopRequest(**stop)]
        + [pb.StopRequest(**{**stop, "time": time}) for time in impossible]
        + [pb.StopRequest(**{**stop, name: long}) for name in ("subject_kind", "subject", "officer", "reason", "time")],
        "Perform": [pb.PerformRequest(token=one.token), pb.PerformRequest(token=long), pb.PerformRequest(token="." * 100_000)],
        "CheckAct": [
            *(pb.CheckActRequest(action="register", parameters=text) for text in ("[" * 10_000, "NaN", '{"a":1e999}', '"\\ud800"', long)),
            pb.CheckActRequest(action=long, parameters="{}"),
            pb.CheckActRequest(action="resume", seal=long, parameters="{}"),
        ],
        "RequestCertificate": [
            pb.RequestCertificateRequest(label=long),
            pb.RequestCertificateRequest(label="seal.contract.1", common_name=long),
        ],
        "CertifyKey": [pb.RequestCertificateRequest(label="seal.\0")],
        "Append": [
            ledger_pb2.AppendRequest(idempotency_key="\0", kind="form", form="\0"),
            ledger_pb2.AppendRequest(idempotency_key=long, kind=long),
            ledger_pb2.AppendRequest(idempotency_key=uuid7(), kind="form", subject_sha256=b"x"),
        ],
        "Find": [
            ledger_pb2.FindRequest(form="\0"),
            ledger_pb2.FindRequest(form=long),
            ledger_pb2.FindRequest(signature_hash=b"x" * 100_000),
        ],
    }


def test_no_message_of_any_call_is_answered_without_a_code(scenes: Scenes, database_url: str) -> None:
    """On both databases: one of them holds texts that the other does not."""
    scene, random_ = scenes(database_url, workers={"bulk": 1, "interactive": 1}), random.Random(SEED)
    near = examples(scene)
    told: Counter[str] = Counter()
    for service, method in methods():
        with caller(scene, service) as line:
            messages = [one.SerializeToString() for one in near.get(method.name, [])]
            small = [one for one in messages if len(one) < 20_000] or [b"\x0a\x03abc"]
            messages += [mutated(random_, random_.choice(small)) for _ in range(MUTATIONS)]
            told.update(answer_to(line, service, method, one) for one in messages)
            for message in UNREADABLE:
                expected = {"INVALID_ARGUMENT", "TOKEN_MISSING"} if service != "Ledger" else {"INVALID_ARGUMENT", "PERMISSION_DENIED"}
                assert answer_to(line, service, method, message) in expected, (method.name, message)
    assert told["OK"] and told["INVALID_ARGUMENT"] and told["SEAL_UNKNOWN"]
    assert len(scene.station.log.read_bytes()) < 2_000_000, "what a caller sends does not fill the log"
    others = batch(scene.office)
    everything_sealed_once(scene.station, others, scene.station.stream(others.token, others.items))
    assert (scene.metric("worker_deaths"), scene.unready()) == (0, set())


def test_a_stranger_to_a_call_is_refused_before_the_message_is_read(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    with channel(f"127.0.0.1:{scene.station.port}", scene.station.identity(operator_uri("test"))) as line:
        for service, method in methods():
            if service == "Signer":
                assert answer_to(line, service, method, b"\xff") == Code.PERMISSION_DENIED


@pytest.mark.parametrize("text", ["x" * 5_000_000, "é" * 5000, "\U0001f58b" * 5000, "\udcff" * 5000])
def test_an_error_that_quotes_a_stranger_is_no_longer_than_metadata_may_be(text: str) -> None:
    error = VermilionError(Code.SEAL_UNKNOWN, f"there is no seal {text}", document=text, rule=text)
    message = to_message(error)
    assert message.ByteSize() < 6000
    assert message.reason.startswith("there is no seal") and message.reason.endswith("…") and message.document
    assert len(str(error)) < 5000
