"""An account of everything that differs between a sealed revision and the present one.

Each object that was written after sealing is claimed by exactly one rule, and each rule is a positive finding: what the object is,
where it hangs, that nothing else refers to it. An object that nobody claims is a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from verify.facts import Fact, FactError, fact
from verify.steps.changes.revisions import Revision, Written
from verify.steps.changes.sealed import SealedRevision
from verify.steps.changes.values import Ref, Stream, Value, is_number, same

Kind = Literal["seal", "signature", "document_timestamp", "validation_data", "form", "document_information"]
Rectangle = tuple[float, float, float, float]
_CARRIER, _AS_BEFORE = Fact("carrier"), Fact("as before")  # claims that no finding tells
RESOURCES = fact("part_resources")
_STRUCTURE = {"/Catalog", "/Pages", "/Page", "/XRef", "/ObjStm"}  # what readers search for in a file that they find damaged


class ChangedError(FactError):
    """Something was changed that no rule allows, and what."""


@dataclass(frozen=True)
class Place:
    """Where something shows: a page, from 1, and a rectangle in its coordinates (left, bottom, right, top)."""

    page: int
    rectangle: Rectangle


@dataclass
class Addition:
    """One thing that was added: ``ref`` is its field's, ``is_new`` whether the field was added too, ``places`` where it shows.

    ``proven`` is False where it is of a permitted kind, but what it shows cannot be told. ``replaced`` says the value that a
    field had when it was sealed, and the one it has now, where another was put in its place.
    """

    kind: Kind
    name: str = ""
    ref: Ref | None = None
    signer: str = ""
    trusted: bool = True
    is_new: bool = False
    proven: bool = True
    replaced: tuple[str, str] | None = None
    places: list[Place] = field(default_factory=list)


class Account:
    """What differs, who claims it, and what was found to have been added."""

    def __init__(self, sealed: SealedRevision, revisions: Sequence[Revision]) -> None:
        self.sealed = sealed
        self.revisions = revisions
        self.additions: list[Addition] = []
        self.gained_fonts: set[str] = set()  # names of fonts that the form's resources have gained
        self.drafts: list[Value] = []  # what an allowed object holds itself; some writers leave a copy behind that nothing refers to
        self.signed_until = 0  # where the bytes end that later sound signatures cover
        self.unclear: list[Fact] = []  # what in the sealed revision keeps anything from being said, if nothing else is a change
        self._written: dict[int, Written] = {}
        self._claims: dict[int, Fact] = {}
        carriers, freed = self._follow()
        self._sites = sealed.sites(self._written.keys() | freed)
        self._claim_untold(carriers, freed)

    def _follow(self) -> tuple[set[int], set[int]]:
        """Notes what each number holds after all updates; gives the numbers of carriers, and those that were freed."""
        carriers: set[int] = set()
        holders: set[int] = set()
        freed: set[int] = set()
        lengths: dict[int, int] = {}
        for revision in self.revisions:
            if holders & revision.objects.keys():
                raise ChangedError("object_stream_overwritten")
            holders |= {each.holder for each in revision.objects.values() if each.holder is not None}
            freed |= revision.freed
            # Readers that honour the free entry would miss an object that others still find.
            if revision.freed & self._written.keys():
                raise ChangedError("object_deleted")
            lengths = {stream: length for stream, length in lengths.items() if stream not in revision.objects}
            for length in set(lengths.values()) & revision.objects.keys():
                if not same(self._written[length].value, revision.objects[length].value):
                    raise ChangedError("stream_length_changed")
            lengths |= revision.lengths
            # A number that carried something in one update and holds content in a later one is
            # content.
            carriers = (carriers - revision.objects.keys()) | revision.carriers
            self._written |= revision.objects
        return carriers, freed

    def _claim_untold(self, carriers: set[int], freed: set[int]) -> None:
        """Claims what needs no rule: carriers, and objects that are as they were sealed."""
        sealed = self.sealed
        size = sealed.trailer.get("/Size")
        if any(self._sites[number] or type(size) is not int or number < size for number in freed):  # a number that none had is none
            raise ChangedError("object_deleted")
        # A carrier is excused without a rule, so nothing that is sealed may refer to it: else the
        # document's own content would be replaced unseen.
        for number in carriers:
            if self._sites[number]:
                raise ChangedError("object_overwritten", number=number)
            self._claims[number] = _CARRIER
        for number, written in self._written.items():
            # Some writers write objects again as they are. Not so for a number to which nothing
            # sealed refers: a rule has to say what it is for now.
            if self._sites[number] and sealed.has(written.ref) and same(sealed.get(written.ref), written.value):
                self._claims[number] = _AS_BEFORE

    def differs(self, value: Value) -> bool:
        """Whether ``value`` leads to an object that was written after sealing and is not what it was."""
        return isinstance(value, Ref) and value.number in self._written and self._claims.get(value.number) != _AS_BEFORE

    def now(self, value: Value) -> Value:
        """What ``value`` is or leads to at present."""
        if not isinstance(value, Ref) or value.number not in self._written:
            return self.sealed.get(value)
        written = self._written[value.number]
        if written.ref != value:
            raise ChangedError("object_generation", number=value.number)
        return written.value

    def take(self, ref: Value, rule: Fact, *, before: int | None = None) -> Value:
        """Claims a new object, to which nothing refers that is sealed; ``before`` is where its last writing has to lie."""
        if not isinstance(ref, Ref) or ref.number not in self._written:
            raise ChangedError("refers_elsewhere", part=rule)
        if self._sites[ref.number]:
            raise ChangedError("overwrites_sealed", part=rule, number=ref.number)
        return self._claim(ref, rule, before)

    def rewritten(self, ref: Ref, rule: Fact, *, sites: int | None = None, before: int | None = None) -> Value:
        """Claims an object of the sealed revision that was written anew; ``sites`` is how often the sealed revision may refer to it."""
        if sites is not None and self._sites[ref.number] != sites:
            raise ChangedError("object_shared", part=rule, number=ref.number)
        return self._claim(ref, rule, before)

    def _claim(self, ref: Ref, rule: Fact, before: int | None) -> Value:
        written = self._written[ref.number]
        # One object under two rules could be harmless for each and not for both: a look that is
        # also a page's content, say.
        if written.ref != ref or self._claims.setdefault(ref.number, rule) != rule:
            raise ChangedError("object_shared", part=rule, number=ref.number)
        if before is not None and written.at >= before:
            raise ChangedError("object_changed_again", part=rule, number=ref.number)
        return written.value

    def take_static(self, ref: Value, rule: Fact) -> None:
        """Claims new objects from here on down, as many as there are; what is sealed is left as it is."""
        waiting, seen = [ref], set[Ref]()
        while waiting:
            each = waiting.pop()
            if isinstance(each, Ref) and each not in seen and self.differs(each):
                seen.add(each)
                each = self.take(each, rule)
            waiting.extend(
                each.entries.values()
                if isinstance(each, Stream)
                else each.values()
                if isinstance(each, dict)
                else each
                if isinstance(each, list)
                else ()
            )

    def sites(self, ref: Ref) -> int:
        """How often what is sealed refers to an object that was written anew."""
        return self._sites[ref.number]

    def is_claimed(self, ref: Value, key: str) -> bool:
        """Whether a rule whose fact has this key has claimed it."""
        return isinstance(ref, Ref) and ref.number in self._claims and self._claims[ref.number].key == key

    def is_sealed(self, ref: Ref) -> bool:
        """Whether it leads to an object of the sealed revision that is as it was."""
        return not self.differs(ref) and self.sealed.has(ref)

    def opened(self, old: Value, new: Value, rule: Fact, *, before: int | None = None) -> tuple[Value, Value]:
        """What stood at one place of the file and what stands there now; claims the objects that hold it.

        A place may not be pointed to another object of the sealed revision.
        """
        was = self.sealed.get(old)
        if not isinstance(new, Ref):
            return was, new
        if not self.differs(new):
            if not same(old, new):
                raise ChangedError("taken_from_elsewhere", part=rule)
            return was, was
        # One site only: an object that stands in a second place would change there too, where no
        # rule has looked.
        if same(old, new):
            return was, self.rewritten(new, rule, sites=1, before=before)
        return was, self.take(new, rule, before=before)

    def close(self) -> None:
        """Raises ChangedError where an object is left over.

        Writers leave drafts behind: an object that nothing refers to, in the bytes that a later sound signature covers, is none.
        """
        named = {ref.number for number in self._claims.keys() & self._written.keys() for ref in references(self._written[number].value)}
        for number in sorted(self._written.keys() - self._claims.keys()):
            written = self._written[number]
            entries = written.value.entries if isinstance(written.value, Stream) else written.value
            kind = entries.get("/Type") if isinstance(entries, dict) else None
            is_structure = isinstance(kind, Ref) or kind in _STRUCTURE
            if not self._sites[number] and number not in named and any(same(written.value, each) for each in self.drafts):
                continue
            if self._sites[number] or number in named or written.at >= self.signed_until or is_structure:
                raise ChangedError("object_unclaimed", number=number)


def references(value: Value) -> Iterator[Ref]:
    """Every reference in a value; none is followed."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Ref):
            yield each
        elif isinstance(each, Stream):
            waiting.append(each.entries)
        elif isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def members(value: Value, what: Fact) -> dict[str, Value]:
    """``value`` as a dictionary."""
    if not isinstance(value, dict):
        raise ChangedError("not_a_dictionary", part=what)
    return value


