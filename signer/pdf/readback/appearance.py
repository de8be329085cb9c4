"""Whether a mark shows the registered picture, whole or its slice, in its rectangle, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sealcore.protocol.leaf import MarkKind, Placement, Rectangle
from signer.pdf.readback.metadata import declares_pdfa
from signer.pdf.readback.pages import find_marked
from signer.pdf.readback.reader import Reader
from signer.pdf.readback.syntax import Name, Ref, UnreadableError, same
from signer.pdf.readback.update import Object

_FORM: Final = {"Type", "Subtype", "FormType", "BBox", "Matrix", "Resources", "Length", "Filter", "Group"}
_NUMBER: Final = rb"(-?\d+(?:\.\d+)?)"
_CONTENT: Final = re.compile(
    rb"q\n(/Multiply gs\n)?" + b" ".join([_NUMBER] * 4) + rb" re W n\n" + b" ".join([_NUMBER] * 6) + rb" cm\n/Picture Do\nQ\n"
)
_UPRIGHT: Final = {0: [1, 0, 0, 1, 0, 0], 90: [0, 1, -1, 0, 0, 0], 180: [-1, 0, 0, -1, 0, 0], 270: [0, -1, 1, 0, 0, 0]}
_ROUNDING: Final = 0.002  # points
# sRGB's white point, gamma and primaries (IEC 61966-2-1).
_WHITE: Final = [0.9505, 1, 1.089]
_PRIMARIES: Final = [0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505]
_DEFAULTS: Final = {
    "DefaultRGB": [Name("CalRGB"), {"WhitePoint": _WHITE, "Gamma": [2.2, 2.2, 2.2], "Matrix": _PRIMARIES}],
    "DefaultGray": [Name("CalGray"), {"WhitePoint": _WHITE, "Gamma": 2.2}],
}
_READ: Final = (None, "FlateDecode", ["FlateDecode"])  # filters that this reader can decode
_LETTER: Final = [0, 0, 612, 792]
_MOST_OBJECTS: Final = 2_000

Take = Callable[[Ref], Object]


class Look(NamedTuple):
    """One mark on one page: part ``slice_number`` of ``slices`` of a picture."""

    page: int
    rectangle: Rectangle
    picture_sha256: bytes
    slice_number: int
    slices: int


def looks_of(placement: Placement) -> list[Look]:
    """All marks, page by page, in the order of the leaf; the first one is the appearance of the signature field itself."""
    return [
        Look(page, mark.rectangle, mark.picture_sha256, *((index, len(mark.pages)) if mark.kind == MarkKind.RIDING else (0, 1)))
        for mark in placement.marks
        for index, page in enumerate(mark.pages)
    ]


def may_be_opaque(reader: Reader, root: dict[str, Any]) -> bool:
    """Whether marks may go without transparency and use device-independent colours: only in documents that declare to be PDF/A."""
    reference = root.get("Metadata")
    if not isinstance(reference, Ref) or not isinstance(reader.resolve(reference), dict):
        return False
    head, data = reader.stream(reference)
    return declares_pdfa(data) or head.get("Filter") not in _READ


def check_look(take: Take, reference: Ref, look: Look | None, rotation: int, pictures: Mapping[bytes, bytes], *, opaque: bool) -> None:
    """UnreadableError if the appearance is not that of ``look`` (None: an empty one). ``opaque``: see ``may_be_opaque``."""
    appearance = take(reference)
    head, data = _form(appearance)
    if look is None:
        _require(not (data or b"").split() and not head.get("Resources"), "an unseen field has a look")
        return
    # The whole content by one expression: a mark's drawing has one form, and any further
    # operator would show something that nobody approved.
    match = _CONTENT.fullmatch(data or b"")
    if match is None or "Group" in head or not (match[1] or opaque):
        raise UnreadableError("a mark shows something else")
    box = look.rectangle
    width, height = (box.x1 - box.x0) / 1000, (box.y1 - box.y0) / 1000
    if rotation in (90, 270):
        width, height = height, width
    _require(_near(head.get("BBox"), [0, 0, width, height]) and head.get("Matrix") == _UPRIGHT[rotation], "a mark has another size")
    resources = dict(head["Resources"])
    picture = resources.pop("XObject")
    multiply = {"Multiply": {"Type": Name("ExtGState"), "BM": Name("Multiply")}}
    _require(same(resources, {"ExtGState": multiply} if match[1] else {}) and picture.keys() == {"Picture"}, "a mark has other resources")
    source = Reader(pictures[look.picture_sha256])
    shown = _visible(source)
    _require(_near([float(each) for each in match.groups()[1:]], _placement(shown, look, width, height)), "a mark shows another part")
    _picture(take, picture["Picture"], source, shown, plain=not match[1])


def listed(reader: Reader, value: Any) -> list[Any]:
    """The elements of an array; empty if there is no array."""
    resolved = reader.resolve(value)
    return resolved if isinstance(resolved, list) else []


def _placement(box: list[float], look: Look, width: float, height: float) -> list[float]:
    """Clip and matrix that scale the slice to fit the rectangle, and centre it there."""
    part = (box[2] - box[0]) / look.slices
    tall = box[3] - box[1]
    factor = min(width / part, height / tall)
    left, bottom = (width - part * factor) / 2, (height - tall * factor) / 2
    across = left - factor * (box[0] + look.slice_number * part)
    return [left, bottom, part * factor, tall * factor, factor, 0, 0, factor, across, bottom - factor * box[1]]


def _visible(source: Reader) -> list[float]:
    page = find_marked(source, {0})[0].content
    node, boxes = page, {}
    for _ in range(_MOST_OBJECTS):
        for key in ("MediaBox", "CropBox"):
            if key not in boxes and isinstance(value := source.resolve(node.get(key)), list):
                corners = [float(source.resolve(each)) for each in value]
                boxes[key] = [min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])]
        parent = source.resolve(node.get("Parent"))
        if not isinstance(parent, dict):
            break
        node = parent
    media = boxes.get("MediaBox", [float(each) for each in _LETTER])
    crop = boxes.get("CropBox", media)
    return [max(media[0], crop[0]), max(media[1], crop[1]), min(media[2], crop[2]), min(media[3], crop[3])]


def _picture(take: Take, reference: Ref, source: Reader, shown: list[float], *, plain: bool) -> None:
    head, data = _form(take(reference))
    page = find_marked(source, {0})[0].content
    contents = source.resolve(page.get("Contents"))
    streams = contents if isinstance(contents, list) else [page.get("Contents")]
    # Compared as decoded bytes with the registered picture: how it is compressed in the
    # document says nothing about what it shows.
    _require(data == b"\n".join(source.stream(each)[1] for each in streams), "a picture is not the registered one")
    _require(_near(head.get("BBox"), shown), "a picture has another size")
    group = {"Type": Name("Group"), "S": Name("Transparency"), "I": True, "CS": Name("DeviceRGB")}
    _require(same(head.get("Group"), None if plain else group), "a picture is blended otherwise")
    resources = head.get("Resources") or {}
    _Copies(take, source).require_same(_without_defaults(resources) if plain else resources, source.resolve(page.get("Resources")) or {})


def _without_defaults(resources: dict[str, Any]) -> dict[str, Any]:
    """Leaves out the default colour spaces, which PDF/A asks for in place of the device's own."""
    spaces = resources.get("ColorSpace")
    if not isinstance(spaces, dict):
        return resources
    others = {key: value for key, value in spaces.items() if not same(value, _DEFAULTS.get(key))}
    rest = {key: value for key, value in resources.items() if key != "ColorSpace"}
    return {**rest, "ColorSpace": others} if others else rest


