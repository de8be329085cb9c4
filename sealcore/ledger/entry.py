"""One ledger entry: what is public for ever about one act, with people and forms only as salted commitments.

Encoding: ``vermilion-entry-v1`` ‖ deterministic CBOR map; absent facts are left out. An entry's place in the tree is
``merkle.leaf_hash`` of that encoding.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import cbor2

from sealcore import merkle
from sealcore.approvals.canonical import is_digest, is_integer, is_text, ordered_cbor, require
from sealcore.errors import Code, VermilionError

LABEL = b"vermilion-entry-v1"
VERSION = 1
MOST_ENTRY_BYTES = 65_535  # tlog-tiles: an entry's length is a big-endian uint16
SALT_BYTES = 32
COMMITMENT_NAMES = ("form", "people", "policy")  # in the order of deterministic CBOR
MOST_WARNINGS = 64
_KIND = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# CBOR key → field, for the optional digests and counts
_DIGESTS = {"jti": "jti_hash", "leaf": "leaf_hash", "spki": "spki_sha256", "subject": "subject_sha256",
            "signature": "signature_hash", "timestamp": "timestamp_hash"}  # fmt: skip
_COUNTS = {"index": "index", "attempts": "attempts"}


class EntryKind(StrEnum):
    """The kinds that this version writes. Readers take any kind of the right spelling: later versions add some."""

    SEAL = "seal"
    VOID = "void"
    ACT = "act"
    CERTIFICATE = "certificate"
    REVOCATION = "revocation"
    IMPRESSION = "impression"
    AUDIT = "audit"
    REHEARSAL = "rehearsal"
    FORM = "form"


@dataclass(frozen=True)
class Entry:
    """The facts of one act. Digests are 32 bytes; ``time_us`` is microseconds since 1970 UTC.

    subject_sha256  what the entry is about when it is not a use: certificate, CRL, signed act, statement
    commitments     form, people, policy: SHA-256 over a salt and the value (``commitment``)
    warnings        stable words about content that can change its look, a quorum of 0, …
    """

    kind: str
    time_us: int
    jti_hash: bytes | None = None
    index: int | None = None
    attempts: int | None = None
    spki_sha256: bytes | None = None
    leaf_hash: bytes | None = None
    signature_hash: bytes | None = None
    timestamp_hash: bytes | None = None
    subject_sha256: bytes | None = None
    commitments: Mapping[str, bytes] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(isinstance(self.kind, str) and _KIND.fullmatch(self.kind) is not None, "an entry's kind is a word in lower case")
        require(is_integer(self.time_us), "an entry has a time in microseconds")
        for name in _DIGESTS.values():
            value = getattr(self, name)
            require(value is None or is_digest(value), f"an entry's {name} is 32 bytes")
        for name in _COUNTS.values():
            value = getattr(self, name)
            require(value is None or is_integer(value), f"an entry's {name} is a count")
        require(isinstance(self.commitments, Mapping) and self.commitments.keys() <= set(COMMITMENT_NAMES), "an unknown commitment")
        require(all(map(is_digest, self.commitments.values())), "a commitment is 32 bytes")
        require(len(self.warnings) <= MOST_WARNINGS and all(is_text(word, 200) for word in self.warnings), "warnings are short texts")
        object.__setattr__(self, "kind", str(self.kind))
        object.__setattr__(self, "commitments", dict(self.commitments))

    @property
    def time(self) -> datetime:
        """The time, aware, in UTC."""
        return _EPOCH + timedelta(microseconds=self.time_us)

    def encode(self) -> bytes:
        """The bytes that are logged; raises INVALID_ARGUMENT above 65,535."""
        facts = {  # in the order of deterministic CBOR
            "jti": self.jti_hash,
            "kind": self.kind,
            "leaf": self.leaf_hash,
            "spki": self.spki_sha256,
            "time": self.time_us,
            "index": self.index,
            "subject": self.subject_sha256,
            "version": VERSION,
            "attempts": self.attempts,
            "warnings": list(self.warnings) or None,
            "signature": self.signature_hash,
            "timestamp": self.timestamp_hash,
            "commitments": {name: self.commitments[name] for name in COMMITMENT_NAMES if name in self.commitments} or None,
        }
        data = LABEL + ordered_cbor({key: value for key, value in facts.items() if value is not None})
        require(len(data) <= MOST_ENTRY_BYTES, f"an entry has at most {MOST_ENTRY_BYTES} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Entry:
        """The inverse; raises LEDGER_INCONSISTENT for bytes that ``encode`` would not have made."""
        try:
            require(len(data) <= MOST_ENTRY_BYTES and data.startswith(LABEL), "no entry of this version")
            facts = cbor2.loads(data[len(LABEL) :])
            require(isinstance(facts, dict) and facts.get("version") == VERSION, "no entry of this version")
            named = {**_DIGESTS, **_COUNTS, "kind": "kind", "time": "time_us", "commitments": "commitments"}
            unknown = facts.keys() - named.keys() - {"version", "warnings"}
            require(not unknown, "an entry has an unknown fact")
            warnings = facts.get("warnings", [])
            require(isinstance(warnings, list), "warnings are a list")
            entry = cls(**{name: facts[key] for key, name in named.items() if key in facts}, warnings=tuple(warnings))
            require(entry.encode() == data, "an entry is not in its canonical form")
        except VermilionError as fault:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"a ledger entry cannot be read: {fault.reason}") from None
        except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "a ledger entry cannot be read: it is not CBOR of the right shape") from None
        return entry


def time_us(instant: datetime) -> int:
    """Microseconds since 1970 UTC of an aware instant."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def entry_hash(data: bytes) -> bytes:
    """The entry's leaf hash in the ledger's tree."""
    return merkle.leaf_hash(data)


def jti_hash(jti: str) -> bytes:
    """SHA-256(``vermilion-jti-v1`` ‖ jti)."""
    return hashlib.sha256(b"vermilion-jti-v1" + jti.encode("utf-8")).digest()


def signature_hash(signature_value: bytes) -> bytes:
    """SHA-256(``vermilion-sig-v1`` ‖ SignerInfo signature value): by this a stranger finds the entry."""
    return hashlib.sha256(b"vermilion-sig-v1" + signature_value).digest()


def timestamp_hash(token_der: bytes) -> bytes:
    """SHA-256(``vermilion-tst-v1`` ‖ DER of the TimeStampToken)."""
    return hashlib.sha256(b"vermilion-tst-v1" + token_der).digest()


def commitment(salt: bytes, value: str) -> bytes:
    """SHA-256(``vermilion-commitment-v1`` ‖ salt (32 bytes) ‖ value): without the salt it says nothing about the value."""
    require(len(salt) == SALT_BYTES, "a commitment's salt is 32 bytes")
    return hashlib.sha256(b"vermilion-commitment-v1" + salt + value.encode("utf-8")).digest()


def people_value(person_ids: Iterable[str]) -> str:
    """The one spelling of a set of persons under a commitment: ids sorted, each once, joined by commas."""
    return ",".join(sorted(set(person_ids)))
