"""Values for tests: objects of the implementation out of the vectors' plain structures."""

from __future__ import annotations

from typing import Any

from sealcore.protocol import covers
from sealcore.protocol.decision import DecisionContext, Policy
from sealcore.protocol.leaf import Certification, Leaf, Level, Mark, MarkKind, Placement, Rectangle, SignatureTexts


def placement_of(plain: dict[str, Any]) -> Placement:
    marks = tuple(
        Mark(tuple(mark["pages"]), Rectangle(*mark["rect"]), bytes.fromhex(mark["picture"]), MarkKind(mark["kind"]))
        for mark in plain["marks"]
    )
    return Placement(marks, SignatureTexts(**plain["texts"]), Certification(plain["certification"]), Level(plain["level"]))


def leaf_of(plain: dict[str, Any]) -> Leaf:
    return Leaf(
        bytes.fromhex(plain["salt"]), plain["index"], plain["size"], bytes.fromhex(plain["sha256"]), plain["length"], placement_of(plain)
    )


def context_of(plain: dict[str, Any]) -> DecisionContext:
    return DecisionContext(**{**plain, "covers": covers.from_json(plain["covers"]), "policy": Policy(**plain["policy"])})
