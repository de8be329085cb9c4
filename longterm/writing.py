"""The incremental update: validation data into the DSS (ISO 32000-2 §12.8.4.3), and a document timestamp over all of it (§12.8.5).

By the compiled core where it understands the file, else by pyHanko; both mean the same. Earlier bytes stay as they are.
"""

from __future__ import annotations

from longterm.model import Store
from longterm.plan import Addition, Stamp
from sealcore import compiled

if compiled.AVAILABLE:
    from sealcore.compiled import core


def write(document: bytes, addition: Addition) -> tuple[bytes, Stamp | None]:
    """What is appended to the document, and where the document timestamp goes, if it holds room for one. DOCUMENT_…"""
    written = write_lean(document, addition)
    if written is None:
        from longterm.full import write_full  # noqa: PLC0415  (pyHanko: most documents never need it)

        written = write_full(document, addition)
    return written


def filled(suffix: bytes, document_size_bytes: int, stamp: Stamp, token: bytes) -> bytes:
    """The update with the token in its hole."""
    start = stamp.byte_range[1] - document_size_bytes + 1
    digits = token.hex().encode("ascii")
    return suffix[:start] + digits + suffix[start + len(digits) :]


def write_lean(document: bytes, addition: Addition) -> tuple[bytes, Stamp | None] | None:
    """None where the document is not fully understood, or the core is not built."""
    if not compiled.AVAILABLE:
        return None
    written = core.extend(
        document,
        core.Hash("sha256", document),
        _held(addition.store),
        addition.identifier,
        addition.hole_size_bytes,
        [(name, _held(own)) for name, own in addition.vri.items()],
        addition.field_name,
        addition.field_label,
    )
    if isinstance(written, str):
        return None
    suffix, byte_range = written
    if byte_range is None:
        return suffix, None
    start, first, second, rest = byte_range
    return suffix, Stamp((start, first, second, rest))


def _held(store: Store) -> tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[bytes, ...]]:
    return tuple(store.certificates), tuple(store.crls), tuple(store.ocsps)
