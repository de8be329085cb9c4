"""Who is next: what somebody waits for before bulk, clients in turn, and nothing whose time is up. Told by the ledger's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.protocol.ledger_entry import jti_hash
from tests.crash.failpoints import Act
from tests.crash.scene import Scene
from tests.signer.batches import in_background, ledger_of
from tests.signer.office import Approved, document
from tests.signer.station import Station, typed
from tests.support.waiting import until

A_BATCH, A_MESSAGE = 8, 4
FLOOD = 64
TAKEN = A_MESSAGE + A_BATCH  # the first message, which is held, and the whole batch that lies ready beside it
Scenes = Callable[..., Scene]


@pytest.fixture
def held(scenes: Scenes) -> Scene:
    """A signer with a single worker, small batches, and that worker held in its first batch: whatever is sent now waits in line."""
    scene = scenes(workers={"bulk": 1, "interactive": 0}, limits={"batch": A_BATCH, "lease_s": 60, "hsm_s": 15.0})
    scene.points.arm("signer", "worker", "gated", act=Act.HOLD)
    return scene


def approve(station: Station, count: int, **how: Any) -> Approved:
    """A batch that is cheap to seal."""
    return station.office.approve([document(f"Turn {number}") for number in range(count)], seal="invoice", **how)


def flood(scene: Scene, *, uri: str | None = None, waiting: int) -> tuple[Approved, Callable[[], Any]]:
    """Sends a large batch and waits until ``waiting`` documents stand in the bulk line."""
    approved = approve(scene.station, FLOOD, **({"sub": uri} if uri else {}))
    messages = list(_messages(approved))
    got = in_background(lambda: scene.station.exchange(messages, uri=uri))
    until(lambda: scene.metric("waiting_documents", lane="bulk") == waiting)
    return approved, got


def _messages(approved: Approved) -> list[signer_pb2.SealStreamRequest]:
    request = signer_pb2.SealStreamRequest
    items = approved.items
    cut = [items[start : start + A_MESSAGE] for start in range(0, len(items), A_MESSAGE)]
    return [request(open=request.Open(token=approved.token)), *(request(items=request.Items(items=some)) for some in cut)]


def places(scene: Scene, approved: Approved) -> list[int]:
    """Where in the ledger the documents of a batch stand."""
    wanted = jti_hash(approved.claims.jti)
    return [place for place, entry in enumerate(ledger_of(scene.station)) if entry.jti_hash == wanted]


def test_a_document_that_somebody_waits_for_goes_before_bulk_that_waits(held: Scene) -> None:
    bulk, got = flood(held, waiting=FLOOD - TAKEN)
    one = approve(held.station, 1)
    waited_for = in_background(lambda: held.station.seal(one))
    until(lambda: held.metric("waiting_documents", lane="interactive") == 1)
    held.points.disarm("signer")
    assert waited_for().attempts == 1
    assert sorted(got().sealed) == list(range(FLOOD))
    (place,) = places(held, one)
    assert sum(other < place for other in places(held, bulk)) == TAKEN


def test_a_client_that_floods_does_not_keep_another_from_its_share(held: Scene) -> None:
    first, got_first = flood(held, waiting=FLOOD - TAKEN)
    second, got_second = flood(held, uri=client_uri(uuid7()), waiting=2 * FLOOD - TAKEN)
    held.points.disarm("signer")
    assert sorted(got_first().sealed) == sorted(got_second().sealed) == list(range(FLOOD))
    mine, theirs = places(held, first), places(held, second)
    half = len(theirs) // 2
    ahead = sum(place < theirs[half - 1] for place in mine) - TAKEN  # of the flood, while the other's first half was sealed
    assert abs(ahead - half) <= A_BATCH


def test_a_call_whose_time_is_up_before_its_turn_is_not_begun(held: Scene) -> None:
    flood_of, got = flood(held, waiting=FLOOD - TAKEN)
    late = approve(held.station, 1)
    request = signer_pb2.SealRequest(token=late.token, item=late.items[0])
    with pytest.raises(VermilionError) as refused:
        typed(lambda: held.station.signer().Seal(request, timeout=0.5))
    assert refused.value.code is Code.DEADLINE_EXCEEDED
    late_stream = approve(held.station, A_BATCH)
    with pytest.raises(VermilionError) as cut:
        typed(lambda: list(held.station.signer().SealStream(iter(_messages(late_stream)), timeout=0.5)))
    assert cut.value.code is Code.DEADLINE_EXCEEDED
    held.points.disarm("signer")
    assert sorted(got().sealed) == list(range(FLOOD))
    for approved in (late, late_stream):
        assert places(held, approved) == []
        uses = typed(lambda approved=approved: held.station.signer().ListUses(signer_pb2.ListUsesRequest(jti=approved.claims.jti))).uses
        assert list(uses) == []  # no use row, so no call of the HSM either
    calls = sum(signed.begun for label, signed in held.wrapped.signatures().items() if label.startswith("seal."))
    assert calls == len(places(held, flood_of)) == FLOOD
    assert held.metric("held_bytes") == 0
    assert held.station.seal(late).attempts == 1  # the very same request, in time


def test_where_a_worker_is_kept_for_it_a_single_document_does_not_wait_for_bulk_at_all(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 1}, limits={"batch": A_BATCH, "lease_s": 60, "hsm_s": 15.0})
    scene.points.arm("signer", "worker", "gated", act=Act.HOLD)
    bulk, got = flood(scene, waiting=FLOOD - TAKEN)
    until(lambda: scene.points.fired("signer"))  # the bulk worker, which has a lower priority: else the other might come there first
    one = approve(scene.station, 1)
    assert scene.station.seal(one).attempts == 1  # while every bulk worker stands still
    assert places(scene, bulk) == []
    scene.points.disarm("signer")
    assert sorted(got().sealed) == list(range(FLOOD))
