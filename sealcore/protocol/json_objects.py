"""Placement and decision context as JSON objects: what REST, databases and resume journals hold. Digests are lower hex."""

from __future__ import annotations

from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import members, require
from sealcore.protocol.covers import from_json as covers_from_json
from sealcore.protocol.decision import DecisionContext, Policy
from sealcore.protocol.leaf import Certification, Level, Mark, MarkKind, Placement, Rectangle, SignatureTexts, placement_map

_PLACEMENT = frozenset({"marks", "texts", "certification", "level"})
_MARK = frozenset({"pages", "rect", "picture", "kind"})
_TEXTS = frozenset({"name", "reason", "location", "contact"})
_POLICY = frozenset({"id", "version", "quorum"})
_CONTEXT = frozenset({"jti", "form", "aud", "sub", "seal", "action", "covers", "policy", "nbf", "exp"})


def placement_to_json(placement: Placement) -> dict[str, Any]:
    """The four members of a placement, as in the leaf, with the pictures' digests in hex."""
    value = placement_map(placement)
    return {**value, "marks": [{**mark, "picture": mark["picture"].hex()} for mark in value["marks"]]}


def placement_from_json(value: Any) -> Placement:
    """The inverse; raises INVALID_ARGUMENT for an unknown member, a wrong type, or what the dataclasses refuse."""
    body = members(value, _PLACEMENT, Code.INVALID_ARGUMENT, "the placement")
    texts = body["texts"]
    require(isinstance(body["marks"], list), "the marks of a placement are a list")
    require(isinstance(texts, dict) and texts.keys() <= _TEXTS, "a signature has the texts name, reason, location, contact")
    try:
        certification, level = Certification(body["certification"]), Level(body["level"])
    except ValueError as unknown:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the placement is of an unknown kind: {unknown}") from None
    return Placement(tuple(_mark(mark) for mark in body["marks"]), SignatureTexts(**texts), certification, level)


def _mark(value: Any) -> Mark:
    body = members(value, _MARK, Code.INVALID_ARGUMENT, "the mark")
    try:
        rectangle, picture, kind = Rectangle(*body["rect"]), bytes.fromhex(body["picture"]), MarkKind(body["kind"])
        return Mark(tuple(body["pages"]), rectangle, picture, kind)
    except (TypeError, ValueError):
        raise VermilionError(Code.INVALID_ARGUMENT, "a mark has pages, a rectangle of four, a picture's digest and a kind") from None


def context_from_json(value: Any) -> DecisionContext:
    """The inverse of ``DecisionContext.as_json``; raises INVALID_ARGUMENT."""
    body = members(value, _CONTEXT, Code.INVALID_ARGUMENT, "the context")
    policy = members(body["policy"], _POLICY, Code.INVALID_ARGUMENT, "the policy")
    plain = {name: body[name] for name in _CONTEXT - {"covers", "policy"}}
    return DecisionContext(**plain, covers=covers_from_json(body["covers"]), policy=Policy(**policy))
