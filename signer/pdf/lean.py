"""The lean writer: prepares documents without any oddity, in the signer itself (``crates/lean``).

The result means what ``signer.pdf.full.prepare`` makes: the same signature dictionary, field, marks, form, certification and warnings. Tests
hold the two together. Where the compiled core is not built, no document goes this way.
"""

from __future__ import annotations

from typing import Final

from sealcore import compiled
from sealcore.hashes import HashState
from signer.pdf.plan import Document, Plan, Prepared
from signer.pdf.reasons import (
    DYNAMIC_FORM,
    EXTERNAL,
    HIDDEN,
    JAVASCRIPT,
    LAUNCH,
    MARKED_LATER,
    MULTIMEDIA,
    PDFA_LOST,
    PDFUA_LOST,
    REDRAWN_FORM,
)

if compiled.AVAILABLE:
    from sealcore.compiled import core
    from signer.pdf.lean_plan import lean_plan

_WARNINGS: Final = (  # in the order of the core's
    JAVASCRIPT,
    LAUNCH,
    EXTERNAL,
    HIDDEN,
    MULTIMEDIA,
    DYNAMIC_FORM,
    REDRAWN_FORM,
    MARKED_LATER,
    PDFA_LOST,
    PDFUA_LOST,
)


def prepare_lean(document: Document, plan: Plan, state: HashState) -> Prepared | None:
    """The update for ``document`` as the plan says; None where the document is not fully understood or would be refused.

    ``state`` is that of the key's hash after the whole document, by ``sealcore.hashes.hash_state``. The same document and plan give the same
    update. Raises nothing: the sandbox judges and words the refusals.
    """
    outcome = prepared_or_why_not(document, plan, state)
    return outcome if isinstance(outcome, Prepared) else None


def warnings_of(numbers: bytes) -> tuple[str, ...]:
    """What the core's numbers of warnings stand for."""
    return tuple(_WARNINGS[each] for each in numbers)


def prepared_or_why_not(document: Document, plan: Plan, state: HashState) -> Prepared | str:
    """The same, with the reason why a document is left to the sandbox."""
    if not compiled.AVAILABLE:
        return "the compiled core is not built"
    if not isinstance(state, core.Hash):
        return "the document was hashed outside of the compiled core"
    try:
        outcome = core.prepare(document, state, lean_plan(plan))
    except ValueError as fault:
        return str(fault)
    if isinstance(outcome, str):
        return outcome
    suffix, (start, first, second, rest), digest, field_name, warnings = outcome
    return Prepared(suffix, first, plan.hole_size_bytes, (start, first, second, rest), digest, field_name, warnings_of(warnings))
