"""The signature covers the file without a gap, its digest and its value are right, and nothing hides in its hole.

The byte range is read here once more, byte by byte, because every published forgery of signed PDFs that survived a digest
check lived in a gap between what was hashed and what was shown (Mladenov et al., "1 Trillion Dollar Refund", CCS 2019:
signature wrapping; Mainka et al., "Shadow Attacks", NDSS 2021).
"""

from __future__ import annotations

import re

from asn1crypto import parser
from pyhanko.pdf_utils import misc
from pyhanko.sign.general import CMSStructuralError
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import validate_sig_integrity
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from verify.codes import FindingCode
from verify.facts import FactError, fact
from verify.report import SealKind, finding
from verify.steps.case import Case, Signature

_HEX = re.compile(rb"[0-9A-Fa-f]*")
_SUBFILTERS = {"/ETSI.CAdES.detached", "/adbe.pkcs7.detached", "/ETSI.RFC3161"}


class _GapError(FactError):
    """The byte range leaves something out, or counts something twice."""


def check_integrity(case: Case) -> None:
    """Byte range, digest, signature value."""
    for signature in case.signatures:
        if signature.embedded is None:
            continue
        try:
            _check(case.document, signature, signature.embedded)
        except misc.PdfStrictReadError:
            raise
        except Exception as fault:  # noqa: BLE001  (whatever a broken signature provokes speaks against that signature)
            signature.findings.append(finding(FindingCode.SIGNATURE_INVALID, fact("technical", name=type(fault).__name__)))


def _check(document: bytes, signature: Signature, embedded: EmbeddedPdfSignature) -> None:
    try:
        # Before any cryptography: what a digest is over must be settled before it means anything.
        end = _end_of_covered(document, embedded)
    except _GapError as gap:
        signature.findings.append(finding(FindingCode.BYTE_RANGE, gap.fact))
        return
    signature.covers_file = end == len(document)
    if _hidden(embedded.pkcs7_content):
        signature.findings.append(finding(FindingCode.HIDDEN_DATA))
    if str(embedded.sig_object.get("/SubFilter", "")) not in _SUBFILTERS:
        signature.findings.append(finding(FindingCode.SIGNATURE_INVALID, fact("unknown_subfilter")))
        return
    embedded.compute_digest()
    embedded.coverage = embedded.evaluate_signature_coverage()  # type: ignore[assignment]  # declared by its first value
    if embedded.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        signature.findings.append(finding(FindingCode.BYTE_RANGE, fact("revision_not_covered")))
    if signature.kind is not SealKind.DOCUMENT_TIMESTAMP and signature.has_key:  # without: finding the signatures has said so
        _check_value(signature, embedded)


def _end_of_covered(document: bytes, embedded: EmbeddedPdfSignature) -> int:
    """Where the covered part ends: everything from the first byte to there, but exactly the hexadecimal hole of this signature."""
    numbers = [int(each) for each in embedded.byte_range if isinstance(each, int)]
    # More pairs would leave more holes than the one for the signature (signature wrapping).
    if len(embedded.byte_range) != 4 or len(numbers) != 4:
        raise _GapError("byte_range_not_four_numbers")
    start, length, second_start, second_length = numbers
    end = second_start + second_length
    if start != 0 or length <= 0 or second_length <= 0 or not length < second_start < end <= len(document):
        raise _GapError("byte_range_not_through")
    hole = document[length:second_start]
    digits = hole[1:-1]
    if hole[:1] != b"<" or hole[-1:] != b">" or len(digits) % 2 or _HEX.fullmatch(digits) is None:
        raise _GapError("byte_range_leaves_more")
    # The hole must hold the very signature that is checked, not another one whose range this
    # is.
    if bytes.fromhex(digits.decode("ascii")) != embedded.pkcs7_content:
        raise _GapError("byte_range_leaves_other")
    return end


def _hidden(contents: bytes) -> bool:
    """Whether anything but zeros follows the CMS structure in its hole."""
    return any(contents[parser.peek(contents) :])


def _check_value(signature: Signature, embedded: EmbeddedPdfSignature) -> None:
    try:
        intact, valid = validate_sig_integrity(
            embedded.signer_info, embedded.signer_cert, expected_content_type="data", actual_digest=embedded.compute_digest()
        )
    except (SignatureValidationError, CMSStructuralError) as fault:
        signature.findings.append(finding(FindingCode.SIGNATURE_INVALID, fact("technical", name=type(fault).__name__)))
        return
    # The document's digest and the signature over the attributes fail apart: a changed
    # document, or a forged signature.
    if not intact:
        signature.findings.append(finding(FindingCode.NOT_INTACT))
    if not valid:
        signature.findings.append(finding(FindingCode.SIGNATURE_INVALID))
