"""The structure tree of a tagged document: annotations of a seal become part of it (ISO 32000-2 §14.7, ISO 14289-1 §7.18)."""

from __future__ import annotations

from typing import Any, Final

from pyhanko.pdf_utils import generic

from signer.pdf.full.form import extended
from signer.pdf.full.objects import dictionary, found, found_array, found_dictionary, name, number
from signer.pdf.full.pages import Page
from signer.pdf.full.update import Update

MOST_NODES: Final = 100_000  # of the parent tree


class Structure:
    """The structure tree of one document, which elements can be added to."""

    def __init__(self, update: Update, root: generic.DictionaryObject) -> None:
        """``ValueError`` if there is no tree, or none that elements can be added to."""
        self._update = update
        self._tree, self._tree_reference = _own_object(root, "/StructTreeRoot")
        self._parents, self._parents_reference = _own_object(self._tree, "/ParentTree", within=self._tree_reference)
        self._next = _next_key(self._tree, self._parents)
        self._parent, self._parent_reference = _document(self._tree) or (self._tree, self._tree_reference)

    def add(self, page: Page, annotation: generic.DictionaryObject, reference: generic.IndirectObject, kind: str) -> None:
        """Makes the annotation the content of a new element of that kind, and sets the page's tab order to the structure's (/Tabs)."""
        assert page.reference is not None
        item = dictionary(Type=name("OBJR"), Obj=reference, Pg=page.reference)
        element = self._update.add_object(
            dictionary(Type=name("StructElem"), S=name(kind), P=self._parent_reference, Pg=page.reference, K=generic.ArrayObject([item]))
        )
        annotation["/StructParent"] = number(self._next)
        page.content["/Tabs"] = name("S")
        self._update.mark_update(page.reference)
        self._enter(element)
        old = self._parent.raw_get("/K") if "/K" in self._parent else None
        kids = found(self._parent, "/K")
        array = kids if isinstance(kids, generic.ArrayObject) else generic.ArrayObject([] if old is None else [old])
        self._parent["/K"] = extended(array, element)
        self._tree["/ParentTreeNextKey"] = number(self._next)
        for changed in (self._parent_reference, self._tree_reference):
            self._update.mark_update(changed)

    def _enter(self, element: generic.IndirectObject) -> None:
        """Appends to the parent tree, a number tree (ISO 32000-2 §7.9.7): the new key is the highest, so it comes last."""
        key, self._next = self._next, self._next + 1
        pair = [number(key), element]
        kids = found_array(self._parents, "/Kids")
        if kids is not None:
            leaf = dictionary(Limits=generic.ArrayObject([number(key), number(key)]), Nums=generic.ArrayObject(pair))
            self._parents["/Kids"] = extended(kids, self._update.add_object(leaf))
        else:
            numbers = found_array(self._parents, "/Nums")
            old = [numbers.raw_get(index) for index in range(len(numbers))] if numbers is not None else []
            self._parents["/Nums"] = generic.ArrayObject([*old, *pair])
        self._update.mark_update(self._parents_reference)


def _own_object(
    holder: generic.DictionaryObject, key: str, within: generic.IndirectObject | None = None
) -> tuple[generic.DictionaryObject, generic.IndirectObject]:
    """A dictionary, and the indirect object that contains it."""
    value = found_dictionary(holder, key)
    raw = holder.raw_get(key) if value is not None else None
    reference = raw if isinstance(raw, generic.IndirectObject) else within
    if value is None or reference is None:
        raise ValueError(key)
    return value, reference


def _document(tree: generic.DictionaryObject) -> tuple[generic.DictionaryObject, generic.IndirectObject] | None:
    """The element for the whole document, if there is one."""
    kids = found(tree, "/K")
    raw = kids.raw_get(0) if isinstance(kids, generic.ArrayObject) and len(kids) else tree.raw_get("/K") if kids is not None else None
    if not isinstance(raw, generic.IndirectObject):
        return None
    element = raw.get_object()
    if isinstance(element, generic.DictionaryObject) and found(element, "/S") in ("/Document", "/Part", "/Art", "/Sect"):
        return element, raw
    return None


def _next_key(tree: generic.DictionaryObject, parents: generic.DictionaryObject) -> int:
    """A key that no page or object uses yet."""
    said: Any = found(tree, "/ParentTreeNextKey")
    highest = int(said) if isinstance(said, generic.NumberObject) else 0
    stack, met = [parents], 0
    while stack:
        node, met = stack.pop(), met + 1
        if met > MOST_NODES:
            raise ValueError("/ParentTree")
        numbers, kids = found_array(node, "/Nums"), found_array(node, "/Kids")
        for index in range(0, len(numbers) if numbers is not None else 0, 2):
            highest = max(highest, int(numbers[index]) + 1)  # type: ignore[index]
        children = [kids[index] for index in range(len(kids))] if kids is not None else []
        stack += [each for each in children if isinstance(each, generic.DictionaryObject)]
    return highest
