"""Step 6: what was added to the file after each seal, and whether that may happen to a sealed document.

The comparison of revisions is pyHanko's: a list of permitted kinds of change, everything else is forbidden.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from pyhanko.pdf_utils import misc
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import DEFAULT_DIFF_POLICY, DiffResult, ModificationLevel, SuspiciousModification
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from verify.case import Case, Signature, plain
from verify.codes import FindingCode
from verify.report import Change, Changed, SealKind, finding

MOST_FIELD_LEVELS, MOST_FIELDS = 32, 50_000  # of a form; more are a trap
_WHITE_SPACE = b"\0\t\n\f\r "
_UNCHANGED = Changed(Change.NONE)
_FORBIDDEN = Changed(Change.FORBIDDEN, ("content",))


def step_6_changes(case: Case) -> None:
    """For each signature: nothing, only permitted kinds of change, or more."""
    for signature in case.signatures:
        if signature.embedded is None or signature.embedded.coverage is None:
            continue
        try:
            _examine(case, signature, signature.embedded)
        except misc.PdfStrictReadError:
            raise
        except Exception as fault:  # noqa: BLE001  (a comparison that cannot be made is no clean bill)
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, type(fault).__name__))


def _examine(case: Case, signature: Signature, embedded: EmbeddedPdfSignature) -> None:
    if any(each.code == FindingCode.NOT_INTACT for each in signature.findings):
        signature.changed = _FORBIDDEN  # the sealed bytes themselves are others; step 3 has said so
        return
    if signature.covers_file:
        signature.changed = _UNCHANGED
        return
    if embedded.coverage < SignatureCoverageLevel.ENTIRE_REVISION or _is_irregular(case, embedded):
        _forbid(signature)
        return
    result: DiffResult | SuspiciousModification = embedded.evaluate_modifications(DEFAULT_DIFF_POLICY)
    embedded.diff_result = result  # type: ignore[assignment]  # declared by its first value
    embedded._integrity_checked = True  # every part of it has run, in the order of our steps
    if not isinstance(result, DiffResult) or not embedded.summarise_integrity_info()["docmdp_ok"]:
        _forbid(signature)
        return
    after = [each for each in case.signatures if each.embedded and each.embedded.signed_revision > embedded.signed_revision]
    later = [each.field_name for each in after if each.kind is not SealKind.DOCUMENT_TIMESTAMP]
    filled = sorted(_refilled(case, embedded) - {each.field_name for each in after})
    _permit(signature, later, filled, result.modification_level)


def _is_irregular(case: Case, embedded: EmbeddedPdfSignature) -> bool:
    """Whether what was appended is no proper incremental update, though a lenient reader would take it.

    Irregular files mean different things to different readers ("incremental saving attack"). What was sealed that way stays as
    it was sealed; an addition that needs leniency to be read is not a permitted one.
    """
    end = int(embedded.byte_range[2]) + int(embedded.byte_range[3])
    added = case.document[end:].strip(_WHITE_SPACE)
    has_revision = case.readable.xrefs.total_revisions > embedded.signed_revision + 1
    if added and not (has_revision and added.endswith(b"%%EOF")):
        return True
    if case.strict:
        return False
    try:
        return not PdfFileReader(BytesIO(case.document[:end])).xrefs.hybrid_xrefs_present
    except misc.PdfReadError:
        return False


def _refilled(case: Case, embedded: EmbeddedPdfSignature) -> set[str]:
    """Form fields whose value or look is another than at sealing. (pyHanko's list names every field that it compared.)"""
    reader = case.readable
    before, now = _looks(reader.get_historical_root(embedded.signed_revision)), _looks(reader.root)
    return {name for name, look in now.items() if before.get(name) != look}


def _looks(root: DictionaryObject) -> dict[str, str]:
    """Value and appearance of each form field by its full name."""
    found: dict[str, str] = {}
    form = _member(root, "/AcroForm")
    waiting = [(field, "", 0) for field in _list(form, "/Fields")]
    while waiting and len(found) < MOST_FIELDS:
        field, parent, depth = waiting.pop()
        name = ".".join(filter(None, (parent, str(_member(field, "/T") or ""))))
        if depth < MOST_FIELD_LEVELS:
            waiting += [(kid, name, depth + 1) for kid in _list(field, "/Kids")]
        if _member(field, "/FT") == "/Sig":
            continue  # signatures are named as such
        look = [repr(_member(field, "/V")), *(repr(field.raw_get(key)) for key in ("/AP", "/AS") if key in field)]
        found[name] = found.get(name, "") + " ".join(look)
    return found


def _member(holder: Any, key: str) -> Any:
    return holder[key] if isinstance(holder, DictionaryObject) and key in holder else None


def _list(holder: Any, key: str) -> list[DictionaryObject]:
    array = _member(holder, key)
    items = [array[at] for at in range(len(array))] if isinstance(array, ArrayObject) else []
    return [each for each in items if isinstance(each, DictionaryObject)]


def _forbid(signature: Signature) -> None:
    signature.changed = _FORBIDDEN
    signature.findings.append(finding(FindingCode.CHANGED_AFTER_SEALING))


def _permit(signature: Signature, later: list[str], filled: list[str], level: ModificationLevel) -> None:
    names = (*map(plain, later), *map(plain, filled))
    if later:
        signature.findings.append(finding(FindingCode.SIGNED_LATER, ", ".join(map(plain, later))))
    if filled:
        signature.findings.append(finding(FindingCode.FORM_FILLED_LATER, ", ".join(map(plain, filled))))
    if not later and not filled:
        signature.findings.append(finding(FindingCode.HOUSEKEEPING_LATER))
    kinds = tuple(kind for kind, there in (("signature", later), ("form", filled), ("housekeeping", not later and not filled)) if there)
    assert level is not ModificationLevel.OTHER
    signature.changed = Changed(Change.PERMITTED, kinds, names)  # type: ignore[arg-type]
