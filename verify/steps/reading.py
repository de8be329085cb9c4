"""The document can be read, and what signatures it holds."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any

from asn1crypto import cms
from cryptography import x509
from pyhanko.pdf_utils import misc
from pyhanko.pdf_utils.crypt import AuthStatus
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, IndirectObject, Reference
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import MDPPerm
from pyhanko.sign.general import extract_certificate_info, extract_signer_info
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature, extract_contents

from verify.codes import FindingCode
from verify.facts import fact
from verify.report import Certification, Finding, SealKind, finding
from verify.steps.case import Case, Signature

HEADER_WINDOW_BYTES = 1024  # readers look for "%PDF-" this far (ISO 32000-1 Annex H.3.4.1)
MOST_SIGNATURES = 64  # each costs a comparison of revisions
MOST_FIELDS = 50_000
_CERTIFICATION = {
    MDPPerm.NO_CHANGES: Certification.FINAL,
    MDPPerm.FILL_FORMS: Certification.FORM_FILL,
    MDPPerm.ANNOTATE: Certification.ANNOTATE,
}


class UnreadableError(Exception):
    """The document offers nothing that could be judged; ends the steps."""

    def __init__(self, found: Finding) -> None:
        super().__init__(found.code)
        self.finding = found


def read_document(case: Case) -> None:
    """The document is a PDF, whole, and opens without a password."""
    if not case.document:
        raise UnreadableError(finding(FindingCode.EMPTY))
    if b"%PDF-" not in case.document[:HEADER_WINDOW_BYTES]:
        raise UnreadableError(finding(FindingCode.NOT_A_PDF))
    reader = PdfFileReader(BytesIO(case.document), strict=case.strict)
    if reader.encrypt_dict is not None and not _opens(reader):
        raise UnreadableError(finding(FindingCode.ENCRYPTED))
    # A hybrid file may hold one document for old readers and another for new ones.
    if case.strict and reader.xrefs.hybrid_xrefs_present:
        raise misc.PdfStrictReadError("hybrid cross-references")
    reader.root["/Pages"]  # a catalog that leads to pages
    case.reader = reader


def _opens(reader: PdfFileReader) -> bool:
    """Whether an encrypted document opens for everyone: readers try the empty user password by themselves (ISO 32000-2 §7.6.4.3)."""
    try:
        return reader.decrypt("").status is not AuthStatus.FAILED
    except (misc.PdfError, ValueError, KeyError):  # for certain recipients alone, or with a broken dictionary
        return False


def find_signatures(case: Case) -> None:
    """Every filled signature field, oldest first, and whether its certificate is ours."""
    found: list[Signature] = []
    for name, value, field in _filled_fields(case):
        if len(found) == MOST_SIGNATURES:
            case.findings.append(finding(FindingCode.TOO_COMPLEX, fact("many_signatures", count=MOST_SIGNATURES)))
            break
        signature = _signature(case, name, value, field)
        signature.reference = (field.idnum, field.generation) if isinstance(field, IndirectObject) else None
        found.append(signature)
    # By the revision that each was made in, not by their order in the form, which whoever signs
    # last may choose.
    case.signatures = sorted(found, key=lambda each: each.embedded.signed_revision if each.embedded else -1)
    if not case.signatures:
        case.findings.append(finding(FindingCode.NO_SEAL))


def _filled_fields(case: Case) -> Iterator[tuple[str, Any, IndirectObject]]:
    """Full name, value and field of each signature field with a value. What is broken elsewhere in the form hides none of them."""
    form = _member(case.readable.root, "/AcroForm")
    waiting: list[tuple[Any, str, Any]] = [(each, "", None) for each in _items(form, "/Fields")]
    seen: set[Reference] = set()
    while waiting:
        reference, above, kind = waiting.pop()
        # A field that is reached twice counts once; without this, fields that are each other's kids
        # would never end.
        if not isinstance(reference, IndirectObject) or reference.reference in seen:
            continue
        if len(seen) == MOST_FIELDS:
            case.findings.append(finding(FindingCode.TOO_COMPLEX, fact("many_fields", count=MOST_FIELDS)))
            return
        seen.add(reference.reference)
        try:
            field = reference.get_object()
            if not isinstance(field, DictionaryObject) or "/T" not in field:
                continue  # what has no name is a widget of the field above it
            name = ".".join(filter(None, (above, str(field["/T"]))))
            kind = _member(field, "/FT") or kind  # inherited (ISO 32000-2 table 226)
            value, kids = field.get("/V"), _items(field, "/Kids")
        except misc.PdfStrictReadError:
            raise
        except Exception:  # noqa: BLE001, S112  (a field that cannot be read holds no signature that could be)
            continue
        if kind == "/Sig" and value:
            yield name, value, reference
        waiting += [(each, name, kind) for each in kids]


def _member(holder: Any, key: str) -> Any:
    return holder[key] if isinstance(holder, DictionaryObject) and key in holder else None


def _items(holder: Any, key: str) -> list[Any]:
    """The entries of an array, the last first."""
    array = _member(holder, key)
    return list(array)[::-1] if isinstance(array, ArrayObject) else []


def _signature(case: Case, name: str, value: Any, field: Any) -> Signature:
    try:
        embedded = EmbeddedPdfSignature(case.readable, field, name)
        signature = Signature(name, embedded, embedded.signer_info)
        signature.describe(_certificate(embedded.signer_cert.dump()))
        signature.certification = (
            _CERTIFICATION.get(embedded.docmdp_level, Certification.NONE) if embedded.docmdp_level else Certification.NONE
        )
        is_timestamp = embedded.sig_object_type == "/DocTimeStamp"
    except misc.PdfStrictReadError:
        raise
    except Exception as fault:  # noqa: BLE001  (a broken signature is a finding about it, not the end of the others)
        return _broken(case, name, value, fault)
    # The type before the issuer: a document timestamp by a unit of ours is no seal.
    if is_timestamp:
        signature.kind = SealKind.DOCUMENT_TIMESTAMP
    elif signature.certificate is not None and case.trust.issuer_of(signature.certificate) is not None:
        signature.kind = SealKind.SEAL
    return signature


def _broken(case: Case, name: str, value: Any, fault: Exception) -> Signature:
    """A signature dictionary with parts taken away ("universal signature forgery"): ours when its certificate still says so."""
    signature = Signature(name, None)
    try:
        indirect: Any = isinstance(value, IndirectObject)
        dictionary = value.get_object() if indirect else value
        signed_data = cms.ContentInfo.load(extract_contents(dictionary))["content"]
        signature.signer_info = extract_signer_info(signed_data)
        signature.describe(_certificate(extract_certificate_info(signed_data).signer_cert.dump()))
    except Exception:  # noqa: BLE001  (nothing to be learned from it)
        signature.signer_info = None
    if signature.certificate is not None and case.trust.issuer_of(signature.certificate) is not None:
        signature.kind = SealKind.SEAL
        signature.findings.append(finding(FindingCode.SIGNATURE_INVALID, fact("signature_dictionary_broken")))
    else:
        signature.findings.append(
            finding(FindingCode.SIGNATURE_UNREADABLE, fact("named_technical", name=name, technical=type(fault).__name__))
        )
    return signature


def _certificate(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)
