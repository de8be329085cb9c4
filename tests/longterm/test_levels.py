"""Files reach B-LT and B-LTA: pyHanko finds them so under a clock far ahead, and every reader still finds the seals whole."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import ModificationLevel

from longterm import full, reading, writing
from longterm.augmenter import Aim, Augmenter
from longterm.model import Level
from longterm.plan import Addition
from longterm.reading import read
from longterm.sources import Sources
from sealcore.errors import Code, VermilionError
from tests.longterm.conftest import EXAMPLES, judged_by_its_store, past_valid
from tests.longterm.later import HOUR_S, later
from tests.longterm.world import DAY, YEAR, World

NOT_SIGNED_BY_PYHANKO = ("contract-damaged.pdf", "minutes-encrypted.pdf")

Make = Callable[..., Augmenter]
Judge = Callable[..., Any]


def require_whole(document: bytes, folder: Path, count: int) -> None:
    """pdfsig, pyHanko's difference analysis and pikepdf take the file, and all signatures in it."""
    file = folder / "judged.pdf"
    file.write_bytes(document)
    told = subprocess.run(["pdfsig", "-nocert", str(file)], capture_output=True, text=True, check=False).stdout
    stamps = told.count("Signature Type: unknown")  # of document timestamps it knows where they are, and no more
    assert told.count("Signature is Valid.") + stamps == count, told
    assert "Total document signed" in told or not stamps
    with pikepdf.open(io.BytesIO(document)) as opened:
        assert not opened.check_pdf_syntax()
    for signature in PdfFileReader(io.BytesIO(document)).embedded_signatures:
        signature.compute_integrity_info()
        found = signature.summarise_integrity_info()
        assert found["docmdp_ok"], signature.field_name
        if found["diff_result"] is not None:
            assert found["diff_result"].modification_level <= ModificationLevel.LTA_UPDATES


def test_b_lta_holds_after_the_signing_certificate_expired(
    world: World, invoice: bytes, augmenter: Make, judged: Judge, tmp_path: Path
) -> None:
    document = world.signed(invoice)
    later(world)
    outcome = augmenter(world).augment(document)
    assert (outcome.before, outcome.level, outcome.changed) == (Level.B_T, Level.B_LTA, True)
    assert outcome.document.startswith(document)
    require_whole(outcome.document, tmp_path, 2)
    result = judged(world, outcome.document, world.clock.now() + 2 * YEAR)
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg
    assert judged(world, document, world.clock.now() + 2 * YEAR).ades_subindic is not AdESPassed.OK


def test_b_lt_is_what_archives_need(ocsp_world: World, invoice: bytes, augmenter: Make, judged: Judge, tmp_path: Path) -> None:
    world = ocsp_world
    document = world.signed(invoice)
    later(world)
    outcome = augmenter(world, Aim(Level.B_LT)).augment(document)
    assert outcome.level is Level.B_LT
    require_whole(outcome.document, tmp_path, 1)
    # It holds all that an archive timestamp needs: from here on no CA has to answer.
    assert not world.requests.get("/tsa")
    world.published.clear()
    lifted = augmenter(world).augment(outcome.document)
    assert (lifted.before, lifted.level) == (Level.B_LT, Level.B_LTA)
    result = judged(world, lifted.document, world.clock.now() + 2 * YEAR)
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg


def test_plain_b_lt_holds_after_the_signing_certificate_expired(world: World, invoice: bytes, augmenter: Make) -> None:
    """Half a year after, with no network: the seal by the DSS alone, as of its timestamp; the timestamp by what its CAs publish then."""
    document = world.signed(invoice)
    later(world)
    extended = augmenter(world, Aim(Level.B_LT)).augment(document).document
    then = world.clock.now() + YEAR + YEAR / 2
    assert world.seal.certificate.not_valid_after_utc < then < world.tsa.certificate.not_valid_after_utc
    status = judged_by_its_store(world, extended, then)
    assert status.bottom_line, status.summary()
    without = judged_by_its_store(world, document, then)
    assert without.intact and without.valid and not without.trusted


def test_what_is_there_already_is_left_as_it_is(world: World, invoice: bytes, augmenter: Make) -> None:
    document = world.signed(invoice)
    later(world)
    once = augmenter(world).augment(document)
    asked = dict(world.requests)
    for level in (Level.B_LTA, Level.B_LT):
        again = augmenter(world, Aim(level)).augment(once.document)
        assert (again.document, again.changed, again.before) == (once.document, False, Level.B_LTA)
    assert world.requests == asked


def test_answers_that_are_older_than_the_timestamp_do_not_count(world: World, invoice: bytes, augmenter: Make) -> None:
    world.clock.advance(HOUR_S)  # the CRLs were published before
    document = world.signed(invoice)
    outcome = augmenter(world).augment(document)
    assert outcome.waiting is not None
    assert outcome.waiting.code is Code.EVIDENCE_NOT_YET
    assert "2012-01-08 00:00:00 UTC" in outcome.waiting.reason  # when the next CRL is due
    assert (outcome.document, outcome.changed) == (document, False)
    later(world)
    assert augmenter(world).augment(document).level is Level.B_LTA


