"""The level that verification tells: by what pyHanko and our own extension put into files, and by what strangers leave out.

Verification shares no code with augmentation, so the two also judge each other here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from io import BytesIO

import pytest
from asn1crypto.crl import CertificateList
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers import PdfTimeStamper
from pyhanko.sign.validation.dss import DocumentSecurityStore

from longterm.augmenter import Aim, Augmenter
from longterm.model import Level
from tests.longterm.conftest import EXAMPLES
from tests.longterm.later import later
from tests.longterm.world import World
from verify.examine import read
from verify.report import SealKind
from verify.trust import TrustMaterial


@pytest.fixture(params=["CRL", "OCSP"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(has_ocsp=request.param == "OCSP")
    yield made
    made.close()


def told(world: World, document: bytes) -> list[tuple[SealKind, str | None]]:
    """Kind and level of each signature, by a verifier that trusts the root and the CA."""
    trust = TrustMaterial((world.root.certificate,), (world.ca.certificate,))
    return [(seal.kind, seal.level) for seal in read(document, trust, world.clock.now()).seals]


def level(world: World, document: bytes) -> str | None:
    """Of the one seal of ours."""
    (found,) = [level for kind, level in told(world, document) if kind is SealKind.SEAL]
    return found


def paper() -> bytes:
    return (EXAMPLES / "invoice.pdf").read_bytes()


def test_all_four(world: World, augmenter: Callable[..., Augmenter]) -> None:
    assert level(world, world.signed(paper(), stamped=False)) == "B-B"
    document = world.signed(paper())
    assert level(world, document) == "B-T"
    later(world)
    validated = augmenter(world, Aim(Level.B_LT)).augment(document).document
    assert level(world, validated) == "B-LT"
    archived = augmenter(world).augment(document).document
    assert told(world, archived) == [(SealKind.SEAL, "B-LTA"), (SealKind.DOCUMENT_TIMESTAMP, None)]
    world.clock.advance(timedelta(days=3 * 365 - 30).total_seconds())
    later(world)
    world.tsa = world.new_tsa("TSU 2", timedelta(days=1000))
    renewed = augmenter(world).augment(archived)
    assert renewed.renewed
    assert level(world, renewed.document) == "B-LTA"


def test_a_signature_that_only_a_document_timestamp_dates(world: World, augmenter: Callable[..., Augmenter]) -> None:
    world.lives = False
    first = augmenter(world).augment(world.signed(paper(), stamped=False))
    assert (first.level, level(world, first.document)) == (Level.B_T, "B-T")
    later(world)
    second = augmenter(world, Aim(Level.B_LT)).augment(first.document)
    assert (second.level, level(world, second.document)) == (Level.B_LT, "B-LT")
    third = augmenter(world).augment(second.document)
    assert (third.level, level(world, third.document)) == (Level.B_LTA, "B-LTA")


def test_a_document_timestamp_over_nothing_is_no_archive(world: World) -> None:
    stamped = _stamped(world, world.signed(paper()))
    assert told(world, stamped) == [(SealKind.SEAL, "B-T"), (SealKind.DOCUMENT_TIMESTAMP, None)]


def _stamped(world: World, document: bytes) -> bytes:
    out = BytesIO()
    PdfTimeStamper(world.timestamper()).timestamp_pdf(IncrementalPdfFileWriter(BytesIO(document)), "sha256", output=out)
    return out.getvalue()


def _with_store(world: World, document: bytes, crls: tuple[bytes, ...]) -> bytes:
    out = BytesIO(document)
    lists = [CertificateList.load(der) for der in crls]
    DocumentSecurityStore.add_dss(out, None, certs=[world.root.asn1, world.ca.asn1, world.seal.asn1, world.tsa.asn1], crls=lists)
    return out.getvalue()


def test_validation_data_counts_when_it_is_whole_and_younger_than_the_timestamp(world: World) -> None:
    hour = timedelta(hours=1)
    older = world.crls_at(world.clock.now() - hour)
    document = world.signed(paper())
    younger = world.crls_at(world.clock.now() + hour)
    assert level(world, _with_store(world, document, older)) == "B-T"
    assert level(world, _with_store(world, document, younger[1:])) == "B-T"  # nothing about the CA itself
    assert level(world, _with_store(world, document, (older[0], younger[1]))) == "B-LT"  # a root's CRLs are rare
    complete = _with_store(world, document, younger)
    assert level(world, complete) == "B-LT"
    assert level(world, _stamped(world, complete)) == "B-LTA"
    late = _with_store(world, _stamped(world, document), younger)  # what comes after a document timestamp is not covered by it
    assert level(world, late) == "B-LT"
    assert level(world, _stamped(world, late)) == "B-LTA"


def test_answers_of_somebody_else_do_not_count(world: World) -> None:
    other = World()
    try:
        document = world.signed(paper())
        lists = other.crls_at(world.clock.now() + timedelta(hours=1))  # the same names, other keys
        assert level(world, _with_store(world, document, lists)) == "B-T"
    finally:
        other.close()


@pytest.mark.parametrize("store", ["name", "pieces", "arrays"])
def test_a_store_that_cannot_be_read_is_none(world: World, store: str) -> None:
    pieces = generic.ArrayObject([generic.NumberObject(7), generic.NameObject("/x"), generic.DictionaryObject()])
    stores = {
        "name": generic.NameObject("/Nothing"),
        "pieces": generic.DictionaryObject({generic.NameObject(key): pieces for key in ("/Certs", "/CRLs", "/OCSPs")}),
        "arrays": generic.DictionaryObject({generic.NameObject(key): generic.NumberObject(1) for key in ("/Certs", "/CRLs", "/OCSPs")}),
    }
    writer, out = IncrementalPdfFileWriter(BytesIO(world.signed(paper()))), BytesIO()
    writer.root["/DSS"] = writer.add_object(stores[store])
    writer.update_root()
    writer.write(out)
    assert level(world, out.getvalue()) == "B-T"


def test_a_signature_that_is_not_whole_has_none(world: World) -> None:
    document = world.signed(paper())
    changed = document.replace(b"ReportLab", b"ReportLob", 1)
    assert changed != document
    assert level(world, changed) is None
