"""Content that can change its look or act by itself after sealing: the same findings as ``signer.pdf.full.changeable``.

The quick search is the same. Where it finds a tell-tale name, everything reachable from the catalog is walked, strictly: an object
that cannot be read ends the lean way, since the sandbox may find more in it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from signer.pdf.lean.file import File
from signer.pdf.lean.form import Form
from signer.pdf.lean.grammar import END, NotLeanError, is_reference, reference
from signer.pdf.lean.values import Name, Reference, parse
from signer.pdf.reasons import ACTIONS, ANNOTATIONS, EXTERNAL, HIDDEN, IN_ORDER, JAVASCRIPT, REDRAWN_FORM, spelled_out, suspicious

MOST_OBJECTS: Final = 2_000  # to be walked here: about 20 ms, which is what the sandbox takes
MOST_BYTES: Final = 512 * 1024  # of these objects, without the data of streams
_STANDARDS: Final = re.compile(rb"http://www\.aiim\.org/pdf(?:a|ua)/ns/id/")
_STREAM: Final = (b"stream\r\n", b"stream\n")
_ACTIONS: Final = {name.encode(): reason for name, reason in ACTIONS.items()}
_ANNOTATIONS: Final = {name.encode(): reason for name, reason in ANNOTATIONS.items()}


def changeable_content(file: File, catalog: dict[bytes, bytes], form: Form, root: tuple[int, int]) -> tuple[str, ...]:
    """Plain reasons, each once, in their fixed order."""
    # The search over all bytes first: what no byte names, no object has, and the walk is spared
    # for nearly every document.
    found = _Walk(file).reasons(Reference(*root)) if any(suspicious(text) for text in (file.document, *file.object_streams())) else set()
    if _has_hidden_layers(file, catalog):
        found.add(HIDDEN)
    if form.entries is not None and _is_true(form.entries.get(b"NeedAppearances")):
        found.add(REDRAWN_FORM)
    return tuple(reason for reason in IN_ORDER if reason in found) if found else ()


def declares_conformance(file: File, metadata: bytes) -> bool:
    """Whether the catalog's XMP metadata say that the document is PDF/A or PDF/UA."""
    found = file.dictionary(*reference(metadata))
    return found is not None and found.data_offset is not None and _STANDARDS.search(spelled_out(file.data(found))) is not None


def _has_hidden_layers(file: File, catalog: dict[bytes, bytes]) -> bool:
    properties = file.entries(catalog.get(b"OCProperties"))
    default = file.entries(properties.get(b"D")) if properties is not None else None
    if default is None:
        return False
    state = default.get(b"BaseState", b"/ON")
    # Readers would fall back to a state of their own choosing.
    if state not in (b"/ON", b"/OFF", b"/Unchanged"):
        raise NotLeanError("the state of layers is written oddly")
    return bool(state != b"/ON" or file.elements(default.get(b"OFF")) or file.elements(default.get(b"AS")))


def _is_true(value: bytes | None) -> bool:
    if value is not None and is_reference(value):
        raise NotLeanError("a truth is written oddly")
    return value == b"true"


class _Walk:
    def __init__(self, file: File) -> None:
        self._file = file
        self._room_bytes = MOST_BYTES
        self._reasons: set[str] = set()

    def reasons(self, start: Reference) -> set[str]:
        stack: list[Any] = [start]
        seen: set[Reference] = set()
        while stack:
            value = stack.pop()
            streams = False
            if isinstance(value, Reference):
                if value in seen:
                    continue
                if len(seen) >= MOST_OBJECTS:
                    raise NotLeanError("there are too many objects to be walked here")
                seen.add(value)
                value, streams = self._object(value)
            if isinstance(value, dict):
                self._note(value, is_stream=streams)
                stack.extend(value.values())
            elif isinstance(value, list):
                stack.extend(value)
        return self._reasons

    def _object(self, reference: Reference) -> tuple[Any, bool]:
        """The value, and whether it is a stream."""
        where = self._file.position(reference.number, reference.generation)
        if where is None:
            return None, False
        text, position, packed = where
        value, end = parse(text, position, self._room_bytes)
        # One allowance for the whole walk: many references to one large object would otherwise cost
        # its size each time.
        self._room_bytes -= end - position
        if packed:
            return value, False
        if END.match(text, end):
            return value, False
        while text[end : end + 1] in (b" ", b"\r", b"\n", b"\t"):
            end += 1
        word = next((word for word in _STREAM if text[end : end + len(word)] == word), None)
        if word is None or not isinstance(value, dict):
            raise NotLeanError("an object ends oddly")
        # Where data ends elsewhere than its length says, readers that repair the file may find
        # objects that were not walked.
        self._require_whole(value, end + len(word))
        return value, True

    def _require_whole(self, head: dict[bytes, Any], offset: int) -> None:
        length = head.get(b"Length")
        if isinstance(length, Reference):
            raw = b"%d %d R" % (length.number, length.generation)
        elif isinstance(length, float) and length.is_integer():
            raw = b"%d" % int(length)
        else:
            raise NotLeanError("a stream has no length")
        self._file.stream_end({b"Length": raw}, offset)

    def _resolved(self, value: Any) -> Any:
        return self._object(value)[0] if isinstance(value, Reference) else value

    def _note(self, value: dict[bytes, Any], *, is_stream: bool) -> None:
        if b"JS" in value:
            self._reasons.add(JAVASCRIPT)
        kind = self._resolved(value.get(b"S"))
        if isinstance(kind, Name) and kind.value in _ACTIONS:
            self._reasons.add(_ACTIONS[kind.value])
        subtype = self._resolved(value.get(b"Subtype"))
        if b"Rect" in value and isinstance(subtype, Name) and subtype.value in _ANNOTATIONS:
            self._reasons.add(_ANNOTATIONS[subtype.value])
        if not is_stream:
            return
        form = isinstance(subtype, Name) and subtype.value == b"Form"
        if isinstance(self._resolved(value.get(b"F")), bytes | dict) or (b"Ref" in value and form):
            self._reasons.add(EXTERNAL)