def require_same(old: dict[str, Value], new: dict[str, Value], what: Fact, but: set[str]) -> None:
    """Nothing differs but entries of these names."""
    for key in (old.keys() | new.keys()) - but:
        if not same({key: old[key]} if key in old else {}, {key: new[key]} if key in new else {}):
            raise ChangedError("entry_changed", part=what, entry=key)


def require_only(found: dict[str, Value], what: Fact, allowed: set[str]) -> None:
    """No entries but these."""
    others = found.keys() - allowed
    if others:
        raise ChangedError("entry_not_allowed", part=what, entry=min(others))


def added(account: Account, old: Value, new: Value, what: Fact) -> list[Value]:
    """What an array of references has gained at its end; the rest is as it was."""
    before, now = account.opened(old, new, what)
    if before is None:
        before = []
    if not isinstance(before, list) or not isinstance(now, list) or not same(before, now[: len(before)]):
        raise ChangedError("part_changed", part=what)
    return now[len(before) :]


def rectangle_of(value: Value, what: Fact) -> Rectangle:
    """Four plain numbers as left, bottom, right, top."""
    if not isinstance(value, list) or len(value) != 4 or not all(map(is_number, value)):
        raise ChangedError("rectangle_not_plain", part=what)
    x0, y0, x1, y1 = map(float, value)
    return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def shows(rectangle: Rectangle) -> bool:
    """Whether it has any area."""
    left, bottom, right, top = rectangle
    return right > left and top > bottom


def plain_leaves(value: Value) -> bool:
    """Whether it holds neither references nor streams."""
    if isinstance(value, dict):
        return all(map(plain_leaves, value.values()))
    if isinstance(value, list):
        return all(map(plain_leaves, value))
    return not isinstance(value, Ref | Stream)
