"""XMP (ISO 16684-1) as properties, each with its whole value: one property's text says nothing of another's.

What a document says of itself stands twice, in /Info and in XMP (ISO 32000-2 §14.3). Writers copy from one to the other; ``says`` tells
whether an XMP property repeats the entry of /Info that belongs to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, NoReturn
from xml.etree import ElementTree

from verify.steps.changes.values import IrregularError, Stream, decoded

MOST_BYTES: Final = 1024 * 1024
_RDF: Final = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_DC, _PDF = "{http://purl.org/dc/elements/1.1/}", "{http://ns.adobe.com/pdf/1.3/}"
_XMP, _MM = "{http://ns.adobe.com/xap/1.0/}", "{http://ns.adobe.com/xap/1.0/mm/}"
_EVENT: Final = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_ARRAYS: Final = {f"{_RDF}{kind}": kind for kind in ("Seq", "Bag", "Alt")}
_META: Final = "{adobe:ns:meta/}xmpmeta"
_TOOLKIT: Final = {"{adobe:ns:meta/}xmptk", "xmptk"}
ABOUT: Final = f"{_RDF}about"
"""Among the properties: which resource they are said of, where that is not simply the document."""
_BLANK = r"[ \t\r\n]*"
_DECLARED: Final = re.compile(
    r"""<\?xml version=["']1\.0["'](?: encoding=["'][Uu][Tt][Ff]-8["'])?(?: standalone=["'](?:yes|no)["'])? ?\?>"""
)
_BEGIN: Final = re.compile(r"""<\?xpacket begin=["']\ufeff?["'] id=["']W5M0MpCehiHzreSzNTczkc9d["'] ?\?>""")
_END: Final = re.compile(r"""<\?xpacket end=["'][rw]["'] ?\?>""")
_PACKET: Final = re.compile(rf"(?:{_DECLARED.pattern})?{_BLANK}(?:{_BEGIN.pattern})?{_BLANK}(?:<(?![!?])[^<]*+)++(?:{_END.pattern})?")
"""One in UTF-8 (ISO 16684-1 §7.3): readers look for instructions and comments that hold another one, and some end it where one says so."""
_MOST_LEVELS: Final = 12
_NOT_OF_NODES: Final = {f"{_RDF}parseType", _LANGUAGE}

DATES: Final = frozenset({f"{_XMP}ModifyDate", f"{_XMP}MetadataDate"})
PRODUCER, INSTANCE, HISTORY = f"{_PDF}Producer", f"{_MM}InstanceID", f"{_MM}History"
DOCUMENT, FORMAT, SUBJECTS = f"{_MM}DocumentID", f"{_DC}format", f"{_DC}subject"
PAIRS: Final = {
    "/Title": f"{_DC}title",
    "/Author": f"{_DC}creator",
    "/Subject": f"{_DC}description",
    "/Keywords": f"{_PDF}Keywords",
    "/Creator": f"{_XMP}CreatorTool",
    "/CreationDate": f"{_XMP}CreateDate",
    "/Trapped": f"{_PDF}Trapped",
}
"""Which property repeats which entry of /Info (ISO 16684-1 annex, ISO 19005-1 §6.7.3)."""
EVENTS: Final = frozenset(f"{_EVENT}{name}" for name in ("action", "changed", "instanceID", "parameters", "softwareAgent", "when"))

Xmp = tuple[Any, ...] | str
"""A text; ("Seq" | "Bag" | "Alt", *items); ("struct", *(name, value)); ("qualified", value, *(name, text))."""

_DATE = re.compile(
    r"(?:D:)?(\d{4})-?(\d\d)?-?(\d\d)?T?(\d\d)?:?(\d\d)?:?(\d\d)?(?:\.\d{1,9})?(Z|[+-]\d\d(?:[':]?\d\d)?)?'?(?:00'?(?:00'?)?)?",
    re.ASCII,
)


def properties(stream: Stream, *, is_new: bool) -> dict[str, Xmp]:
    """The packet's properties; raises IrregularError where readers could differ about them.

    is_new  whether it was appended: then it is one packet in UTF-8, without comments, marked sections or instructions, in which
            readers find more, or nothing
    """
    data = decoded(stream, MOST_BYTES)
    try:
        text = data.strip(b"\0 \r\n\t").decode("utf-8-sig")
        root = ElementTree.fromstring(text, ElementTree.XMLParser(target=_NoDoctype(), encoding="utf-8"))  # noqa: S314  (no entities)
    except (ElementTree.ParseError, ValueError, RecursionError):
        raise IrregularError("metadata_irregular") from None
    _require(len(data) < MOST_BYTES and (not is_new or _PACKET.fullmatch(text) is not None))
    if root.tag == _META:
        _require(not root.attrib.keys() - _TOOLKIT and len(root) == 1 and _is_without_text(root))
        root = root[0]
    _require(root.tag == f"{_RDF}RDF" and not root.attrib and _is_without_text(root))
    about = {text for each in root for text in _abouts(each)}
    _require(len(about) <= 1)
    found: dict[str, Xmp] = dict.fromkeys([ABOUT] if any(about) else [], "".join(about))
    for each in root:
        _require(each.tag == f"{_RDF}Description" and not each.attrib.keys() & _NOT_OF_NODES)
        _take(found, _fields(each, 0))
    return found


