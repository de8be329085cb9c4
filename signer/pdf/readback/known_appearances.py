"""Appearances of marks that were judged in full before, recognised byte for byte although their objects have other numbers this time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from signer.pdf.readback.appearance import Look, check_look
from signer.pdf.readback.syntax import Ref, UnreadableError
from signer.pdf.readback.update import Object, read_object

_MOST_KNOWN: Final = 1024
_MOST_PICTURES: Final = 64
_LARGEST_PICTURE_BYTES: Final = 1024 * 1024
_SHOWN: Final = re.compile(rb"/Picture ([1-9]\d{0,9}) 0 R")
_REFERENCES: Final = re.compile(
    rb"(\((?>[^()\\]++|\\.)*+\)|<[0-9A-Fa-f\x00\t\n\x0c\r ]*+>|\\.)|(?<![0-9.+-])([1-9]\d{0,9}) 0 R(?![A-Za-z0-9])", re.DOTALL
)

Bodies = Callable[[int], bytes]
"""The bytes between ``obj`` and ``endobj``, by object number; LookupError if the update has no such object."""
_Key = tuple[bytes, int, int, int, int, int]
_Parts = tuple[bytes | int, ...]  # of an object's body: a number n stands for a reference to the n-th object after the first


class KnownLooks:
    """Kept by who prepares documents. An appearance that is not recognised is judged in full again, so forgetting one costs only time."""

    def __init__(self) -> None:
        self._looks: dict[_Key, tuple[bytes, bytes]] = {}
        self._pictures: dict[bytes, list[_Parts]] = {}
        self._latest: dict[bytes, tuple[int, list[bytes]]] = {}

    def used(self, look: Look, rotation: int, number: int, bodies: Bodies, pictures: Mapping[bytes, bytes]) -> set[int]:
        """The numbers of all objects that make up the mark's appearance, ``number`` among them; UnreadableError if it shows something else."""
        body = bodies(number)
        box, shown = look.rectangle, _SHOWN.search(body)
        key = (look.picture_sha256, box.x1 - box.x0, box.y1 - box.y0, look.slice_number, look.slices, rotation)
        if shown is not None and self._looks.get(key) == (body[: shown.start(1)], body[shown.end(1) :]):
            picture, last = self._pictures[look.picture_sha256], int(shown[1])
            numbers = range(last - len(picture) + 1, last + 1)
            # All of the picture's objects, byte for byte, with the numbers of this document: only
            # then is it the picture that was judged.
            if list(map(bodies, numbers)) == self._spelled(look.picture_sha256, numbers[0]):
                return {number, *numbers}
        return self._judged(key, look, number, bodies, pictures)

    def _spelled(self, picture_sha256: bytes, first: int) -> list[bytes]:
        """The bodies of a picture's objects when numbered from ``first``. Documents of one template often use the same number, so the last is kept."""
        last = self._latest.get(picture_sha256)
        if last is None or last[0] != first:
            last = self._latest[picture_sha256] = first, [_written(parts, first) for parts in self._pictures[picture_sha256]]
        return last[1]

    def _judged(self, key: _Key, look: Look, number: int, bodies: Bodies, pictures: Mapping[bytes, bytes]) -> set[int]:
        met: dict[int, bytes] = {}

        def take(reference: Ref) -> Object:
            if reference.generation:
                raise UnreadableError("what is new has no generation")
            met[reference.number] = bodies(reference.number)
            return read_object(met[reference.number] + b"\nendobj", 0, 0)[0]

        check_look(take, Ref(number, 0), look, key[-1], pictures, opaque=False)
        shown = _SHOWN.search(met[number])
        if shown is not None:
            self._remember(key, (met[number][: shown.start(1)], met[number][shown.end(1) :]), int(shown[1]), met, number)
        return set(met)

    def _remember(self, key: _Key, around: tuple[bytes, bytes], last: int, met: dict[int, bytes], number: int) -> None:
        numbers = sorted(met.keys() - {number})
        first = last - len(numbers) + 1
        # Only pictures whose objects were numbered in one run, as the lean writer does, can be
        # spelled again for other numbers.
        if numbers != list(range(first, last + 1)) or sum(map(len, met.values())) > _LARGEST_PICTURE_BYTES:
            return
        parts = [_parts(met[each], first, last) for each in numbers]
        if any(part is None for part in parts):
            return
        if len(self._looks) >= _MOST_KNOWN or len(self._pictures) >= _MOST_PICTURES:
            # Emptied whole: each is then judged in full once more.
            self._looks.clear()
            self._pictures.clear()
            self._latest.clear()
        self._looks[key] = around
        self._latest.pop(key[0], None)
        self._pictures[key[0]] = [part for part in parts if part is not None]


def _written(parts: _Parts, first: int) -> bytes:
    return b"".join([b"%d 0 R" % (first + part) if isinstance(part, int) else part for part in parts])


def _parts(body: bytes, first: int, last: int) -> _Parts | None:
    """None if the object refers to one that does not belong to the picture."""
    head = body.partition(b"\nstream\n")[0]
    parts: list[bytes | int] = []
    position = 0
    for match in _REFERENCES.finditer(head):
        if match[1] is not None:
            continue
        if not first <= int(match[2]) <= last:
            return None
        parts += [body[position : match.start()], int(match[2]) - first]
        position = match.end()
    return (*parts, body[position:])