def test_a_live_ocsp_answer_saves_the_waiting(ocsp_world: World, invoice: bytes, augmenter: Make, judged: Judge) -> None:
    world = ocsp_world
    world.clock.advance(HOUR_S)  # pre-signed answers are from before
    document = world.signed(invoice)
    world.clock.advance(60)
    outcome = augmenter(world).augment(document)
    assert outcome.level is Level.B_LTA
    assert len(read(outcome.document).store.ocsps) == 2
    assert "/ca.crl" not in world.requests
    result = judged(world, outcome.document, world.clock.now() + 2 * YEAR)
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg


def test_a_delegate_without_nocheck_is_asked_about_in_turn(invoice: bytes, augmenter: Make) -> None:
    world = World(has_ocsp=True, delegate_nocheck=False)
    try:
        document = world.signed(invoice)
        later(world)
        outcome = augmenter(world, Aim(Level.B_LT)).augment(document)
        assert outcome.level is Level.B_LT
        assert world.requests["/ca.crl"] == 1
        world.revoke(world.delegate, world.clock.now() - 2 * DAY)
        document = world.signed(invoice)
        later(world)
        with pytest.raises(VermilionError) as refused:
            augmenter(world, Aim(Level.B_LT)).augment(document)
        assert refused.value.code is Code.SIGNATURE_REVOKED
    finally:
        world.close()


def test_a_signature_without_a_timestamp_gets_one_first(ocsp_world: World, invoice: bytes, augmenter: Make) -> None:
    world = ocsp_world
    world.lives = False
    document = world.signed(invoice, stamped=False)
    first = augmenter(world).augment(document)
    assert (first.before, first.level, first.changed) == (Level.B_B, Level.B_T, True)
    assert first.waiting is not None
    later(world)
    second = augmenter(world).augment(first.document)
    assert (second.before, second.level) == (Level.B_T, Level.B_LTA)
    assert past_valid(world, second.document)


def test_two_renewals(ocsp_world: World, invoice: bytes, augmenter: Make, judged: Judge, tmp_path: Path) -> None:
    world = ocsp_world  # of a past timestamp unit, pyHanko 0.38 finds OCSP answers alone
    document = world.signed(invoice)
    later(world)
    document = augmenter(world).augment(document).document
    for generation in (2, 3):
        world.clock.advance((3 * YEAR - 30 * DAY).total_seconds())
        later(world)
        soon = augmenter(world, Aim(renew_before=timedelta(days=10))).augment(document)
        assert not soon.changed
        world.tsa = world.new_tsa(f"TSU {generation}", 3 * YEAR)
        outcome = augmenter(world).augment(document)
        assert (outcome.changed, outcome.renewed, outcome.level) == (True, True, Level.B_LTA)
        assert outcome.lapses is not None
        assert outcome.lapses > world.clock.now() + 2 * YEAR
        document = outcome.document
    assert len(read(document).signed) == 4
    require_whole(document, tmp_path, 4)
    result = judged(world, document, world.clock.now() + 2 * YEAR)  # nearly eight years after; the seal's certificate had one
    assert result.ades_subindic is AdESPassed.OK, result.failure_msg


def test_an_archive_timestamp_that_has_lapsed_cannot_be_renewed(world: World, invoice: bytes, augmenter: Make) -> None:
    document = world.signed(invoice)
    later(world)
    document = augmenter(world).augment(document).document
    world.clock.advance((4 * YEAR).total_seconds())
    later(world)
    world.tsa = world.new_tsa("TSU 2", 3 * YEAR)
    with pytest.raises(VermilionError) as refused:
        augmenter(world).augment(document)
    assert refused.value.code is Code.SIGNATURE_UNTRUSTED


@pytest.mark.parametrize("permission", [1, 2, 3])
def test_certified_documents_stay_certified(world: World, invoice: bytes, augmenter: Make, permission: int, tmp_path: Path) -> None:
    document = world.signed(invoice, permission=permission)
    later(world)
    outcome = augmenter(world).augment(document)
    assert outcome.level is Level.B_LTA
    require_whole(outcome.document, tmp_path, 2)


def test_several_signatures_and_vri(world: World, invoice: bytes, augmenter: Make, judged: Judge) -> None:
    document = world.signed(world.signed(invoice), name="Seal2")
    later(world)
    outcome = augmenter(world, Aim(vri=True)).augment(document)
    contents = read(outcome.document)
    store = contents.store
    assert len(store.certificates) == len(set(store.certificates)) == 4
    assert len(store.crls) == 2
    with pikepdf.open(io.BytesIO(outcome.document)) as opened:
        vri = opened.Root.DSS.VRI
        assert set(vri.keys()) == {f"/{one.vri_key}" for one in contents.signed[:2]}
        assert all(len(each.Cert) == 4 and len(each.CRL) == 2 for each in dict(vri.items()).values())
        assert opened.Root.Extensions.ESIC.BaseVersion == "/1.7"
    for index in (0, 1):
        assert judged(world, outcome.document, world.clock.now() + 2 * YEAR, index=index).ades_subindic is AdESPassed.OK


