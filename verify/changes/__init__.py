"""Step 6: what was added to the file after each seal, and whether that may happen to a sealed document.

*Unchanged* and *permitted* are positive findings. What was appended must be a chain of proper updates (``revisions``), and each object
in it that differs from the sealed revision (``sealed``) must be claimed by one rule of a short list (``rules``): validation data
(``store``), signatures and document timestamps (``signing``), form fields filled in (``filling``), the file's date and producer
(``information``). Anything else is a change. ``verify.looks`` gives a second opinion, from the pages as they are drawn.
"""

from __future__ import annotations

from dataclasses import replace

from pyhanko.pdf_utils import misc
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from verify.case import Case, Signature, plain
from verify.changes.account import Addition, ChangedError
from verify.changes.filling import locks_of
from verify.changes.repairs import AmbiguousError, require_unambiguous
from verify.changes.revisions import MOST_BLANK_BYTES, TooManyError, appended
from verify.changes.rules import Permission, additions_of, by_field
from verify.changes.sealed import SealedRevision, UnclearError
from verify.changes.signing import end_of
from verify.changes.values import IrregularError, from_pyhanko
from verify.codes import FindingCode
from verify.looks import Spot
from verify.report import Added, Answer, Change, Changed, finding

_WHITE_SPACE = b"\0\t\n\f\r "
_MOST_DETAIL = 400  # characters of what was entered
_UNCHANGED = Changed(Change.NONE)
_FORBIDDEN = Changed(Change.FORBIDDEN, ("content",))
_CODES = {
    "seal": FindingCode.SIGNED_LATER,
    "signature": FindingCode.SIGNED_LATER,
    "document_timestamp": FindingCode.TIMESTAMPED_LATER,
    "validation_data": FindingCode.VALIDATION_DATA_LATER,
    "form": FindingCode.FORM_FILLED_LATER,
    "document_information": FindingCode.INFORMATION_LATER,
}


def step_6_changes(case: Case) -> None:
    """For each signature: nothing, only additions of a permitted kind, or more."""
    for signature in case.signatures:
        if signature.embedded is None or signature.embedded.coverage is None:
            continue
        try:
            _examine(case, signature, signature.embedded)
        except misc.PdfStrictReadError:
            raise
        except (ChangedError, IrregularError) as change:
            signature.changed = _FORBIDDEN
            signature.findings.append(finding(FindingCode.CHANGED_AFTER_SEALING, plain(str(change))))
        except UnclearError as unclear:
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, str(unclear)))
        except TooManyError:
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, "too many objects"))
        except Exception as fault:  # noqa: BLE001  (a comparison that cannot be made is no clean bill)
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, type(fault).__name__))


def _examine(case: Case, signature: Signature, embedded: EmbeddedPdfSignature) -> None:
    if any(each.code == FindingCode.NOT_INTACT for each in signature.findings):
        signature.changed = _FORBIDDEN  # the sealed bytes themselves are others; step 3 has said so
        return
    if signature.covers_file:
        signature.changed = _UNCHANGED
        return
    if embedded.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        raise ChangedError("the signature does not cover its whole revision")
    end = end_of(signature)
    if not case.document[end:].strip(_WHITE_SPACE) and len(case.document) - end <= MOST_BLANK_BYTES:
        signature.changed = _UNCHANGED
        return
    sealed = SealedRevision(case.document[:end], case.strict)
    revisions = appended(case.document, end, sealed.section)
    if sealed.is_encrypted:
        signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, "encrypted"))
        return
    permission = Permission(signature.certification, locks_of(from_pyhanko(embedded.sig_object.get("/Reference"))))
    later = [each for each in case.signatures if each.embedded is not None and end_of(each) > end]
    _report(signature, additions_of(sealed, revisions, by_field(later), permission))
    try:
        require_unambiguous(sealed)
    except AmbiguousError as hidden:
        signature.changed = replace(signature.changed, state=Change.UNKNOWN)
        signature.findings.append(finding(FindingCode.READERS_MAY_DIFFER, str(hidden)))


def _report(signature: Signature, additions: list[Addition]) -> None:
    told = [each for addition in additions for each in _told(addition)]
    kinds = {each.kind: None for each in told}
    names = {each.field: None for each in told if each.field}
    for code in {_CODES[addition.kind]: None for addition in additions}:
        details = {_detail(each): None for each in told if _CODES[each.kind] is code}
        signature.findings.append(finding(code, "; ".join(filter(None, details))))
    unknown = [addition for addition in additions if not addition.trusted]
    if unknown:
        signature.findings.append(finding(FindingCode.SIGNER_UNKNOWN_LATER, plain(", ".join(each.name for each in unknown))))
    replaced = [f"{addition.name}: {addition.replaced}" for addition in additions if addition.replaced]
    if replaced:
        signature.findings.append(finding(FindingCode.VALUE_REPLACED_LATER, _shortened(plain("; ".join(replaced)))))
    unproven = [addition.name for addition in additions if not addition.proven]
    if unproven:
        signature.findings.append(finding(FindingCode.FILLING_UNPROVEN, plain(", ".join(unproven))))
    signature.spots = tuple(
        Spot(place.page, place.rectangle, covers=addition.kind != "form") for addition in additions for place in addition.places
    )
    state = Change.UNKNOWN if unknown or unproven else Change.PERMITTED if told else Change.NONE
    signature.changed = Changed(state, tuple(kinds), tuple(names), tuple(told))


def _told(addition: Addition) -> list[Added]:
    trusted = Answer.YES if addition.trusted else Answer.UNKNOWN
    one = Added(addition.kind, plain(addition.name), addition.signer, trusted)
    return [Added(one.kind, one.field, one.signer, trusted, each.page, each.rectangle) for each in addition.places] or [one]


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_DETAIL else f"{text[:_MOST_DETAIL]}…"


def _detail(added: Added) -> str:
    """``Later: Example Ltd, page 1 at 100 100 200 150``."""
    text = f"{added.field}: {added.signer}" if added.signer else added.field
    if added.page is None or added.rectangle is None:
        return text
    return f"{text}, page {added.page} at {' '.join(f'{each:g}' for each in added.rectangle)}"
