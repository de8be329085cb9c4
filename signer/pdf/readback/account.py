"""Accounts for every object of an update before anything is signed: the field, the approved marks with the registered pictures, the

entries that lead to them, and nothing else. An attacker who controls the sandbox can write anything; only what the plan explains is signed.

An encrypted update is refused: without its key there is no telling what it says.
"""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Certification
from signer.pdf.plan import Document, Plan
from signer.pdf.readback.ambiguity import require_plain
from signer.pdf.readback.appearance import Look, check_look, listed, looks_of, may_be_opaque
from signer.pdf.readback.continuation import require_continued
from signer.pdf.readback.hole import Hole
from signer.pdf.readback.pages import PageFound, find_marked
from signer.pdf.readback.reader import Reader
from signer.pdf.readback.repair import require_repaired
from signer.pdf.readback.syntax import DisagreementError, Name, Ref, UnreadableError, plain_text, same
from signer.pdf.readback.update import Object, Revision, read_revisions

_FIELD: Final = {"Type", "Subtype", "FT", "T", "TU", "V", "F", "Rect", "P"}
_STAMP: Final = {"Type", "Subtype", "Contents", "F", "P", "Rect", "AP"}
_SIGNATURE: Final = {"Type", "Filter", "SubFilter", "ByteRange", "Contents", "M", "Prop_Build"}
_TEXTS: Final = {"Name": "name", "Reason": "reason", "Location": "location", "ContactInfo": "contact"}
_FIELD_FLAGS, _STAMP_FLAGS = 132, 708  # Print, Locked; and ReadOnly, LockedContents (ISO 32000-2 table 167)
_ROUNDING: Final = 0.001  # of a rectangle, in points


def require_accounted_in_general(document: Document, suffix: bytes, plan: Plan, field_name: str) -> Hole:
    """The hole of ``suffix``, spelled in any way; DOCUMENT_READBACK when it holds, or changes, anything but what the plan asks for."""
    try:
        return _Account(document[:], suffix, plan, field_name).settle()
    except (UnreadableError, RecursionError, ValueError, LookupError, TypeError, AttributeError, OverflowError, StopIteration) as fault:
        if isinstance(fault, DisagreementError):
            raise VermilionError(Code.DOCUMENT_DAMAGED, str(fault)) from fault
        reason = str(fault) if isinstance(fault, UnreadableError) else "it is malformed"
        raise VermilionError(Code.DOCUMENT_READBACK, f"the update is not what was planned: {reason}") from fault