class _NoDoctype(ElementTree.TreeBuilder):
    def doctype(self, *_declared: object) -> NoReturn:
        raise ValueError("a document type")


def _abouts(description: ElementTree.Element) -> list[str]:
    return [description.attrib[key] for key in (ABOUT, "about") if key in description.attrib] or [""]


def _is_without_text(element: ElementTree.Element) -> bool:
    """Whether it holds elements alone, as RDF wants it where no value stands."""
    return not "".join([element.text or "", *(each.tail or "" for each in element)]).strip()


def _require(holds: bool) -> None:
    if not holds:
        raise IrregularError("metadata_irregular")


def _take(found: dict[str, Xmp], fields: Iterable[tuple[str, Xmp]]) -> None:
    for name, value in fields:
        _require(name not in found or (_is_own(name, value) and _is_own(name, found[name])))
        found[name] = value


def _is_own(name: str, value: Xmp) -> bool:
    """A date or producer of the writer's own: OpenPDF writes a second one behind the first."""
    return isinstance(value, str) and (name == PRODUCER or (name in DATES and is_date(value)))


def _fields(element: ElementTree.Element, level: int) -> list[tuple[str, Xmp]]:
    """Of an rdf:Description, or of a property that is written like one."""
    _require(_is_without_text(element) and level < _MOST_LEVELS)
    skipped = {ABOUT, "about", f"{_RDF}parseType", _LANGUAGE}
    _require(all(not key.startswith(_RDF) for key in element.attrib.keys() - skipped))
    fields = [(key, value.strip()) for key, value in element.attrib.items() if key not in skipped]
    return [*fields, *((child.tag, _value(child, level + 1)) for child in element)]


def _value(element: ElementTree.Element, level: int) -> Xmp:
    _require(not element.tag.startswith(_RDF) or element.tag in {f"{_RDF}li", f"{_RDF}value"})
    _require(level < _MOST_LEVELS and not any((child.tail or "").strip() for child in element))
    value = _unqualified(element, level)
    language = element.attrib.get(_LANGUAGE, "x-default")  # which some writers leave out
    return value if language == "x-default" else ("qualified", value, (_LANGUAGE, language.casefold()))


def _unqualified(element: ElementTree.Element, level: int) -> Xmp:
    attributes = element.attrib.keys() - {_LANGUAGE}
    if element.attrib.get(f"{_RDF}parseType") == "Resource":
        return _struct(_fields(element, level))
    if f"{_RDF}resource" in attributes:
        _require(len(attributes) == 1 and len(element) == 0 and not (element.text or "").strip())
        return element.attrib[f"{_RDF}resource"].strip()
    if len(element) == 0:
        return _struct(_fields(element, level)) if attributes else (element.text or "").strip()
    _require(len(element) == 1 and not attributes and not (element.text or "").strip())
    inner = element[0]
    if inner.tag == f"{_RDF}Description":
        return _struct(_fields(inner, level))
    _require(inner.tag in _ARRAYS and not inner.attrib and all(each.tag == f"{_RDF}li" for each in inner))
    items = [_value(each, level + 1) for each in inner]
    kind = _ARRAYS[inner.tag]
    return (kind, *(sorted(items, key=repr) if kind == "Bag" else items))


def _struct(fields: Iterable[tuple[str, Xmp]]) -> Xmp:
    found: dict[str, Xmp] = {}
    _take(found, fields)
    return ("struct", *sorted(found.items()))


def says(key: str, text: str, value: Xmp | None) -> bool:
    """Whether an XMP property repeats what /Info says under ``key``."""
    if value is None:
        return not text
    if key == "/CreationDate":
        return isinstance(value, str) and is_same_date(text, value)
    texts = list(value[1:]) if isinstance(value, tuple) and value[0] in _ARRAYS.values() else [value]
    if not all(isinstance(each, str) for each in texts):
        return False
    return text in {separator.join(map(str, texts)) for separator in ("; ", ", ", ",", ";")} if key == "/Author" else texts == [text]


def is_list_of(text: str, value: Xmp) -> bool:
    """Whether dc:subject holds the keywords of a text, one by one or as one."""
    items = list(value[1:]) if isinstance(value, tuple) and value[0] in {"Bag", "Seq"} else [value]
    parts = [each.strip() for each in re.split("[,;]", text)]
    return items == [text] or sorted(map(str, items)) == sorted(filter(None, parts))


def is_date(text: str) -> bool:
    """Whether it is a date of PDF or XMP, and no more."""
    return _DATE.fullmatch(text) is not None


def is_same_date(one: str, other: str) -> bool:
    """The same date and time in whichever spelling; without an offset it is UTC, as most take it."""
    first, second = _DATE.fullmatch(one), _DATE.fullmatch(other)
    if first is None or second is None:
        return one == other
    return _parts(first) == _parts(second)


def _parts(date: re.Match[str]) -> tuple[str, ...]:
    offset = re.sub(r"\D", "", date[7] or "")
    sign = (date[7] or "Z")[0]
    is_utc = not offset.strip("0")
    return (*(part or "00" for part in date.groups()[:6]), "Z" if is_utc else f"{sign}{offset:0<4}")
