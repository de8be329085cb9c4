"""The quick account (``crates/readback``): an update in the lean writer's spelling, compared byte for byte with what plan and document ask for.

A mark's appearance is judged in full once, by ``appearance``; the core recognises later ones by those that were judged. It never refuses: what
is not recognised goes to the general account.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from sealcore import compiled
from sealcore.hashes import HashState
from signer.pdf.plan import Document, Plan
from signer.pdf.readback.appearance import Look, check_look, looks_of
from signer.pdf.readback.hole import Hole
from signer.pdf.readback.syntax import Ref, UnreadableError
from signer.pdf.readback.update import Object, read_object

if compiled.AVAILABLE:
    from sealcore.compiled import core
    from signer.pdf.readback.expected import expected

_LARGEST_PICTURE_BYTES: Final = 1024 * 1024
_SHOWN: Final = re.compile(rb"/Picture ([1-9]\d{0,9}) 0 R")
_REFERENCES: Final = re.compile(
    rb"(\((?>[^()\\]++|\\.)*+\)|<[0-9A-Fa-f\x00\t\n\x0c\r ]*+>|\\.)|(?<![0-9.+-])([1-9]\d{0,9}) 0 R(?![A-Za-z0-9])", re.DOTALL
)
_ODD: Final = (UnreadableError, ValueError, LookupError, OverflowError, TypeError, AttributeError, RecursionError)

Bodies = Callable[[int], bytes]
"""The bytes between ``obj`` and ``endobj``, by object number; LookupError if the update has no such object."""
_Pieces = list[bytes | int]  # of an object's body: a number n stands for a reference to the n-th object after the first


class Recognised(NamedTuple):
    """The hole of an update that holds what its plan asks for and nothing else, and the digest over document and update without it."""

    hole: Hole
    digest: bytes


class KnownLooks:
    """The appearances that were judged. One that is not known is judged in full again, so forgetting one costs only time. Thread-safe."""

    def __init__(self) -> None:
        self.compiled = core.Looks() if compiled.AVAILABLE else None

    def recognised(self, document: Document, state: HashState, suffix: bytes, plan: Plan) -> Recognised | None:
        """None where a single byte differs from what was to be expected, or where that cannot be told quickly.

        state  of the signature's hash after the whole document
        """
        if self.compiled is None:
            return None
        if not isinstance(state, core.Hash):
            return None
        try:
            told = expected(plan)
            found = core.account(document, state, suffix, told, self.compiled)
            if found is not None and len(found) == 2:
                unjudged, bodies = found
                self._judge(unjudged, {number: suffix[start:stop] for number, start, stop in bodies}, plan)
                found = core.account(document, state, suffix, told, self.compiled)
        except _ODD:
            return None
        if found is None or len(found) == 2:
            return None
        start, end, digest = found
        return Recognised(Hole(start, end), digest)

    def _judge(self, unjudged: Sequence[tuple[int, int, int, bool]], bodies: Mapping[int, bytes], plan: Plan) -> None:
        """Judges appearances in full and keeps them; UnreadableError where one shows something else."""
        looks = looks_of(plan.placement)
        for index, number, rotation, may_be_opaque in unjudged:
            look = looks[index]
            try:
                met, opaque = _met(look, rotation, number, bodies.__getitem__, plan.pictures), False
            except UnreadableError:
                if not may_be_opaque:
                    raise
                # Kept apart from the others, since it is right in some documents only.
                met, opaque = _met(look, rotation, number, bodies.__getitem__, plan.pictures, opaque=True), True
            shown = _SHOWN.search(met[number])
            pieces = _pieces(met, number, int(shown[1])) if shown is not None else None
            if shown is None or pieces is None or self.compiled is None:
                raise UnreadableError("an appearance is spelled in a way that cannot be recognised again")
            box = look.rectangle
            key = (look.picture_sha256, box.x1 - box.x0, box.y1 - box.y0, look.slice_number, look.slices, rotation, opaque)
            self.compiled.learn(key, met[number][: shown.start(1)], met[number][shown.end(1) :], pieces)


def _met(
    look: Look, rotation: int, number: int, bodies: Bodies, pictures: Mapping[bytes, bytes], *, opaque: bool = False
) -> dict[int, bytes]:
    """The bodies of all objects that make up the mark's appearance, once it was judged."""
    met: dict[int, bytes] = {}

    def take(reference: Ref) -> Object:
        if reference.generation:
            raise UnreadableError("what is new has no generation")
        met[reference.number] = bodies(reference.number)
        return read_object(met[reference.number] + b"\nendobj", 0, 0)[0]

    check_look(take, Ref(number, 0), look, rotation, pictures, opaque=opaque)
    return met


def _pieces(met: Mapping[int, bytes], number: int, last: int) -> list[_Pieces] | None:
    """The picture's objects, if they are numbered in one run, as the lean writer does, and so can be spelled again for other numbers."""
    numbers = sorted(met.keys() - {number})
    first = last - len(numbers) + 1
    if numbers != list(range(first, last + 1)) or sum(map(len, met.values())) > _LARGEST_PICTURE_BYTES:
        return None
    pieces = [_pieces_of(met[each], first, last) for each in numbers]
    return None if None in pieces else [each for each in pieces if each is not None]


def _pieces_of(body: bytes, first: int, last: int) -> _Pieces | None:
    """None if the object refers to one that does not belong to the picture."""
    head = body.partition(b"\nstream\n")[0]
    pieces: _Pieces = []
    position = 0
    for match in _REFERENCES.finditer(head):
        if match[1] is not None:
            continue
        if not first <= int(match[2]) <= last:
            return None
        pieces += [body[position : match.start()], int(match[2]) - first]
        position = match.end()
    return [*pieces, body[position:]]
