"""Documents that cost a reader dear, or its life: they end by themselves, with a code that is final, and nobody else waits for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from tests.crash.failpoints import Act
from tests.crash.fixtures import house, scenes
from tests.crash.mutants import DEADLY, DEADLY_TEXT, SLIPPED_TEXT
from tests.crash.scene import Scene
from tests.crash.services import Variation
from tests.signer.batches import everything_sealed_once, in_background
from tests.signer.office import Approved, document
from tests.signer.pdf.documents import assemble, simple
from tests.signer.station import stream_messages
from tests.support.waiting import until

__all__ = ["house", "scenes"]
Scenes = Callable[..., Scene]
BESIDE: Final = 20


COSTLY: Final[dict[str, bytes]] = {
    "runs of digits": simple(more={10: b"<</Length 60000>>\nstream\n%b\nendstream" % (b"1" * 60_000), 11: b"(%b)" % (b"12" * 30_000)}),
    "digits and blanks": simple(more={10: b"[%b%b]" % (b"1" * 60_000, b" " * 60_000)}),
    "comments in a line": simple(more={10: b"(%b)" % (b"10%" * 40_000)}),
    "comments on lines": simple(more={10: b"[%b]" % (b"%10 0\n" * 20_000)}),
    "numbers far apart for kids": assemble(
        {1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Count 1/Kids [%b]>>" % ((b"1" + b" " * 30_000) * 4)}
    ),
    "one dictionary from everywhere": simple(
        catalog=b"/AcroForm<</Fields[10 0 R]>>",
        more={
            10: b"<</FT/Sig/T(a)/V 11 0 R>>",
            11: b"<</Type/Sig/ByteRange[0 1 2 3]/Reference[%b]>>" % (b"12 0 R " * 8000),
            12: b"<<%b>>" % b"".join(b"/K%d(%060d)" % (number, number) for number in range(800)),
        },
    ),
    "arrays a thousand deep": simple(catalog=b"/Deep %b%b" % (b"[" * 1000, b"]" * 1000)),
    "a number of 100,000 digits": simple(catalog=b"/Deep " + b"9" * 100_000),
    "a page tree in a circle": assemble({1: b"<</Type/Catalog/Pages 2 0 R>>", 2: b"<</Type/Pages/Count 1/Parent 2 0 R/Kids [2 0 R]>>"}),
}


def test_what_costs_much_to_read_is_sealed_or_refused_and_ends_no_worker(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 0, "silent_s": 4.0})
    one = scene.office.approve([*COSTLY.values(), document("Beside them")])
    results = scene.station.stream(one.token, one.items, a_message=4)
    final = {Code.DOCUMENT_TOO_COMPLEX, Code.DOCUMENT_DAMAGED, Code.DOCUMENT_NO_PAGES}
    names = [*COSTLY, "beside"]
    assert len(results.sealed) + len(results.refused) == len(names)
    assert {names[index]: fault for index, fault in results.refused.items() if fault.code not in final} == {}
    assert {names[index] for index in results.sealed} >= {"runs of digits", "digits and blanks", "beside"}
    assert scene.metric("worker_deaths") == 0


@pytest.mark.parametrize("deed", DEADLY)
def test_a_document_that_ends_a_second_worker_is_refused_for_good_and_everybody_else_is_sealed(scenes: Scenes, deed: str) -> None:
    scene = scenes(variation=Variation(mutant=deed), workers={"bulk": 1, "interactive": 1, "silent_s": 1.0})
    station, office = scene.station, scene.office
    deadly = simple(catalog=b"/Note (%b)" % DEADLY_TEXT)
    other = client_uri(uuid7())
    mine = office.approve([*(document(f"Mine {number}") for number in range(BESIDE)), deadly])
    theirs = office.approve([document(f"Theirs {number}") for number in range(BESIDE)], sub=other)
    scene.points.arm("signer", "worker", "gated", act=Act.HOLD)
    first = office.approve([document("What is at work while the others wait")])
    begun = in_background(lambda: station.stream(first.token, first.items))
    until(lambda: scene.points.fired("signer") is not None)
    mine_got = in_background(lambda: station.stream(mine.token, mine.items, a_message=BESIDE + 1))
    theirs_got = in_background(lambda: station.exchange(stream_messages(theirs.token, theirs.items, BESIDE), uri=other))
    until(lambda: scene.metric("waiting_documents", lane="bulk") == 2 * BESIDE + 1)
    scene.points.disarm("signer")
    everything_sealed_once(station, first, begun())
    everything_sealed_once(station, theirs, theirs_got())
    results = mine_got()
    assert sorted(results.sealed) == list(range(BESIDE))
    assert {index: fault.code for index, fault in results.refused.items()} == {BESIDE: Code.DOCUMENT_TOO_COMPLEX}
    assert scene.metric("worker_deaths") == 2

    anew = office.approve([deadly, document("Another")])  # other approvals change nothing
    for restarted in (False, True):
        if restarted:
            assert station.stop() == 0
            scene.start()
        again = station.stream(mine.token, mine.items)
        assert {index: fault.code for index, fault in again.refused.items()} == {BESIDE: Code.DOCUMENT_TOO_COMPLEX}
        results = station.stream(anew.token, anew.items)
        assert ({index: fault.code for index, fault in results.refused.items()}, list(results.sealed)) == (
            {0: Code.DOCUMENT_TOO_COMPLEX},
            [1],
        )
        with pytest.raises(VermilionError) as refused:
            station.seal(anew)
        assert refused.value.code is Code.DOCUMENT_TOO_COMPLEX
        assert scene.metric("worker_deaths") == (0 if restarted else 2)


def test_what_a_writer_slips_in_is_refused_before_anything_is_signed(scenes: Scenes) -> None:
    scene = scenes(variation=Variation(mutant="slips something in"), workers={"bulk": 1, "interactive": 0})
    station, office = scene.station, scene.office
    slipped = office.approve([simple(catalog=b"/Note (%b)" % SLIPPED_TEXT)])
    results = station.stream(slipped.token, slipped.items)
    assert results.sealed == {} and results.refused[0].code is Code.DOCUMENT_READBACK
    assert "nothing explains object" in str(results.refused[0])
    assert scene.metric("hsm_calls") == 0
    honest = office.approve([document("Honest")])
    everything_sealed_once(station, honest, station.stream(honest.token, honest.items))


def test_a_document_beyond_the_limits_of_the_sandbox_is_read_once_and_no_more(scenes: Scenes) -> None:
    scene = scenes(workers={"bulk": 1, "interactive": 1})
    station, office = scene.station, scene.office
    deep = assemble({1: b"<< /Type /Catalog /Pages " + b"[" * 9000 + b" >>"})
    first, anew = (office.approve([deep, document(f"Beside {number}")]) for number in (1, 2))
    for approved, repeated in ((first, False), (first, True), (anew, True), (anew, True)):
        results = station.stream(approved.token, approved.items)
        assert list(results.sealed) == [1]
        assert results.refused[0].code is Code.DOCUMENT_TOO_COMPLEX
        assert results.refused[0].reason.endswith("; it is not tried again") == repeated
        assert "depth or memory" in results.refused[0].reason, "the reader's own reason stays"
    with pytest.raises(VermilionError) as refused:
        station.seal(anew)
    assert refused.value.code is Code.DOCUMENT_TOO_COMPLEX and refused.value.way_out
    assert scene.metric("sandbox_calls", outcome="DOCUMENT_TOO_COMPLEX") == 1

    other = office.approve(
        [deep], placement=office.visible()
    )  # what one client had refused by its marks is not refused to others by theirs
    assert "not tried again" not in station.stream(other.token, other.items).refused[0].reason
    assert scene.metric("sandbox_calls", outcome="DOCUMENT_TOO_COMPLEX") == 2
    assert scene.metric("worker_deaths") == 0


def test_a_document_whose_reader_ended_without_an_answer_is_tried_once_more(scenes: Scenes) -> None:
    """Anything may have ended it: a busy machine as well as the document."""
    scene = scenes(workers={"bulk": 1, "interactive": 0})
    station, office = scene.station, scene.office
    unlucky, twice = (simple(catalog=b"/AcroForm 77 0 R /Odd (%d)" % number) for number in (1, 2))

    def ended_over(approved: Approved) -> VermilionError:
        scene.points.arm("signer", "sandbox", "received")
        refused = station.stream(approved.token, approved.items).refused[0]
        assert scene.points.fired("signer") is not None
        scene.points.disarm("signer")
        return refused

    once = office.approve([unlucky])
    assert ended_over(once).code is Code.DOCUMENT_TOO_COMPLEX
    everything_sealed_once(station, once, station.stream(once.token, once.items))

    fatal = office.approve([twice])
    assert [ended_over(fatal).code for _ in range(2)] == [Code.DOCUMENT_TOO_COMPLEX] * 2
    again = office.approve([twice, document("Beside")])
    results = station.stream(again.token, again.items)
    assert list(results.sealed) == [1] and results.refused[0].reason.endswith("; it is not tried again")
    other = office.approve([twice], placement=office.visible())
    everything_sealed_once(station, other, station.stream(other.token, other.items))
