"""Which way documents are sealed: by the lean writer and the quick account, or in the sandbox; and why not the lean one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sealcore.errors import VermilionError
from sealcore.hashes import hash_state
from signer.pdf.lean import prepared_or_why_not
from signer.pdf.plan import Plan, Prepared
from signer.pdf.readback.quick_account import KnownLooks
from signer.pdf.reasons import REPAIRED

SealInGeneral = Callable[[bytes, Plan], Prepared]
"""By the general writer; VermilionError where the document is refused."""

BROKEN: Final = "broken, and mended in the update"
TABLES: Final = "a table of contents that some readers follow and others rebuild"
PAGES: Final = "a page tree that readers climb in different ways"
SPELLING: Final = "objects that readers take in different ways"
UNNAMED: Final = "another reason"
ACCOUNT: Final = "lean, but for the general account"
NO_CORE: Final = "the compiled core is not built"
CLASSES: Final[Mapping[str, str]] = {
    "a cross-reference table has an odd row": TABLES,
    "a cross-reference table has an odd end": TABLES,
    "a cross-reference stream has another size than it says": TABLES,
    "there is no cross-reference section where one should be": TABLES,
    "a node of the page tree has another parent": PAGES,
    "a page stands within its parent": PAGES,
    "a page's box is odd": PAGES,
    "there is no catalog": PAGES,
    "there is no reference where one should be": PAGES,
    "a value cannot be read": SPELLING,
    "an object ends oddly": SPELLING,
    "an object stream has an odd head": SPELLING,
    NO_CORE: NO_CORE,
}
"""What docs/benchmarks.md says of each reason of the lean writer that is met."""


@dataclass
class Ways:
    """Of many documents: which way each of them is sealed."""

    lean: int = 0
    refused: int = 0
    others: Counter[str] = field(default_factory=Counter)
    unnamed: set[str] = field(default_factory=set)

    @property
    def sealed(self) -> int:
        """How many are sealed at all."""
        return self.lean + self.others.total()

    @property
    def share(self) -> float:
        """Of all that are sealed, those that go the whole lean way; 0 where none is sealed."""
        return self.lean / self.sealed if self.sealed else 0.0

    def note(self, document: bytes, plan: Plan, in_general: SealInGeneral, known: KnownLooks) -> None:
        """One more document."""
        state = hash_state("sha256", document)
        outcome = prepared_or_why_not(document, plan, state)
        if isinstance(outcome, Prepared):
            if outcome.field_name == plan.field_name and known.recognised(document, state, outcome.suffix, plan) is not None:
                self.lean += 1
            else:
                self.others[ACCOUNT] += 1
            return
        try:
            warnings = in_general(document, plan).warnings
        except VermilionError:
            self.refused += 1
            return
        name = BROKEN if REPAIRED in warnings else CLASSES.get(outcome, UNNAMED)
        self.others[name] += 1
        if name == UNNAMED:
            self.unnamed.add(outcome)


def ways(documents: Iterable[bytes], plan: Plan, in_general: SealInGeneral) -> Ways:
    """Of these documents, sealed as ``plan`` says."""
    told, known = Ways(), KnownLooks()
    for document in documents:
        told.note(document, plan, in_general, known)
    return told