class _Account:
    def __init__(self, document: bytes, suffix: bytes, plan: Plan, field_name: str) -> None:
        self._plan, self._field_name = plan, field_name
        number = field_name.removeprefix(plan.field_name).removeprefix("-")
        _require(
            field_name in (plan.field_name, f"{plan.field_name}-{number}") and number.isdigit() is bool(number),
            "the field has another name",
        )
        self._file, self._base = document + suffix, len(document)
        self._new = Reader(self._file)
        _require(not self._new.encrypted, "it is encrypted")
        revisions = read_revisions(document, suffix)
        self._revision: Revision = revisions[-1]
        self._old = _before(self._file[: self._revision.start], self._new.trailer.get("Prev"))
        # What is not claimed by the end is what nobody planned: an attacker's object needs no name
        # to be found.
        self._left: dict[int, Object] = dict(self._revision.objects)
        self._structured: list[tuple[int, Ref, Ref, str]] = []  # key, annotation, page, kind of element
        if len(revisions) > 1:
            _require(not revisions[0].objects, "a repair holds objects")
            require_repaired(document, self._old)

    def settle(self) -> Hole:
        """Claims one object after the other and returns the hole; whatever is left unclaimed at the end was not planned."""
        # First the frame: if the update continued another revision, all comparisons below would be
        # with the wrong document.
        require_continued(self._file[: self._revision.start], self._old, self._new, set(self._revision.objects))
        for number, each in self._revision.objects.items():
            # A wrong generation makes readers ignore the object, or the old one.
            _require(each.generation == (self._old.generation(number) or 0), f"object {number} has another generation")
        require_plain(self._old, self._revision.objects)
        root = self._new.trailer["Root"]
        old, new = self._both(root)
        _require_same(old, new, {"AcroForm", "Perms"}, "the catalog")
        self._opaque = may_be_opaque(self._old, old)
        field = self._form(old.get("AcroForm"), new.get("AcroForm"))
        value = self._field(field)
        _require(same(_with(self._old.resolve(old.get("Perms")), value), self._new.resolve(new.get("Perms"))), "the permissions differ")
        self._marks(field)
        if self._structured:
            self._structure(old["StructTreeRoot"])
        _require(not self._left, f"nothing explains object {min(self._left, default=0)}")
        return self._hole

    # --- the form and the signature ----------------------------------------------------------------------------------------------

    def _form(self, before: Any, after: Any) -> Ref:
        """Checks that the form has one more field than before and differs in nothing else; returns a reference to that field."""
        old = self._old.resolve(before)
        old = old if isinstance(old, dict) else {}
        new = self._taken(after).value if isinstance(after, Ref) else after
        _require_same(old, new, {"Fields", "SigFlags", "NeedAppearances"}, "the form")
        _require(new.get("SigFlags") == 3, "the form does not say that it is signed")
        _require(new.get("NeedAppearances") in (None, old.get("NeedAppearances")), "the form asks to be redrawn")
        fields, earlier = new["Fields"], listed(self._old, old.get("Fields"))
        _require(same(fields[:-1], earlier) and isinstance(fields[-1], Ref), "the form has other fields")
        field: Ref = fields[-1]
        return field

    def _field(self, reference: Ref) -> Ref | None:
        """Checks the field and its signature; returns a reference to the signature if it certifies the document."""
        field = self._taken(reference).value
        _require_keys(field, _FIELD, {"AP", "StructParent"}, "the field")
        kinds = (field["Type"], field["Subtype"], field["FT"], field["F"])
        _require(kinds == ("Annot", "Widget", "Sig", _FIELD_FLAGS), "the field is of another kind")
        _require(plain_text(field["T"]) == self._field_name, "the field has another name")
        _require(plain_text(field["TU"]) == self._label(), "the field has another label")
        signature = self._taken(field["V"]).value
        _require_keys(signature, _SIGNATURE, {*_TEXTS, "Reference"}, "the signature")
        coded = (signature["Type"], signature["Filter"], signature["SubFilter"])
        _require(coded == ("Sig", "Adobe.PPKLite", "ETSI.CAdES.detached"), "the signature is of another kind")
        for key, name in _TEXTS.items():
            wanted = getattr(self._plan.placement.texts, name) or None
            _require((plain_text(signature[key]) if key in signature else None) == wanted, f"the signature has another /{key}")
        self._require_measured(signature)
        time = self._plan.signing_time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
        _require(plain_text(signature["M"]) == time, "the signature tells another time")
        program = signature["Prop_Build"]["App"]
        _require(
            program["Name"] == "Vermilion" and plain_text(program["REx"]) == self._plan.writer_version,
            "the signature names another program",
        )
        _require((len(signature["Prop_Build"]), len(program)) == (1, 2), "the signature names another program")
        level = self._plan.placement.certification
        _require(("Reference" in signature) is (level != Certification.NONE), "the signature certifies otherwise")
        if level == Certification.NONE:
            return None
        _require(same(signature["Reference"], [_certifies(level)]), "the signature certifies otherwise")
        value: Ref = field["V"]
        return value

    def _require_measured(self, signature: dict[str, Any]) -> None:
        """The hole is empty, and the byte range leaves out nothing else."""
        hole = signature["Contents"]
        _require(hole.end - hole.start == 2 * self._plan.hole_size_bytes + 2 and not any(hole.value), "the signature has another hole")
        _require(signature["ByteRange"] == [0, hole.start, hole.end, len(self._file) - hole.end], "the signature covers something else")
        self._hole = Hole(hole.start - self._base, hole.end - self._base)

    def _label(self) -> str:
        return f"Seal of {self._plan.owner_name}" if self._plan.owner_name else "Seal"

    # --- pages and marks ---------------------------------------------------------------------------------------------------------

    def _marks(self, field: Ref) -> None:
        looks = looks_of(self._plan.placement)
        wanted = {look.page for look in looks} or {0}
        pages = find_marked(self._old, {0, *wanted}, single=wanted if looks else set())
        own = {index: self._page(page, needed=index in wanted) for index, page in pages.items()}
        widget = self._revision.objects[field.number].value
        _require(same(widget["P"], own[looks[0].page if looks else 0][0]), "the field is on another page")
        for index in wanted:
            reference, added = own[index]
            on_it: list[Look | None] = [look for look in looks if look.page == index]
            on_it = on_it or [None]  # an invisible field is on a page, too
            _require(len(added) == len(on_it), "a page has other annotations")
            for annotation, look in zip(added, on_it, strict=True):
                first = look is None or look is looks[0]
                _require((annotation == field) is first, "a page has other annotations")
                self._annotation(annotation, look, reference, pages[index])

    def _page(self, page: PageFound, *, needed: bool) -> tuple[Ref, list[Ref]]:
        """The page's object, and the annotations that were added to it."""
        if page.reference is not None:
            if not needed:
                return page.reference, []
            reference, new = page.reference, self._taken(page.reference).value
        else:  # the page was a direct object in its parent, and had to become an indirect one to be written anew
            reference = self._moved(page)
            new = self._taken(reference).value
        _require_same(page.content, new, {"Annots", "Tabs"}, "a page")
        _require(new.get("Tabs") in ("S", page.content.get("Tabs")), "a page orders its annotations otherwise")
        earlier = listed(self._old, page.content.get("Annots"))
        annotations = new.get("Annots") or []
        _require(same(annotations[: len(earlier)], earlier), "a page has lost annotations")
        return reference, annotations[len(earlier) :]

    def _moved(self, page: PageFound) -> Ref:
        if page.holder is None:
            raise UnreadableError("a page is no object")
        # Not ``_taken``: two marked pages may be in one node, which is then met twice.
        taken = self._left.pop(page.holder.number, None) or self._revision.objects[page.holder.number]
        old, new = self._old.resolve(page.holder), taken.value
        before, after = (old, new) if isinstance(old, list) else (old["Kids"], new["Kids"])
        _require(isinstance(old, list) or same({**old, "Kids": 0}, {**new, "Kids": 0}), "a node of the page tree differs")
        moved = [index for index, kid in enumerate(before) if not same(kid, after[index])]
        _require(len(before) == len(after) and page.position in moved, "a node of the page tree differs")
        _require(all(isinstance(before[index], dict) and isinstance(after[index], Ref) for index in moved), "a node has other kids")
        reference: Ref = after[page.position]
        return reference

    def _annotation(self, reference: Ref, look: Look | None, page: Ref, found: PageFound) -> None:
        annotation = self._revision.objects[reference.number].value
        if annotation.get("Subtype") != "Widget":
            self._taken(reference)
            _require_keys(annotation, _STAMP, {"StructParent"}, "a mark")
            _require(
                (annotation["Type"], annotation["Subtype"], annotation["F"]) == ("Annot", "Stamp", _STAMP_FLAGS),
                "a mark is of another kind",
            )
            _require(same(annotation["P"], page), "a mark is on another page")
            _require(plain_text(annotation["Contents"]) == self._label(), "a mark has another label")
        if "StructParent" in annotation:
            kind = "Form" if annotation["Subtype"] == "Widget" else "Annot"
            self._structured.append((annotation["StructParent"], reference, page, kind))
        rectangle = [look.rectangle.x0, look.rectangle.y0, look.rectangle.x1, look.rectangle.y1] if look is not None else [0, 0, 0, 0]
        near = all(abs(told - planned / 1000) <= _ROUNDING for told, planned in zip(annotation["Rect"], rectangle, strict=True))
        _require(near, "a mark is in another place")
        if look is None and "AP" not in annotation:
            return
        _require(annotation["AP"].keys() == {"N"}, "a mark has several looks")
        check_look(self._take, annotation["AP"]["N"], look, found.rotation, self._plan.pictures, opaque=self._opaque)

    # --- the structure of tagged documents ---------------------------------------------------------------------------------------

    def _structure(self, tree: Any) -> None:
        """Elements for the new annotations come after the existing ones; nothing else in the structure tree differs."""
        elements: list[Ref] = []
        for number, each in list(self._left.items()):
            value = each.value
            if self._old.resolve(Ref(number, 0)) is None and isinstance(value, dict) and value.get("Type") == "StructElem":
                elements.append(Ref(number, 0))
        for element in elements:
            value = self._taken(element).value
            _require_keys(value, {"Type", "S", "P", "Pg", "K"}, set(), "an element of the structure")
            content = value["K"][0]
            entry = next(each for each in self._structured if each[1] == content["Obj"])
            _require(same(content, {"Type": Name("OBJR"), "Obj": entry[1], "Pg": entry[2]}), "an element holds something else")
            _require(len(value["K"]) == 1 and value["S"] == entry[3] and same(value["Pg"], entry[2]), "an element is of another kind")
        allowed = self._structure_objects(tree)
        pairs = {entry[0]: next(each for each in elements if self._holds(each, entry[1])) for entry in self._structured}
        for number, each in list(self._left.items()):
            _require(number in allowed or self._old.resolve(Ref(number, 0)) is None, f"nothing explains object {number}")
            self._structure_node(Ref(number, each.generation), each.value, elements, pairs)

    def _structure_objects(self, tree: Any) -> set[int]:
        """Numbers of the objects that may be rewritten: the tree's root, its parent tree, and the element for the whole document."""
        root = self._old.resolve(tree)
        kids = self._old.resolve(root.get("K"))
        first = kids[0] if isinstance(kids, list) and kids else root.get("K")
        return {each.number for each in (tree, root.get("ParentTree"), first) if isinstance(each, Ref)}

    def _holds(self, element: Ref, annotation: Ref) -> bool:
        return bool(self._revision.objects[element.number].value["K"][0]["Obj"] == annotation)

    def _structure_node(self, reference: Ref, new: Any, elements: list[Ref], pairs: dict[int, Ref]) -> None:
        old = self._old.resolve(reference)
        numbers = [part for pair in sorted(pairs.items()) for part in pair]
        if old is None:  # one more leaf of the parent tree
            _require(new.keys() == {"Limits", "Nums"} and pairs.get(new["Nums"][0]) == new["Nums"][1], "a leaf of the structure differs")
        else:
            _require_same(old, new, {"K", "ParentTreeNextKey", "Nums", "Kids"}, "the structure")
            kids = old.get("K") if isinstance(old.get("K"), list) else listed(self._old, None) + ([old["K"]] if "K" in old else [])
            resolved = self._old.resolve(old.get("K"))
            kids = resolved if isinstance(resolved, list) else kids
            _require(same(new.get("K"), old.get("K")) or same(new["K"], [*kids, *elements]), "the structure has other elements")
            nums = listed(self._old, old.get("Nums"))
            _require(same(new.get("Nums"), old.get("Nums")) or same(new["Nums"], [*nums, *numbers]), "the structure has other parents")
            branches = listed(self._old, old.get("Kids"))
            _require(same((new.get("Kids") or [])[: len(branches)], branches), "the structure has other parents")
            _require(
                all(each.number in self._revision.objects and not each.generation for each in (new.get("Kids") or [])[len(branches) :]),
                "the structure differs",
            )
        self._taken(reference)

    # --- objects -----------------------------------------------------------------------------------------------------------------

    def _both(self, reference: Ref) -> tuple[dict[str, Any], dict[str, Any]]:
        old = self._old.resolve(reference)
        new = self._taken(reference).value if reference.number in self._left else self._new.resolve(reference)
        return old, new

    def _taken(self, reference: Ref) -> Object:
        """Claims an object of the update. An object can be claimed once: it has one purpose."""
        found = self._left.pop(reference.number, None)
        if found is None or found.generation != reference.generation:
            raise UnreadableError(f"object {reference.number} is not in the update, or has two uses")
        return found

    def _take(self, reference: Ref) -> Object:
        """Claims an object that marks may share: an appearance, or part of a picture."""
        self._left.pop(reference.number, None)
        found = self._revision.objects[reference.number]
        _require(found.generation == reference.generation, f"object {reference.number} has another generation")
        return found


