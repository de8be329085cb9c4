"""Every key of the office that the ceremony made: what the inventory declares, with the public key that came of it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsm_config import inventory
from sealcore.errors import Code, VermilionError
from vermilion.state.layout import Layout

AUTHORITY_TOKENS = ("root", "ca")


@dataclass(frozen=True)
class DeclaredKey:
    """A declared key and its public half (SPKI, DER)."""

    token: str
    label: str
    algorithm: str
    purpose: str
    rotation_days: int
    owner: str
    spki_der: bytes

    def as_json(self) -> dict[str, Any]:
        """For people and programs; the SPKI by its SHA-256."""
        return {
            "token": self.token,
            "label": self.label,
            "algorithm": self.algorithm,
            "purpose": self.purpose,
            "rotation_days": self.rotation_days,
            "owner": self.owner,
            "spki_sha256": hashlib.sha256(self.spki_der).hexdigest(),
        }


def record_file(layout: Layout, token: str) -> Path:
    """Where the public keys of a token are kept: {label: SPKI in base64}."""
    return layout.pki / "keys" / f"{token}.json"


def keys(layout: Layout) -> list[DeclaredKey]:
    """All declared keys in the inventory's order, then the authorities' successors; HSM_KEY_MISSING for one that was not made."""
    return [*_declared(layout), *successors(layout)]


def _declared(layout: Layout) -> list[DeclaredKey]:
    return [
        DeclaredKey(
            one.token, one.label, str(one.algorithm), one.purpose, one.rotation_days, one.owner, _spki(layout, one.token, one.label)
        )
        for one in inventory.load().keys
    ]


def successors(layout: Layout) -> list[DeclaredKey]:
    """Keys of later generations, which patterns of the inventory allow."""
    inventory_, found = inventory.load(), []
    for token in AUTHORITY_TOKENS:
        for label in _recorded(layout, token):
            declared = inventory_.declaration(token, label)
            if isinstance(declared, inventory.DeclaredPattern):
                facts = (str(declared.algorithm), declared.purpose, declared.rotation_days, declared.owner)
                found.append(DeclaredKey(token, label, *facts, _spki(layout, token, label)))
    return found


def token_of(label: str) -> str:
    """The token whose key this label names, whether it is made yet or not; HSM_KEY_MISSING when the inventory declares none."""
    declared = inventory.load()
    found = next((token for token in sorted({one.token for one in declared.keys}) if declared.declaration(token, label)), None)
    if found is None:
        raise VermilionError(Code.HSM_KEY_MISSING, f"the inventory declares no key {label}")
    return found


def spki(layout: Layout, label: str) -> bytes:
    """The public key (SPKI, DER) of a declared key."""
    token = next((one.token for one in inventory.load().keys if one.label == label), None)
    if token is None:
        raise VermilionError(Code.HSM_KEY_MISSING, f"the inventory declares no key {label}")
    return _spki(layout, token, label)


def _spki(layout: Layout, token: str, label: str) -> bytes:
    try:
        return base64.b64decode(_recorded(layout, token)[label])
    except (ValueError, KeyError):
        raise VermilionError(Code.HSM_KEY_MISSING, f"the ceremony has no record of the key {label}") from None


def _recorded(layout: Layout, token: str) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(record_file(layout, token).read_bytes())
    except (OSError, ValueError):
        return {}
    return found
