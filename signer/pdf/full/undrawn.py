"""Forms that ask readers to draw them (/NeedAppearances, ISO 32000-2 table 224): would the page look the same without that flag?

While it is set, readers draw fields from their values, each in its own way, and some redraw signature fields as well, so that a seal's
picture vanishes. Once it is away, they show what the widgets have for a look, which may be nothing, or an older value. Nobody can say
which of these looks was approved; so a form with anything to draw is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from pyhanko.pdf_utils import generic

from sealcore.errors import Code, VermilionError
from signer.pdf.full.locks import MOST_FIELDS
from signer.pdf.full.objects import found, found_array, found_dictionary
from signer.pdf.full.pages import every_page

_UNSEEN: Final = 1 << 1 | 1 << 5  # annotation flags Hidden and NoView (table 167)
_MOST_PARENTS: Final = 32
_PAINTING: Final = frozenset(b"Tj TJ ' \" Do sh f F f* B B* b b* S s EI".split())  # operators (ISO 32000-2 table A.1)


def require_drawn(root: generic.DictionaryObject) -> None:
    """DOCUMENT_FORM_UNDRAWN if readers draw any value, button or border because of the flag."""
    seen: set[int] = set()
    for widget in _widgets(root):
        if id(widget) in seen:
            continue
        seen.add(id(widget))
        if len(seen) > MOST_FIELDS:
            raise VermilionError(Code.DOCUMENT_TOO_COMPLEX, f"the form has more than {MOST_FIELDS} fields")
        if _shows(widget) and _drawn_by_readers(widget):
            name = _inherited(widget, "/T")
            which = f"the field {str(name)[:60]!r}" if isinstance(name, str) else "a field"
            raise VermilionError(Code.DOCUMENT_FORM_UNDRAWN, f"the form leaves it to readers to draw {which}, so it has no fixed look")


def needs_drawing(form: generic.DictionaryObject | None) -> bool:
    """Whether the form asks readers to draw it."""
    value = found(form, "/NeedAppearances") if form is not None else None
    return isinstance(value, generic.BooleanObject) and bool(value.value)


def _widgets(root: generic.DictionaryObject) -> Iterator[generic.DictionaryObject]:
    """The widgets of the form's fields and those on the pages, since readers draw both."""
    form = found_dictionary(root, "/AcroForm")
    stack = _elements(found_array(form, "/Fields")) if form is not None else []
    seen: set[int] = set()
    while stack:
        node = stack.pop()
        if isinstance(node, generic.DictionaryObject) and id(node) not in seen:
            seen.add(id(node))
            kids = _elements(found_array(node, "/Kids"))
            stack += kids
            if not kids or "/Rect" in node:
                yield node
    for page in every_page(root):
        for each in _elements(found_array(page, "/Annots")):
            if isinstance(each, generic.DictionaryObject) and found(each, "/Subtype") == "/Widget":
                yield each


def _elements(array: generic.ArrayObject | None) -> list[Any]:
    return [array[index] for index in range(len(array))] if array is not None else []


def _shows(widget: generic.DictionaryObject) -> bool:
    flags, box = found(widget, "/F"), _elements(found_array(widget, "/Rect"))
    if isinstance(flags, int) and flags & _UNSEEN:
        return False
    if len(box) != 4 or not all(isinstance(each, generic.NumberObject | generic.FloatObject) for each in box):
        return True
    return bool(box[0] != box[2] and box[1] != box[3])


def _inherited(node: generic.DictionaryObject | None, key: str) -> Any:
    for _ in range(_MOST_PARENTS):
        if node is None:
            return None
        if (value := found(node, key)) is not None:
            return value
        node = found_dictionary(node, "/Parent")
    return None


def _drawn_by_readers(widget: generic.DictionaryObject) -> bool:
    kind = _inherited(widget, "/FT")
    if kind == "/Sig":
        return False
    if kind not in ("/Tx", "/Ch") or found_dictionary(widget, "/MK") or not _is_empty(_inherited(widget, "/V")):
        return True  # whatever appearance the widget has, readers that draw the form themselves ignore it
    look = found(found_dictionary(widget, "/AP") or generic.DictionaryObject(), "/N")
    return look is not None and not (isinstance(look, generic.StreamObject) and _PAINTING.isdisjoint(look.data.split()))


def _is_empty(value: Any) -> bool:
    if isinstance(value, generic.StreamObject):
        return not value.data
    return value is None or (isinstance(value, str | bytes | generic.ArrayObject) and len(value) == 0)
