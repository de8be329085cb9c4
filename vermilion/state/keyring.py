"""Every key of the office that the ceremony made: what the inventory declares, with the public key that came of it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hsm_config import inventory
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.state import toml
from vermilion.state.layout import Layout
from vermilion.state.office import Office, SealPlan

AUTHORITY_TOKENS = ("root", "ca")
SIGNER: Final = "signer"
SEAL_ROTATION_DAYS: Final = 730
USUAL_SEALS: Final = frozenset({"seal.contract.1", "seal.invoice.1", "seal.official.1"})
"""Seals' keys that hsm_config declares; an office has those of them whose seals are in its plan."""


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


def inventory_file(layout: Layout) -> Path:
    """Where the office's inventory stands for programs that do not read vermilion.toml."""
    return layout.pki / "keys" / "inventory.toml"


def write_inventory(layout: Layout, office: Office) -> Path:
    """Makes that file, or leaves it as it is where nothing has changed."""
    declared = office_inventory(office)
    rows = {"key": [asdict(one) for one in declared.keys], "pattern": [asdict(one) for one in declared.patterns]}
    content = ("# Made from vermilion.toml and hsm_config/inventory.toml.\n\n" + toml.dump(rows)).encode()
    file = inventory_file(layout)
    if durable.read(file) != content:
        durable.write(file, content)
    return file


def office_inventory(office: Office) -> inventory.Inventory:
    """What hsm_config declares for every office, with the keys of this one's seals."""
    usual = inventory.load()
    own = {seal.label: seal_key(seal, usual) for seal in office.seals}
    others = [one for one in usual.keys if one.token != SIGNER or (one.label not in own and one.label not in USUAL_SEALS)]
    place = next((at for at, one in enumerate(others) if one.token == SIGNER), len(others))
    return inventory.Inventory((*others[:place], *own.values(), *others[place:]), usual.patterns)


def seal_key(seal: SealPlan, usual: inventory.Inventory) -> inventory.DeclaredKey:
    """The key of a seal, as the plan says or, where it names no algorithm, as hsm_config declares it; CONFIGURATION_INVALID."""
    declared = next((one for one in usual.keys if (one.token, one.label) == (SIGNER, seal.label)), None)
    if declared is not None and seal.algorithm in (None, declared.algorithm):
        return declared
    if seal.algorithm is None:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"vermilion.toml names no algorithm for the seal {seal.label}")
    return inventory.DeclaredKey(SIGNER, seal.algorithm, f"the {seal.kind} seal", SEAL_ROTATION_DAYS, "seal custodians", seal.label)


def _inventory(layout: Layout) -> inventory.Inventory:
    """As the last start made it; that of an office from before there was such a file follows from its vermilion.toml."""
    file = inventory_file(layout)
    return inventory.load(file) if file.exists() else office_inventory(Office.load(layout))


def keys(layout: Layout) -> list[DeclaredKey]:
    """All declared keys in the inventory's order, then the authorities' successors; HSM_KEY_MISSING for one that was not made."""
    return [*_declared(layout), *successors(layout)]


def _declared(layout: Layout) -> list[DeclaredKey]:
    return [
        DeclaredKey(
            one.token, one.label, str(one.algorithm), one.purpose, one.rotation_days, one.owner, _spki(layout, one.token, one.label)
        )
        for one in _inventory(layout).keys
    ]


def successors(layout: Layout) -> list[DeclaredKey]:
    """Keys of later generations, which patterns of the inventory allow."""
    inventory_, found = _inventory(layout), []
    for token in AUTHORITY_TOKENS:
        for label in _recorded(layout, token):
            declared = inventory_.declaration(token, label)
            if isinstance(declared, inventory.DeclaredPattern):
                facts = (str(declared.algorithm), declared.purpose, declared.rotation_days, declared.owner)
                found.append(DeclaredKey(token, label, *facts, _spki(layout, token, label)))
    return found


def token_of(layout: Layout, label: str) -> str:
    """The token whose key this label names, whether it is made yet or not; HSM_KEY_MISSING when the inventory declares none."""
    declared = _inventory(layout)
    found = next((token for token in sorted({one.token for one in declared.keys}) if declared.declaration(token, label)), None)
    if found is None:
        raise VermilionError(Code.HSM_KEY_MISSING, f"the inventory declares no key {label}")
    return found


def spki(layout: Layout, label: str) -> bytes:
    """The public key (SPKI, DER) of a declared key."""
    token = next((one.token for one in _inventory(layout).keys if one.label == label), None)
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
