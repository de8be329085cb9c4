"""The label in front of everything that is hashed or signed, so that bytes made for one purpose prove nothing in another. Pure.

A label ends with the version of its structure. Versions stand side by side: what was signed under an old label is read under it for
ever, and a new version is a new line here. No label is the beginning of another (a test holds them to that).
"""

from __future__ import annotations

from typing import Final

LEAF_V1: Final = b"vermilion-leaf-v1"  # a document of a manifest
DECISION_V1: Final = b"vermilion-decision-v1"  # a person's decision
STOP_V1: Final = b"vermilion-stop-v1"  # an officer's stop
ACT_V1: Final = b"vermilion-act-v1"  # an act of the signer's register or of the CA, with its evidence
EVENT_V1: Final = b"vermilion-event-v1"  # what the workflow tells the ledger
TEMPLATE_V1: Final = b"vermilion-template-v1"  # the fixed content of a registered base PDF
ENTRY_V1: Final = b"vermilion-entry-v1"  # an entry of the ledger
COMMITMENT_V1: Final = b"vermilion-commitment-v1"  # a salted value in an entry
JTI_V1: Final = b"vermilion-jti-v1"  # a token's id in an entry
SIGNATURE_V1: Final = b"vermilion-sig-v1"  # a signature value, by which a stranger finds its entry
TIMESTAMP_V1: Final = b"vermilion-tst-v1"  # a timestamp token in an entry

TOKEN_TYPE_V1: Final = "vermilion-approval+jws"  # noqa: S105  (the `typ` of an approval token's header: it has no label, RFC 7515 §4.1.9)
