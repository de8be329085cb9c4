"""Placement to and from its message. A value that a message cannot honestly hold raises INVALID_ARGUMENT."""

from __future__ import annotations

from typing import Any

from protos.vermilion.v1 import common_pb2
from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Certification, Level, Mark, MarkKind, Placement, Rectangle, SignatureTexts

_KINDS: dict[int, MarkKind] = {common_pb2.MARK_KIND_PLAIN: MarkKind.PLAIN, common_pb2.MARK_KIND_RIDING: MarkKind.RIDING}
_LEVELS: dict[int, Level] = {common_pb2.PADES_LEVEL_B_T: Level.B_T}
_CERTIFICATIONS: dict[int, Certification] = {
    common_pb2.CERTIFICATION_NONE: Certification.NONE,
    common_pb2.CERTIFICATION_FINAL: Certification.FINAL,
    common_pb2.CERTIFICATION_FORM_FILL: Certification.FORM_FILL,
}
_KIND_NUMBERS: dict[MarkKind, Any] = {kind: number for number, kind in _KINDS.items()}
_LEVEL_NUMBERS: dict[Level, Any] = {level: number for number, level in _LEVELS.items()}
_CERTIFICATION_NUMBERS: dict[Certification, Any] = {value: number for number, value in _CERTIFICATIONS.items()}


def placement_to_message(placement: Placement) -> common_pb2.Placement:
    """The message of a placement."""
    texts = placement.texts
    return common_pb2.Placement(
        marks=[_mark_to_message(mark) for mark in placement.marks],
        texts=common_pb2.SignatureTexts(name=texts.name, reason=texts.reason, location=texts.location, contact=texts.contact),
        certification=_CERTIFICATION_NUMBERS[placement.certification],
        level=_LEVEL_NUMBERS[placement.level],
    )


def placement_from_message(message: common_pb2.Placement) -> Placement:
    """The placement of a message; raises INVALID_ARGUMENT for unknown enum values and whatever the dataclasses refuse."""
    try:
        certification, level = _CERTIFICATIONS[message.certification], _LEVELS[message.level]
        marks = tuple(_mark_from_message(mark) for mark in message.marks)
    except KeyError as unknown:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the placement uses the unknown kind or level {unknown.args[0]}") from None
    texts = message.texts
    return Placement(marks, SignatureTexts(texts.name, texts.reason, texts.location, texts.contact), certification, level)


def _mark_to_message(mark: Mark) -> common_pb2.Mark:
    box = mark.rectangle
    return common_pb2.Mark(
        pages=mark.pages,
        rectangle=common_pb2.Rectangle(x0=box.x0, y0=box.y0, x1=box.x1, y1=box.y1),
        picture_sha256=mark.picture_sha256,
        kind=_KIND_NUMBERS[mark.kind],
    )


def _mark_from_message(mark: common_pb2.Mark) -> Mark:
    box = mark.rectangle
    return Mark(tuple(mark.pages), Rectangle(box.x0, box.y0, box.x1, box.y1), mark.picture_sha256, _KINDS[mark.kind])