def _before(file: bytes, newest_at: Any) -> Reader:
    """The document as it was."""
    try:
        return Reader(file)
    except UnreadableError:
        if not isinstance(newest_at, int):
            raise
        return Reader(file, newest_at=newest_at)


def _with(permissions: Any, certifying: Ref | None) -> Any:
    if certifying is None:
        return permissions
    return {**(permissions if isinstance(permissions, dict) else {}), "DocMDP": certifying}


def _certifies(level: Certification) -> dict[str, Any]:
    parameters = {"Type": Name("TransformParams"), "P": int(level), "V": Name("1.2")}
    return {"Type": Name("SigRef"), "TransformMethod": Name("DocMDP"), "TransformParams": parameters}


def _require_same(old: Any, new: Any, but: set[str], what: str) -> None:
    """UnreadableError unless both are dictionaries that agree in every entry but these."""
    _require(isinstance(new, dict) and isinstance(old, dict), f"{what} is of another kind")
    for key in (old.keys() | new.keys()) - but:
        _require(same(old.get(key), new.get(key)), f"{what} has another /{key}")


def _require_keys(value: dict[str, Any], needed: set[str], allowed: set[str], what: str) -> None:
    _require(needed <= value.keys() <= needed | allowed, f"{what} has other entries")


def _require(holds: bool, reason: str) -> None:
    if not holds:
        raise UnreadableError(reason)
