"""How programs of others sign a sealed document: permitted and named where the signer is known, and no way to show something elsewhere."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.sign import signers
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter

from sealcore.clock import FixedClock
from tests.attacks.appended import annotate, enter, entries, name, numbers, stream, text
from tests.attacks.forms import field_named, gain_resource, order_form, sealed_font, standard_font
from tests.verify.office import NOW, DatedWriter, Identity, Office, issue, signer_of, written
from verify.report import Report, Verdict
from verify.trust import TrustMaterial
from verify.verifier import verify

SOON = NOW - timedelta(minutes=1)
BOX = (300, 100, 500, 160)
Made = Callable[[DatedWriter], Any]


@pytest.fixture(scope="module")
def office() -> Office:
    return Office()


@pytest.fixture(scope="module")
def stranger() -> Office:
    return Office()


@pytest.fixture(scope="module")
def customer(stranger: Office) -> Identity:
    return issue("Customer", stranger.seals.identity, organisation="Customer Ltd")


@pytest.fixture(scope="module")
def trust(office: Office, stranger: Office) -> TrustMaterial:
    """The office declares the root of its customer."""
    ours, theirs = office.trust(), stranger.trust()
    return replace(ours, signer_anchors=theirs.roots, signer_issuers=theirs.issuers, crls=(*ours.crls, *theirs.crls))


@pytest.fixture(scope="module")
def sealed(office: Office) -> bytes:
    return office.sign(order_form(), certify=MDPPerm.FILL_FORMS).data


@pytest.fixture
def sign(stranger: Office, customer: Identity, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes, Made, str], bytes]:
    """Signs a field as it was made, in one revision with all that was made."""
    monkeypatch.setattr("pyhanko.sign.signers.cms_embedder.SigAppearanceSetup.apply", lambda *_: None)
    monkeypatch.setattr("pyhanko.sign.signers.PdfSigner._enforce_certification_constraints", lambda *_: None)

    def signed(document: bytes, made: Made, field: str) -> bytes:
        writer = DatedWriter(document, strict=True)
        made(writer)
        metadata = signers.PdfSignatureMetadata(field_name=field, md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
        signer = signer_of(customer, [stranger.seals.identity.certificate])
        out = signers.PdfSigner(metadata, signer, timestamper=stranger.stamper(SOON)).sign_pdf(writer)
        return bytes(out.getvalue())

    return signed


def told(document: bytes, trust: TrustMaterial) -> Report:
    return verify(document, trust, None, clock=FixedClock(NOW))


def form_of(writer: DatedWriter, content: str, **resources: Any) -> Any:
    shown = stream(
        content.encode(), Type=name("XObject"), Subtype=name("Form"), BBox=numbers(0, 0, 200, 60), Resources=entries(**resources)
    )
    return writer.add_object(shown)


def placed(writer: DatedWriter, *, flags: int = 132, rectangle: tuple[float, ...] = BOX, **more: Any) -> Any:
    """A new field that shows its signer."""
    page = writer.root["/Pages"]["/Kids"].raw_get(0)
    look = form_of(writer, "BT /F1 12 Tf 2 20 Td (Signed) Tj ET", Font=entries(F1=standard_font(writer)))
    values = {"AP": entries(N=look), "Rect": numbers(*rectangle), "F": generic.NumberObject(flags)} | more
    place = generic.IndirectObject(page.idnum, page.generation, writer)
    field = writer.add_object(entries(Type=name("Annot"), Subtype=name("Widget"), FT=name("Sig"), T=text("Later"), P=place, **values))
    annotate(writer, field)
    enter(writer, field)
    return look


def with_resources(writer: DatedWriter, *, its_own: bool = True) -> None:
    """The look stands in the resources of field and form too; the form gains dingbats."""
    look = form_of(writer, "0 0 9 9 re f")
    outer = form_of(writer, "/FRM Do", XObject=entries(FRM=look))
    placed(writer, AP=entries(N=outer), DR=entries(XObject=entries(FRM=look)), H=name("N"))
    gain_resource(writer, "XObject", "FRM", look if its_own else form_of(writer, "0 0 8 8 re f"))
    gain_resource(writer, "Font", "ZaDb", standard_font(writer, "ZapfDingbats"))


def in_sealed_font(writer: DatedWriter) -> None:
    look = form_of(writer, "BT /F1 12 Tf 2 20 Td (Signed) Tj ET", Font=entries(F1=sealed_font(writer)))
    placed(writer, AP=entries(N=look))


def with_profile(writer: DatedWriter, *, curve: float = 2.4, extra: bytes = b"", primary: float = 0.436) -> None:
    placed(writer)
    declare(writer, srgb(curve, extra, primary))


def declare(writer: DatedWriter, data: bytes) -> None:
    profile = writer.add_object(stream(data, N=generic.NumberObject(3)))
    intent = entries(Type=name("OutputIntent"), S=name("GTS_PDFA1"), OutputConditionIdentifier=text("sRGB"), DestOutputProfile=profile)
    writer.root["/OutputIntents"] = generic.ArrayObject([intent])
    writer.update_root()


def srgb(curve: float, extra: bytes, primary: float) -> bytes:
    """A profile of sRGB's primaries and tone curve, or of others."""

    def tone(part: float) -> int:
        return round(65535 * (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** curve))

    def xyz(*parts: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(each * 65536) for each in parts))

    table = b"curv\0\0\0\0" + struct.pack(">I256H", 256, *(tone(each / 255) for each in range(256)))
    tags = {b"rXYZ": xyz(primary, 0.222, 0.014), b"gXYZ": xyz(0.385, 0.717, 0.097), b"bXYZ": xyz(0.143, 0.061, 0.714)}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), table) | {b"desc": b"desc\0\0\0\0\0\0\0\0"} | ({extra: table} if extra else {})
    rows, data, at = b"", b"", 132 + 12 * len(tags)
    for key, value in tags.items():
        rows += struct.pack(">4sII", key, at + len(data), len(value))
        data += value
    head = struct.pack(">I4s4s", at + len(data), b"lcms", b"\x02\x30\0\0") + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + rows + data