@pytest.mark.parametrize("name", sorted(file.name for file in EXAMPLES.glob("*.pdf")))
def test_every_example_that_can_be_signed_is_extended(  # noqa: PLR0917
    world: World, augmenter: Make, judged: Judge, name: str, tmp_path: Path, say: Callable[[str], None]
) -> None:
    """Tables and streams of cross-references, linearised, forms, Chinese: both writers, whichever understands the file."""
    source = (EXAMPLES / name).read_bytes()
    try:
        document = world.signed(source)
    except Exception:  # noqa: BLE001  (pyHanko raises anything)
        assert name in NOT_SIGNED_BY_PYHANKO
        with pytest.raises(VermilionError):
            augmenter(world).augment(source)
        return
    later(world)
    if name == "letter-signed-by-supplier.pdf":  # the first signature's root is not trusted here
        with pytest.raises(VermilionError) as refused:
            augmenter(world).augment(document)
        assert refused.value.code is Code.SIGNATURE_UNTRUSTED
        return
    outcome = augmenter(world).augment(document)
    assert outcome.level is Level.B_LTA
    require_whole(outcome.document, tmp_path, 2)
    assert judged(world, outcome.document, world.clock.now() + 2 * YEAR).ades_subindic is AdESPassed.OK
    lean = writing.write_lean(document, Addition(read(document).store, bytes(16), 1024))
    say(f"{name}: {'full' if lean is None else 'lean'}")


def test_both_writers_mean_the_same(world: World, invoice: bytes, augmenter: Make, monkeypatch: pytest.MonkeyPatch, judged: Judge) -> None:
    """The same file by the lean writer and by pyHanko's: the same DSS, the same field, the same judgement; and over an existing DSS."""
    document = world.signed(invoice)
    later(world)
    lean = augmenter(world, Aim(vri=True)).augment(document).document
    monkeypatch.setattr(writing, "write_lean", _not_lean)
    monkeypatch.setattr(reading, "read_lean", _not_lean)
    whole = augmenter(world, Aim(vri=True)).augment(document).document
    monkeypatch.undo()
    assert _meaning(lean) == _meaning(whole)
    of_lean, of_whole = reading.read_lean(lean), reading.read_lean(whole)
    assert of_lean is not None and of_whole is not None
    assert full.read_full(lean).store == of_lean.store
    assert [one.field for one in full.read_full(lean).signed] == [one.field for one in of_whole.signed]
    assert judged(world, whole, world.clock.now() + 2 * YEAR).ades_subindic is AdESPassed.OK


def _not_lean(*_arguments: object) -> None:
    """As where the core does not understand the document: it is left to pyHanko."""


def _meaning(document: bytes) -> Any:
    with pikepdf.open(io.BytesIO(document)) as opened:
        root = opened.Root
        store = {key: sorted(bytes(each.read_bytes()) for each in root.DSS[key]) for key in ("/Certs", "/CRLs")}
        fields = [(str(each.T), str(each.V.SubFilter), each.F, str(each.TU) if "/TU" in each else "") for each in root.AcroForm.Fields]
        vri = {key: sorted(one.keys()) for key, one in root.DSS.VRI.items()}
        return store, fields, vri, root.AcroForm.SigFlags, str(root.Extensions.ESIC), len(opened.pages[0].Annots)


def test_nothing_is_fetched_from_a_host_that_was_not_allowed(world: World, invoice: bytes, augmenter: Make) -> None:
    document = world.signed(invoice)
    later(world)
    with pytest.raises(VermilionError) as refused:
        augmenter(world, allowed=("ca.example",)).augment(document)
    assert refused.value.code is Code.FETCH_FORBIDDEN
    assert f"--allow-host {world.host}" in refused.value.reason
    assert not world.requests


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://", "http://[::1", "ldap://x/y"])
def test_odd_urls_are_refused(url: str) -> None:
    sources = Sources(("127.0.0.1",))
    with pytest.raises(VermilionError) as refused:
        sources.crl(url)
    assert refused.value.code is Code.INVALID_ARGUMENT
    sources.close()


def test_one_answer_serves_many_files(world: World, invoice: bytes, augmenter: Make) -> None:
    documents = [world.signed(invoice, name=f"Seal{index}") for index in range(3)]
    later(world)
    extends = augmenter(world)
    for document in documents:
        assert extends.augment(document).level is Level.B_LTA
    assert {path: count for path, count in world.requests.items() if path != "/tsa"} == {"/ca.crl": 1, "/root.crl": 1}
    assert world.requests["/tsa"] == 4  # one more to learn how large this TSA's tokens are
