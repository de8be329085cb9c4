"""A batch on its way through the signer, with one type for each stage. Each can only be made from the one before.

    Received → Admitted → Intended → Prepared → Signed → Timestamped → Filled → Verified

So a document that the gate did not admit has no key to be signed with, and one that was not signed, timestamped and read back
cannot be committed. Documents that a stage refuses stay behind in their ``Batch``; the others go on.

The stages' types are named tuples: as immutable as a frozen dataclass, and made in two thirds of the time, which counts at seven a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from sealcore import compiled
from sealcore.errors import VermilionError
from sealcore.hashes import HashState, hash_state
from signer.gate import AdmittedItem
from signer.model import Call, ItemRequest, Outcome, Result, SealedUse
from signer.pdf.plan import Plan
from signer.pdf.plan import Prepared as Update
from signer.pdf.readback.accounted import Accounted, account_for
from signer.pdf.readback.quick_account import KnownLooks
from signer.pipeline.commit import Finished
from signer.pipeline.keys import SealKey
from signer.uses.store import Intent

if compiled.AVAILABLE:
    from sealcore.compiled import core


class Group(Protocol):
    """Documents of one call. Each gets one outcome: some with the batch, some later and from any thread.

    ``overrun`` reports, before the outcome, a document that exceeded the sandbox's limits (``signer.front.overruns``).
    """

    @property
    def call(self) -> Call: ...
    @property
    def requests(self) -> Sequence[ItemRequest]: ...
    def answer(self, outcomes: Sequence[Outcome]) -> None: ...
    def answer_later(self, outcomes: Sequence[Outcome]) -> None: ...
    def overrun(self, request: ItemRequest, reason: str, *, proven: bool) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """A document as it came. Told apart by identity: the same document may come twice in a batch."""

    group: Group
    request: ItemRequest


class Admitted(NamedTuple):
    """A document that passed the gate, with the key that its token lets it be signed with."""

    received: Received
    item: AdmittedItem
    key: SealKey

    def digest(self) -> HashState:
        """The state of the signature's hash after the whole document; it never changes."""
        # SHA-256 was computed at the gate in the same pass that proved the bytes; another hash
        # (SHA-384 with P-384) costs a second one.
        hash_name = self.key.template.hash_name
        return self.item.digest if hash_name == "sha256" else hash_state(hash_name, self.item.request.document)


class Intended(NamedTuple):
    """A document whose use belongs to this attempt."""

    admitted: Admitted
    intent: Intent


class Prepared(NamedTuple):
    """A document with an update that was accounted for; what is signed is the digest in ``accounted``, not the writer's word for it.

    accounted  in the form of the compiled core wherever that is there
    warnings   of the writer
    """

    intended: Intended
    accounted: Accounted | core.Accounted
    warnings: tuple[str, ...]


class Signed(NamedTuple):
    """A document with its signature value."""

    prepared: Prepared
    signature: bytes


class Timestamped(NamedTuple):
    """A signed document with its timestamp token."""

    signed: Signed
    token: bytes


class Filled(NamedTuple):
    """A timestamped document with its sealed update."""

    timestamped: Timestamped
    suffix: bytes


class Verified(NamedTuple):
    """A sealed document that was read back: all that is missing is Commit."""

    received: Received
    finished: Finished


def accept(intended: Intended, update: Update, plan: Plan, known: KnownLooks) -> Prepared:
    """Holds a writer's update against the document and the plan before anything is signed; DOCUMENT_READBACK.

    So whoever takes a writer over gets no other digest signed (I2), and no update with more than the approved marks (I4).
    """
    admitted = intended.admitted
    accounted = account_for(admitted.item.request.document, admitted.digest(), update, plan, known)
    if not compiled.AVAILABLE:
        return Prepared(intended, accounted, update.warnings)
    held = core.Accounted(accounted.update, accounted.hole, accounted.digest, accounted.hash_name)
    return Prepared(intended, held, update.warnings)


class Batch:
    """The documents that go through the stages together, and the result of each that has ended.

    groups    their documents, in the order in which they came
    admitted  by the gate
    begun     the attempts of this batch, to be given up where they come to nothing
    """

    def __init__(self, groups: Mapping[Group, Sequence[Received]]) -> None:
        self.groups = groups
        self.admitted: Sequence[Admitted] = ()
        self.begun: Sequence[Intended] = ()
        self._results: dict[Received, Result] = {}
        self._detached: set[Received] = set()

    @classmethod
    def of(cls, groups: Iterable[Group]) -> Batch:
        """All documents of these groups."""
        return cls({group: [Received(group, request) for request in group.requests] for group in groups})

    def __len__(self) -> int:
        return sum(map(len, self.groups.values()))

    @property
    def ended(self) -> int:
        """How many documents have a result."""
        return len(self._results)

    def end(self, document: Received, result: Result) -> None:
        """The document has this result and goes no further."""
        self._results[document] = result

    def refuse(self, document: Received, refusal: VermilionError) -> None:
        """Ends the document with a refusal that names it."""
        name = refusal.document or document.request.name or str(document.request.index)
        self.end(document, VermilionError(refusal.code, refusal.reason, document=name, rule=refusal.rule))

    def end_rest(self, fault: VermilionError) -> None:
        """The same refusal for every document of this batch that has no result yet."""
        for documents in self.groups.values():
            for document in documents:
                if document not in self._detached:
                    # A result that a document has already stays: it may be sealed, and a later
                    # failure of the batch does not change that.
                    self._results.setdefault(document, fault)

    def detach(self, document: Received) -> None:
        """The document goes on by itself, in a batch of its own."""
        self._detached.add(document)

    def outcomes(self, group: Group) -> list[Outcome]:
        """Of those documents of a group that have ended, in order."""
        results = self._results
        return [Outcome(document.request.index, results[document]) for document in self.groups[group] if document in results]

    def failed(self) -> list[Intent]:
        """The attempts that came to nothing."""
        # Documents beside the batch have no result here yet; their attempts are given up where they
        # end.
        refused = (one.intent for one in self.begun if isinstance(self._results.get(one.admitted.received), VermilionError))
        return list(refused)


def label(result: Result) -> str:
    """What the metrics call a result."""
    if isinstance(result, SealedUse):
        return "repeated" if result.repeated else "sealed"
    return str(result.code)
