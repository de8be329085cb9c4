"""The keys that the ceremony made in a service's token, as it recorded them: ``pki/keys/TOKEN.json``, {label: SPKI in base64}.

A service gets certificates for these alone, so whoever steals the mTLS identity of the signer or the OCSP responder cannot have a key of
their own certified. A software token cannot attest more than that.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import load_der_public_key

from ca.issuance.profiles import DeclaredKeys
from sealcore.errors import Code, VermilionError
from sealcore.protocol.p256 import canonical_spki
from sealcore.unreadable import UNREADABLE

FOLDER: Final = "keys"
_RULE: Final = "Seals, timestamp units and OCSP responders are certified for keys that the ceremony made and recorded."


def require_declared(pki_folder: Path, keys: DeclaredKeys, spki_der: bytes) -> None:
    """Raises PERMISSION_DENIED unless the key (canonical SubjectPublicKeyInfo, DER) is recorded as one of these."""
    if spki_der not in _recorded(pki_folder, keys):
        reason = f"the key is none that the ceremony has recorded for the token {keys.token} under {keys.labels}…"
        raise VermilionError(Code.PERMISSION_DENIED, reason, rule=_RULE)


def _recorded(pki_folder: Path, keys: DeclaredKeys) -> list[bytes]:
    try:
        found = json.loads((pki_folder / FOLDER / f"{keys.token}.json").read_bytes())
        spkis = [base64.b64decode(spki, validate=True) for label, spki in found.items() if label.startswith(keys.labels)]
        # Compared by their one encoding, as everywhere keys are compared.
        return [canonical_spki(load_der_public_key(spki)) for spki in spkis]
    except (OSError, *UNREADABLE, AttributeError, binascii.Error):
        return []  # what cannot be read names no key
