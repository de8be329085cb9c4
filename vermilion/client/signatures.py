"""Which signatures a PDF carries, and what they still allow (ISO 32000-2 §12.8.2.2), as far as a client has to know before it applies."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Final

import pikepdf

MOST_FIELDS: Final = 100_000
_DEFAULT_PERMISSION: Final = 2  # of a DocMDP transform without /P


def carried_by(source: Path | bytes) -> tuple[bool, int | None]:
    """Whether there is any signature, and the strictest DocMDP level; nothing where the document cannot be read."""
    try:
        with pikepdf.open(BytesIO(source) if isinstance(source, bytes) else source) as pdf:
            signatures = list(_signatures(pdf))
            levels = [level for each in (*signatures, *_permissions(pdf)) for level in _levels(each)]
            return bool(signatures), min(levels, default=None)
    except (pikepdf.PdfError, ValueError, TypeError, OSError):
        return False, None


def _signatures(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """The values of the form's signature fields."""
    waiting: list[tuple[pikepdf.Object, pikepdf.Object | None]] = [(field, None) for field in _items(pdf.Root.get("/AcroForm"), "/Fields")]
    seen: set[tuple[int, int]] = set()
    while waiting and len(seen) < MOST_FIELDS:
        field, kind = waiting.pop()
        if not isinstance(field, pikepdf.Dictionary) or (field.is_indirect and field.objgen in seen):
            continue
        seen.add(field.objgen)
        kind = field.get("/FT", kind)
        value = field.get("/V")
        if kind == "/Sig" and isinstance(value, pikepdf.Dictionary) and "/ByteRange" in value:
            yield value
        waiting += [(kid, kind) for kid in _items(field, "/Kids")]


def _permissions(pdf: pikepdf.Pdf) -> Iterator[pikepdf.Object]:
    """The signature that the catalog names as the certifying one."""
    permissions = pdf.Root.get("/Perms")
    if isinstance(permissions, pikepdf.Dictionary) and isinstance(permissions.get("/DocMDP"), pikepdf.Dictionary):
        yield permissions.DocMDP


def _levels(signature: pikepdf.Object) -> Iterator[int]:
    for reference in _items(signature, "/Reference"):
        if isinstance(reference, pikepdf.Dictionary) and reference.get("/TransformMethod") == "/DocMDP":
            parameters = reference.get("/TransformParams")
            level = parameters.get("/P") if isinstance(parameters, pikepdf.Dictionary) else None
            yield level if isinstance(level, int) and level in (1, 2, 3) else _DEFAULT_PERMISSION


def _items(holder: object, key: str) -> list[pikepdf.Object]:
    array = holder.get(key) if isinstance(holder, pikepdf.Dictionary) else None
    return list(array) if isinstance(array, pikepdf.Array) else []