def emptied(writer: DatedWriter, rectangle: tuple[float, ...] = (0, 0, 0, 0)) -> None:
    """The empty field is signed without a look, and made to take no place."""
    field = field_named(writer, "Customer")
    field["/Rect"], field["/F"] = numbers(*rectangle), generic.NumberObject(132)
    writer.update_container(field)


HONEST: dict[str, tuple[Made, str]] = {
    "a look in the form's own font": (in_sealed_font, "Later"),
    "its look in the resources of field and form": (with_resources, "Later"),
    "a colour profile for the whole file": (with_profile, "Later"),
    "the sealed field made empty": (emptied, "Customer"),
}


@pytest.mark.parametrize("title", HONEST)
def test_signatures_of_honest_programs_are_permitted_and_named(sealed: bytes, trust: TrustMaterial, sign: Any, title: str) -> None:
    report = told(sign(sealed, *HONEST[title]), trust)
    seal = next(each for each in report.seals if each.field == "Seal1")
    assert report.verdict is Verdict.VALID, seal.findings
    assert "Customer Ltd" in {each.signer for each in seal.changed.additions}


def lively(writer: DatedWriter) -> None:
    """A look that uses something sealed which acts."""
    annotation = writer.root["/Pages"]["/Kids"][0].get_object()["/Annots"].raw_get(0)
    kept = generic.IndirectObject(annotation.idnum, annotation.generation, writer)
    placed(writer, AP=entries(N=form_of(writer, "", Properties=entries(P=kept))))


def changed_form(writer: DatedWriter) -> None:
    """A look that uses the sealed font, which is exchanged."""
    in_sealed_font(writer)
    font = sealed_font(writer)
    changed = generic.DictionaryObject(font.get_object())
    changed[pdf_name("/BaseFont")] = name("ZapfDingbats")
    writer.objects[(font.generation, font.idnum)] = changed


DISHONEST: dict[str, tuple[Made, str]] = {
    "a field that does not turn with the page": (lambda writer: placed(writer, flags=4 | 16), "Later"),
    "a field that does not grow with the page": (lambda writer: placed(writer, flags=4 | 8), "Later"),
    "a field that is seen when it is hidden": (lambda writer: placed(writer, flags=4 | 256), "Later"),
    "another form in the form's resources": (lambda writer: with_resources(writer, its_own=False), "Later"),
    "a look that uses what acts": (lively, "Later"),
    "the sealed font exchanged": (changed_form, "Later"),
    "the sealed field moved": (lambda writer: emptied(writer, (72, 700, 272, 760)), "Customer"),
    "a profile with a steep curve": (lambda writer: with_profile(writer, curve=24), "Later"),
    "a profile with other primaries": (lambda writer: with_profile(writer, primary=0.9), "Later"),
    "a profile with a table that takes precedence": (lambda writer: with_profile(writer, extra=b"A2B0"), "Later"),
}


@pytest.mark.parametrize("title", DISHONEST)
def test_a_known_signer_shows_nothing_but_the_signature(sealed: bytes, trust: TrustMaterial, sign: Any, title: str) -> None:
    assert told(sign(sealed, *DISHONEST[title]), trust).verdict is Verdict.INVALID


def test_a_second_profile_is_a_change(office: Office, trust: TrustMaterial, sign: Any) -> None:
    writer = DatedWriter(order_form(), strict=True)
    declare(writer, srgb(2.4, b"", 0.5))
    document = office.sign(written(writer), certify=None).data
    assert told(sign(document, placed, "Later"), trust).verdict is Verdict.VALID
    assert told(sign(document, with_profile, "Later"), trust).verdict is Verdict.INVALID