class _Copies:
    """Compares what a picture's resources refer to. Object numbers may differ, values may not."""

    def __init__(self, take: Take, source: Reader) -> None:
        self._take, self._source = take, source
        self._met: set[tuple[int, int]] = set()

    def require_same(self, copy: Any, original: Any) -> None:
        stack = [(copy, original)]
        while stack:
            one, other = stack.pop()
            if isinstance(one, Ref):
                if isinstance(other, Ref) and (one.number, other.number) in self._met:
                    continue
                # Noted before it is followed, since a picture's resources may refer to each other
                # in a circle.
                self._met.add((one.number, other.number if isinstance(other, Ref) else -len(self._met)))
                _require(len(self._met) <= _MOST_OBJECTS, "a picture has very many objects")
                found = self._take(one)
                if found.data is not None:
                    head, data = self._source.stream(other)
                    _require(found.data == data, "a part of a picture is not the registered one")
                    one, other = _uncoded(found.value), _uncoded(head)
                else:
                    one = found.value
            other = self._source.resolve(other)
            if isinstance(one, dict) and isinstance(other, dict):
                keys = {key for key in other if other[key] is not None}
                _require({key for key in one if one[key] is not None} == keys, "a picture has other entries")
                stack += [(one[key], other[key]) for key in keys]
            elif isinstance(one, list) and isinstance(other, list):
                _require(len(one) == len(other), "a picture has other entries")
                stack += list(zip(one, other, strict=True))
            else:
                _require(same(one, other), "a picture has other values")


def _uncoded(head: dict[str, Any]) -> dict[str, Any]:
    plain = head.get("Filter") in (None, "FlateDecode", ["FlateDecode"]) and not head.get("DecodeParms")
    return {key: value for key, value in head.items() if key != "Length" and not (plain and key == "Filter")}


def _form(found: Object) -> tuple[dict[str, Any], bytes | None]:
    head = found.value
    kinds = (head.get("Type", "XObject"), head.get("Subtype"), head.get("FormType", 1))
    _require(found.data is not None and kinds == ("XObject", "Form", 1) and head.keys() <= _FORM, "a look is no form, or has other entries")
    return head, found.data


def _near(told: Any, planned: list[float]) -> bool:
    return len(told) == len(planned) and all(abs(one - other) <= _ROUNDING for one, other in zip(told, planned, strict=True))


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise UnreadableError(reason)
