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
from vermilion.layout import Layout


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
    """All declared keys in the inventory's order; HSM_KEY_MISSING for one that was not made."""
    return [
        DeclaredKey(
            one.token, one.label, str(one.algorithm), one.purpose, one.rotation_days, one.owner, _spki(layout, one.token, one.label)
        )
        for one in inventory.load().keys
    ]


def spki(layout: Layout, label: str) -> bytes:
    """The public key (SPKI, DER) of a declared key."""
    token = next((one.token for one in inventory.load().keys if one.label == label), None)
    if token is None:
        raise VermilionError(Code.HSM_KEY_MISSING, f"the inventory declares no key {label}")
    return _spki(layout, token, label)


def _spki(layout: Layout, token: str, label: str) -> bytes:
    try:
        return base64.b64decode(json.loads(record_file(layout, token).read_bytes())[label])
    except (OSError, ValueError, KeyError):
        raise VermilionError(Code.HSM_KEY_MISSING, f"the ceremony has no record of the key {label}") from None
