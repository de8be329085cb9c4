"""What an approval covers: a manifest of exact documents, a bounded grant, or the parameters of an act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url, b64url_decode, is_digest, is_integer, is_text, members, require
from sealcore.protocol.leaf import MOST_DOCUMENTS

MOST_GRANT_USES = 2**31 - 1  # an index is a uint32 on the wire
MOST_PARAMETERS = 64
MOST_LIST_ITEMS = 10_000
PARAMETER_CHARACTERS = 100_000  # a certificate or a public key fits, a document does not
_TEMPLATE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True)
class ManifestCovers:
    """The documents under one Merkle root; ``size`` bounds the proofs."""

    root: bytes
    size: int

    def __post_init__(self) -> None:
        require(is_digest(self.root), "a manifest's root is 32 bytes")
        require(is_integer(self.size, 1, MOST_DOCUMENTS), f"a manifest has 1 to {MOST_DOCUMENTS} documents")


@dataclass(frozen=True)
class GrantCovers:
    """A standing approval: uses 0 … most_uses - 1 until ``expires`` (NumericDate), on a registered template or on none.

    template    lower hex SHA-256 of the registered base PDF's fixed content, or None: the higher tier
    """

    most_uses: int
    expires: int
    template: str | None

    def __post_init__(self) -> None:
        require(is_integer(self.most_uses, 1, MOST_GRANT_USES), "a grant has a number of uses")
        require(is_integer(self.expires, 1), "a grant has an end")
        require(self.template is None or (isinstance(self.template, str) and _TEMPLATE.fullmatch(self.template) is not None),
                "a template is named by the lower hex of a SHA-256")  # fmt: skip


@dataclass(frozen=True)
class ActCovers:
    """The parameters of an act: texts, whole numbers, or lists of these. Copied at construction."""

    parameters: Mapping[str, str | int | list[Any]]

    def __post_init__(self) -> None:
        require(isinstance(self.parameters, Mapping) and len(self.parameters) <= MOST_PARAMETERS, "an act has few parameters")
        for name, value in self.parameters.items():
            require(isinstance(name, str) and _NAME.fullmatch(name) is not None, "a parameter has a name in lower case")
            require(_is_parameter(value), f"the parameter {name!r} is not a text, a whole number or a list of these")
        # Copied, since what was checked here is what is signed: a caller's list could grow
        # afterwards.
        copied = {name: list(value) if isinstance(value, list) else value for name, value in self.parameters.items()}
        object.__setattr__(self, "parameters", copied)


_PARAMETER_TYPES: dict[str, type] = {**dict.fromkeys(("roles", "chain", "pictures", "quorum", "fields"), list), "least_persons": int}
_PARAMETER_TYPES_OF_CHANGE: Mapping[str, dict[str, type]] = {"policy_add": {"version": int, "quorum": int}}
_CALLED: Mapping[type, str] = {str: "a text", list: "a list of texts", int: "a whole number"}


def require_kinds(parameters: Mapping[str, Any]) -> None:
    """INVALID_ARGUMENT unless each parameter of an act is of its kind: a text, but for the few that are lists of texts or numbers."""
    change = parameters.get("change")
    types = _PARAMETER_TYPES | (_PARAMETER_TYPES_OF_CHANGE.get(change, {}) if isinstance(change, str) else {})
    for name, value in parameters.items():
        kind = types.get(name, str)
        require(type(value) is kind, f"{name} is {_CALLED[kind]}")
        require(kind is not list or all(isinstance(one, str) for one in value), f"{name} is {_CALLED[kind]}")


Covers = ManifestCovers | GrantCovers | ActCovers


def _is_plain(value: Any) -> bool:
    return value == "" or is_text(value, PARAMETER_CHARACTERS) or is_integer(value, -(2**53) + 1)


def _is_parameter(value: Any) -> bool:
    return _is_plain(value) or (isinstance(value, list) and len(value) <= MOST_LIST_ITEMS and all(map(_is_plain, value)))


def to_json(covers: Covers) -> dict[str, Any]:
    """The JSON form that tokens and decisions carry."""
    match covers:
        case ManifestCovers(root, size):
            return {"manifest": {"root": b64url(root), "size": size}}
        case GrantCovers(most_uses, expires, template):
            return {"grant": {"uses": most_uses, "until": expires, "template": template or "none"}}
        case ActCovers(parameters):
            return {"act": {name: list(value) if isinstance(value, list) else value for name, value in parameters.items()}}


def from_json(value: Any, code: Code = Code.INVALID_ARGUMENT) -> Covers:
    """The inverse; raises ``code`` for an unknown member or a wrong type."""
    # Exactly one: an approval that covers two things could be shown as the one and used as the
    # other.
    if not isinstance(value, dict) or len(value) != 1:
        raise VermilionError(code, "covers is exactly one of manifest, grant, act")
    ((kind, body),) = value.items()
    try:
        match kind:
            case "manifest":
                manifest = members(body, frozenset({"root", "size"}), code, "the manifest")
                return ManifestCovers(b64url_decode(manifest["root"], code), manifest["size"])
            case "grant":
                grant = members(body, frozenset({"uses", "until", "template"}), code, "the grant")
                template = grant["template"]
                require(isinstance(template, str), "a template is 'none' or the hex of a SHA-256")
                return GrantCovers(grant["uses"], grant["until"], None if template == "none" else template)
            case "act":
                require(isinstance(body, dict), "an act's parameters are an object")
                return ActCovers(body)
            case _:
                raise VermilionError(code, "covers is exactly one of manifest, grant, act")
    except VermilionError as fault:
        raise VermilionError(code, fault.reason) from None
