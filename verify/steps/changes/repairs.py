"""What readers that find a file damaged would see in the sealed bytes: the same objects as all others, or perhaps others.

Such a reader forgets the cross-references and searches all bytes for objects and trailers, those in strings, streams and comments too;
mostly the last one of each number counts. Whoever gets a document sealed can hide such parts in it, and then only has to make some
reader repair the file, by an update that is proper to us. So nothing that was added is permitted in a file where a repair could show more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.xref import XRefSectionData, XRefSectionMetaInfo

from verify.facts import FactError
from verify.steps.changes.sealed import SealedRevision
from verify.steps.changes.values import IrregularError, Ref, parse

_BLANK = re.compile(rb"[\0\t\n\f\r ]*")
_COMMENT = re.compile(rb"%[^\r\n]*")
_HEAD = re.compile(rb"(?<!\d)(\d{1,10})[\0\t\n\f\r ]++(\d{1,10})[\0\t\n\f\r ]++obj")
_TRAILER = re.compile(rb"trailer[\0\t\n\f\r ]*+<<")
_END_OF_DICTIONARY = re.compile(rb"stream|endobj")
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_STRUCTURE = re.compile(rb"/(?:Catalog|Pages?|XRef|ObjStm)|/Type[\0\t\n\f\r ]*+\d")  # of an object that no section lists
_OBJECT_STREAM = [re.compile(rb"/%b(?=[\0\t\n\f\r ()<>\[\]{}/%%])" % name) for name in (b"N", b"First")]  # /Type could be a reference


class AmbiguousError(FactError):
    """A repair could show something else, and what it would find."""


@dataclass
class _Listed:
    """What the cross-references of all sections list: objects by their place, objects in object streams, where trailers begin."""

    places: dict[int, int] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    packed: set[tuple[int, int]] = field(default_factory=set)
    trailers: set[int] = field(default_factory=set)


def require_unambiguous(sealed: SealedRevision) -> None:
    """Every head of an object and every trailer is one that the cross-references know, and the last of each number is in force.

    Raises AmbiguousError.
    """
    listed = _listed(sealed)
    last: dict[int, tuple[int, Ref]] = {}
    for head in _found(_HEAD, sealed.data):
        number = int(head[1])
        names = _names(sealed.data, head)
        if listed.places.get(head.start()) != number and (number in listed.numbers or _STRUCTURE.search(names)):
            raise AmbiguousError("repair_object", number=number, place=head.start())
        last[number] = max((head.start(), Ref(number, int(head[2]))), last.get(number, (0, Ref(0, 0))))
        if all(each.search(names) for each in _OBJECT_STREAM):
            _require_listed_members(sealed, listed, Ref(number, int(head[2])))
    for trailer in _found(_TRAILER, sealed.data):
        if trailer.end() - len(b"<<") not in listed.trailers and not _says_the_same(sealed, trailer.end() - len(b"<<")):
            raise AmbiguousError("repair_trailer", place=trailer.start())
    gone = {number for number, _holder in listed.packed if sealed.place(Ref(number, 0)) is None} - last.keys()
    for number, (start, ref) in last.items():
        place = sealed.place(ref)
        if place is None:
            gone.add(number)
        elif not isinstance(place, int) or _behind_blanks(sealed.data, place) != start:
            raise AmbiguousError("repair_older_object", number=number, place=start)
    sites = sealed.sites(gone) if gone else {}
    info = sealed.trailer.get("/Info")
    if any(count > (isinstance(info, Ref) and info.number == number) for number, count in sites.items()):  # which no page shows
        raise AmbiguousError("repair_missing_object")


def _says_the_same(sealed: SealedRevision, at: int) -> bool:
    """Whether a trailer that no section has, as damaged files hold that were sealed, leads to the same catalog."""
    try:
        trailer, _end = parse(sealed.data, at)
    except IrregularError:
        return False
    return trailer.get("/Root") == sealed.root and not trailer.keys() & {"/Encrypt", "/XRefStm"}


def _found(pattern: re.Pattern[bytes], data: bytes) -> Iterator[re.Match[bytes]]:
    """In the bytes as they stand, and with comments taken for white space: readers differ in this."""
    found = {each.start(): each for each in pattern.finditer(_COMMENT.sub(lambda comment: b" " * len(comment.group()), data))}
    yield from (found | {each.start(): each for each in pattern.finditer(data)}).values()


def _behind_blanks(data: bytes, at: int) -> int:
    found = _BLANK.match(data, at)
    return found.end() if found is not None else at


def _listed(sealed: SealedRevision) -> _Listed:
    found = _Listed()
    for section, meta in sealed.sections():
        _list(sealed.data, section, meta, found)
        if section.hybrid is not None:
            _list(sealed.data, section.hybrid.xref_data, section.hybrid.meta_info, found)
    return found


def _list(data: bytes, section: XRefSectionData, meta: XRefSectionMetaInfo, found: _Listed) -> None:
    for number, (_generation, offset) in section.standard_xrefs.items():
        found.places[_behind_blanks(data, offset)] = number
    found.packed |= {(number, inside.obj_stream_id) for number, inside in section.xrefs_in_objstm.items()}
    if meta.stream_ref is not None:
        found.places[_behind_blanks(data, meta.start_location)] = meta.stream_ref.idnum
    found.trailers.add(meta.end_location)
    found.numbers |= section.standard_xrefs.keys() | section.xrefs_in_objstm.keys() | section.freed.keys()


def _names(data: bytes, head: re.Match[bytes]) -> bytes:
    """An object's dictionary as it stands, with the names' escapes resolved."""
    end = _END_OF_DICTIONARY.search(data, head.end())
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode("ascii")), data[head.end() : end.start() if end else None])


def _require_listed_members(sealed: SealedRevision, listed: _Listed, ref: Ref) -> None:
    """An object stream holds what the cross-references list in it."""
    try:
        members = sealed.members(ref)
    except (PdfError, ValueError, KeyError, TypeError):
        members = [0]
    if any((member, ref.number) not in listed.packed for member in members):
        raise AmbiguousError("repair_object_stream", number=ref.number)
