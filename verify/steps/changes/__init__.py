"""What was added to the file after each seal, and whether that may happen to a sealed document.

*Unchanged* and *permitted* are positive findings. What was appended must be a chain of proper updates (``revisions``), and each object
in it that differs from the sealed revision (``sealed``) must be claimed by one rule of a short list (``rules``): validation data
(``store``), signatures and document timestamps (``signing``), form fields filled in (``filling``, with all places where their values
stand: ``elsewhere``), the file's date and producer (``information``). Anything else is a change. ``verify.steps.drawing`` gives a second opinion, from the pages as they are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pyhanko.pdf_utils import misc
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from verify.codes import FindingCode
from verify.facts import Fact, fact, plain
from verify.opinion import Spot
from verify.report import Added, Answer, Change, Changed, finding
from verify.steps.case import Case, Signature
from verify.steps.changes.account import Addition, ChangedError
from verify.steps.changes.filling import locks_of
from verify.steps.changes.repairs import AmbiguousError, require_unambiguous
from verify.steps.changes.revisions import MOST_BLANK_BYTES, TooManyError, appended
from verify.steps.changes.rules import Permission, additions_of, by_field
from verify.steps.changes.sealed import SealedRevision, UnclearError
from verify.steps.changes.signing import end_of
from verify.steps.changes.values import IrregularError, from_pyhanko

_WHITE_SPACE = b"\0\t\n\f\r "
MOST_FACTS = 20  # of one finding
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


def check_changes(case: Case) -> None:
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
            signature.findings.append(finding(FindingCode.CHANGED_AFTER_SEALING, change.fact))
        except UnclearError as unclear:
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, unclear.fact))
        except TooManyError:
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, fact("many_objects")))
        except Exception as fault:  # noqa: BLE001  (a comparison that cannot be made is no clean bill)
            signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, fact("technical", name=type(fault).__name__)))


def _examine(case: Case, signature: Signature, embedded: EmbeddedPdfSignature) -> None:
    if any(each.code == FindingCode.NOT_INTACT for each in signature.findings):
        signature.changed = _FORBIDDEN  # the sealed bytes themselves are others; the step of integrity has said so
        return
    if signature.covers_file:
        signature.changed = _UNCHANGED
        return
    if embedded.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        raise ChangedError("revision_not_covered")
    end = end_of(signature)
    if not case.document[end:].strip(_WHITE_SPACE) and len(case.document) - end <= MOST_BLANK_BYTES:
        signature.changed = _UNCHANGED
        return
    sealed = SealedRevision(case.document[:end], case.strict)
    revisions = appended(case.document, end, sealed.section)
    if sealed.is_encrypted:
        signature.findings.append(finding(FindingCode.CHANGES_UNKNOWN, fact("encrypted")))
        return
    permission = Permission(signature.certification, locks_of(from_pyhanko(embedded.sig_object.get("/Reference"))))
    later = [each for each in case.signatures if each.embedded is not None and end_of(each) > end]
    _report(signature, additions_of(sealed, revisions, by_field(later), permission))
    try:
        require_unambiguous(sealed)
    except AmbiguousError as hidden:
        signature.changed = replace(signature.changed, state=Change.UNKNOWN)
        signature.findings.append(finding(FindingCode.READERS_MAY_DIFFER, hidden.fact))


def _report(signature: Signature, additions: list[Addition]) -> None:
    told = [each for addition in additions for each in _told(addition)]
    kinds = {each.kind: None for each in told}
    names = {each.field: None for each in told if each.field}
    for code in {_CODES[addition.kind]: None for addition in additions}:
        signature.findings.append(finding(code, *_distinct(_fact(each) for each in told if _CODES[each.kind] is code)))
    unknown = [addition for addition in additions if not addition.trusted]
    if unknown:
        signature.findings.append(finding(FindingCode.SIGNER_UNKNOWN_LATER, *_named(unknown)))
    replaced = [(addition.name, *addition.replaced) for addition in additions if addition.replaced is not None]
    if replaced:
        facts = _distinct(fact("replaced", name=name, old=old, new=new or "–") for name, old, new in replaced)
        signature.findings.append(finding(FindingCode.VALUE_REPLACED_LATER, *facts))
    unproven = [addition for addition in additions if not addition.proven]
    if unproven:
        signature.findings.append(finding(FindingCode.FILLING_UNPROVEN, *_named(unproven)))
    signature.spots = tuple(
        Spot(place.page, place.rectangle, covers=addition.kind != "form") for addition in additions for place in addition.places
    )
    state = Change.UNKNOWN if unknown or unproven else Change.PERMITTED if told else Change.NONE
    signature.changed = Changed(state, tuple(kinds), tuple(names), tuple(told))


def _told(addition: Addition) -> list[Added]:
    trusted = Answer.YES if addition.trusted else Answer.UNKNOWN
    one = Added(addition.kind, plain(addition.name), addition.signer, trusted)
    return [Added(one.kind, one.field, one.signer, trusted, each.page, each.rectangle) for each in addition.places] or [one]


def _distinct(facts: Iterable[Fact | None]) -> list[Fact]:
    """Each once; of more than a reader takes in, the first and how many there are."""
    found = list({repr(each): each for each in facts if each is not None}.values())
    more = len(found) - MOST_FACTS
    return found if more <= 0 else [*found[:MOST_FACTS], fact("and_more", count=more)]


def _named(additions: Iterable[Addition]) -> list[Fact]:
    return _distinct(fact("named", name=each.name) for each in additions)


def _fact(added: Added) -> Fact | None:
    """``Later: Example Ltd, page 1 at 100 100 200 150``; None where there is nothing to say."""
    if added.signer:
        what = fact("signed_by", name=added.field, signer=added.signer)
    elif added.field:
        what = fact("named", name=added.field)
    else:
        return None
    if added.page is None or added.rectangle is None:
        return what
    return fact("at_place", what=what, page=added.page, rectangle=" ".join(f"{each:g}" for each in added.rectangle))
