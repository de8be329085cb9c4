"""One ledger entry: what is public for ever about one act, with people and forms only as salted commitments.

Encoding: ``vermilion-entry-v1`` ‖ deterministic CBOR map; absent facts are left out. An entry's place in the tree is
``merkle.leaf_hash`` of that encoding.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import cbor2

from sealcore.errors import Code, VermilionError
from sealcore.protocol import merkle
from sealcore.protocol.canonical import is_digest, is_integer, is_text, ordered_cbor, require
from sealcore.protocol.labels import COMMITMENT_V1, ENTRY_V1, JTI_V1, SIGNATURE_V1, TIMESTAMP_V1

VERSION = 1
COMMIT_WITHIN_S = 24 * 3600
"""A use is committed at most so long after it was intended, and so after its timestamp, or not by that attempt at all."""
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
_NAMED = {**_DIGESTS, **_COUNTS, "kind": "kind", "time": "time_us", "commitments": "commitments"}

# The map's keys as CBOR, each digest's with the head of a string of 32 bytes.
_KEY = {name: ordered_cbor(name) for name in (*_NAMED, "version", "warnings")}
_HASH = {name: ordered_cbor(name) + b"\x58\x20" for name in (*_DIGESTS, *COMMITMENT_NAMES)}
_VERSION = _KEY["version"] + ordered_cbor(VERSION)
_VERSION_ATTEMPTS = _VERSION + _KEY["attempts"]


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
            if value is not None and not is_digest(value):
                require(False, f"an entry's {name} is 32 bytes")
        for name in _COUNTS.values():
            value = getattr(self, name)
            if value is not None and not is_integer(value):
                require(False, f"an entry's {name} is a count")
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
        facts = [  # in the order of deterministic CBOR: shorter keys first, then bytewise
            _hash("jti", self.jti_hash),
            _KEY["kind"] + ordered_cbor(self.kind),
            _hash("leaf", self.leaf_hash),
            _hash("spki", self.spki_sha256),
            _KEY["time"] + _number(self.time_us),
            b"" if self.index is None else _KEY["index"] + _number(self.index),
            _hash("subject", self.subject_sha256),
            _VERSION,
            b"" if self.attempts is None else _KEY["attempts"] + _number(self.attempts),
            _warnings(self.warnings),
            _hash("signature", self.signature_hash),
            _hash("timestamp", self.timestamp_hash),
            _commitments([(name, self.commitments[name]) for name in COMMITMENT_NAMES if name in self.commitments]),
        ]
        data = b"".join((ENTRY_V1, _map_head(sum(map(bool, facts))), *facts))
        require(len(data) <= MOST_ENTRY_BYTES, f"an entry has at most {MOST_ENTRY_BYTES} bytes")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Entry:
        """The inverse; raises LEDGER_INCONSISTENT for bytes that ``encode`` would not have made."""
        try:
            require(len(data) <= MOST_ENTRY_BYTES and data.startswith(ENTRY_V1), "no entry of this version")
            facts = cbor2.loads(data[len(ENTRY_V1) :])
            require(isinstance(facts, dict) and facts.get("version") == VERSION, "no entry of this version")
            unknown = facts.keys() - _NAMED.keys() - {"version", "warnings"}
            require(not unknown, "an entry has an unknown fact")
            warnings = facts.get("warnings", [])
            require(isinstance(warnings, list), "warnings are a list")
            entry = cls(**{name: facts[key] for key, name in _NAMED.items() if key in facts}, warnings=tuple(warnings))
            # One entry has one encoding: otherwise the same facts could stand in the tree under two
            # hashes.
            require(entry.encode() == data, "an entry is not in its canonical form")
        except VermilionError as fault:
            raise VermilionError(Code.LEDGER_INCONSISTENT, f"a ledger entry cannot be read: {fault.reason}") from None
        except (cbor2.CBORDecodeError, TypeError, ValueError, RecursionError):
            raise VermilionError(Code.LEDGER_INCONSISTENT, "a ledger entry cannot be read: it is not CBOR of the right shape") from None
        return entry


class UseEntries:
    """Encodes the entries of uses that share a token, a time and an end: the bytes of ``Entry.encode`` for a tenth of its cost.

    What they share is encoded once. The caller vouches for what ``Entry`` would check: digests of 32 bytes, counts, plain warnings.

    values        what each entry commits to, under salts of its own
    salts_bytes   how many bytes of salt each entry takes: 32 a value, in the order of ``COMMITMENT_NAMES``
    """

    def __init__(self, kind: EntryKind, time_us: int, *, jti_hash: bytes, spki_sha256: bytes, values: Mapping[str, str]) -> None:
        names = [name for name in COMMITMENT_NAMES if name in values]
        self.salts_bytes = SALT_BYTES * len(names)
        self._is_seal = kind is EntryKind.SEAL
        members = 8 + 2 * self._is_seal + bool(names)
        first = _hash("jti", jti_hash) + _KEY["kind"] + ordered_cbor(kind.value) + _HASH["leaf"]
        self._plain, self._warned = ENTRY_V1 + _map_head(members) + first, ENTRY_V1 + _map_head(members + 1) + first
        self._second = _hash("spki", spki_sha256) + _KEY["time"] + _number(time_us) + _KEY["index"]
        head = _KEY["commitments"] + _map_head(len(names))
        heads = [(head if at == 0 else b"") + _HASH[name] for at, name in enumerate(names)]
        self._commitments = [(at * SALT_BYTES, heads[at], values[name].encode("utf-8")) for at, name in enumerate(names)]

    def encode(
        self, *, leaf_hash: bytes, index: int, attempts: int, signature_hash: bytes, timestamp_hash: bytes, salts: bytes,
        warnings: Sequence[str] = (),
    ) -> bytes:  # fmt: skip
        """One entry; the hashes of signature and timestamp are left out of a void. Raises INVALID_ARGUMENT above 65,535 bytes."""
        parts = [
            self._warned if warnings else self._plain, leaf_hash, self._second, _number(index), _VERSION_ATTEMPTS, _number(attempts),
        ]  # fmt: skip
        if warnings:
            parts.append(_warnings(warnings))
        if self._is_seal:
            parts += (_HASH["signature"], signature_hash, _HASH["timestamp"], timestamp_hash)
        for at, head, value in self._commitments:
            parts += (head, hashlib.sha256(COMMITMENT_V1 + salts[at : at + SALT_BYTES] + value).digest())
        data = b"".join(parts)
        require(len(data) <= MOST_ENTRY_BYTES, f"an entry has at most {MOST_ENTRY_BYTES} bytes")
        return data


class UseFacts(NamedTuple):
    """What ties an entry to the use that it ends: the facts of the same names, ``number`` for the use's index."""

    kind: str
    jti_hash: bytes
    number: int
    attempts: int
    leaf_hash: bytes


def use_facts(data: bytes) -> UseFacts | None:
    """The facts of a seal's or void's entry that is plainly of the shape that ``UseEntries`` makes; None: ``Entry.decode`` must say.

    Whatever this takes, ``Entry.decode`` takes too, with the same facts; it costs a tenth.
    """
    found = _USE_ENTRY.fullmatch(data)
    if found is None:
        return None
    head, jti, kind, leaf, index, attempts, warnings, signature, commitments = found.groups()
    members = 8 + (warnings is not None) + 2 * (signature is not None) + (commitments is not None)
    # The pattern leaves parts out; the head must count exactly those that are there.
    if head[0] != 0xA0 | members or (warnings is not None and not _are_warnings(warnings)):
        return None
    return UseFacts(kind.decode("ascii"), jti, _counted(index), _counted(attempts), leaf)


def _pattern() -> re.Pattern[bytes]:
    def key(name: str) -> bytes:
        return re.escape(_KEY[name])

    def digest(name: str, value: bytes = b".{32}") -> bytes:
        return re.escape(_HASH[name]) + value

    # in the shortest form, up to MOST_INTEGER
    number = rb"[\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00).{4}|\x1b(?!\x00{4})\x00[\x00-\x1f].{6}"
    groups = [b""]  # every choice of commitments, in order
    for name in COMMITMENT_NAMES:
        groups += [group + digest(name) for group in groups]
    choices = b"|".join(
        re.escape(_KEY["commitments"] + _map_head(group.count(b".{32}"))) + group for group in sorted(groups[1:], key=len, reverse=True)
    )
    parts = (
        re.escape(ENTRY_V1) + b"([\xa8-\xac])",
        digest("jti", b"(.{32})"),
        key("kind") + b"d(seal|void)",
        digest("leaf", b"(.{32})"),
        digest("spki"),
        key("time") + b"(?:" + number + b")",
        key("index") + b"(" + number + b")",
        re.escape(_VERSION),
        key("attempts") + b"(" + number + b")",
        b"(" + key("warnings") + b".+?)?",
        b"(" + digest("signature") + digest("timestamp") + b")?",
        b"(" + choices + b")?",
    )
    return re.compile(b"".join(parts), re.DOTALL)


@lru_cache(maxsize=256)
def _are_warnings(data: bytes) -> bool:
    """Whether this is the member with the warnings, exactly as ``encode`` writes it."""
    try:
        words = cbor2.loads(data[len(_KEY["warnings"]) :])
    except (cbor2.CBORDecodeError, ValueError, RecursionError):
        return False
    plain = isinstance(words, list) and 0 < len(words) <= MOST_WARNINGS and all(is_text(word, 200) for word in words)
    return plain and _warnings(words) == data


def _counted(number: bytes) -> int:
    return number[0] if len(number) == 1 else int.from_bytes(number[1:], "big")


def _map_head(members: int) -> bytes:
    return bytes((0xA0 | members,))  # an entry has fewer than 24


def _number(value: int) -> bytes:
    """An unsigned integer in the shortest form (RFC 8949 §4.2.1)."""
    if value < 24:
        return value.to_bytes(1, "big")
    if value < 0x100:
        return b"\x18" + value.to_bytes(1, "big")
    if value < 0x1_0000:
        return b"\x19" + value.to_bytes(2, "big")
    if value < 0x1_0000_0000:
        return b"\x1a" + value.to_bytes(4, "big")
    return b"\x1b" + value.to_bytes(8, "big")


def _hash(name: str, value: bytes | None) -> bytes:
    return b"" if value is None else _HASH[name] + value


def _warnings(words: Sequence[str]) -> bytes:
    return _KEY["warnings"] + ordered_cbor(list(words)) if words else b""


def _commitments(values: Sequence[tuple[str, bytes]]) -> bytes:
    if not values:
        return b""
    return b"".join((_KEY["commitments"], _map_head(len(values)), *(_HASH[name] + value for name, value in values)))


_USE_ENTRY = _pattern()


def time_us(instant: datetime) -> int:
    """Microseconds since 1970 UTC of an aware instant."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def entry_hash(data: bytes) -> bytes:
    """The entry's leaf hash in the ledger's tree."""
    return merkle.leaf_hash(data)


def jti_hash(jti: str) -> bytes:
    """SHA-256(``vermilion-jti-v1`` ‖ jti)."""
    return hashlib.sha256(JTI_V1 + jti.encode("utf-8")).digest()


def signature_hash(signature_value: bytes) -> bytes:
    """SHA-256(``vermilion-sig-v1`` ‖ SignerInfo signature value): by this a stranger finds the entry."""
    return hashlib.sha256(SIGNATURE_V1 + signature_value).digest()


def timestamp_hash(token_der: bytes) -> bytes:
    """SHA-256(``vermilion-tst-v1`` ‖ DER of the TimeStampToken)."""
    return hashlib.sha256(TIMESTAMP_V1 + token_der).digest()


def commitment(salt: bytes, value: str) -> bytes:
    """SHA-256(``vermilion-commitment-v1`` ‖ salt (32 bytes) ‖ value): without the salt it says nothing about the value."""
    require(len(salt) == SALT_BYTES, "a commitment's salt is 32 bytes")
    return hashlib.sha256(COMMITMENT_V1 + salt + value.encode("utf-8")).digest()


def people_value(person_ids: Iterable[str]) -> str:
    """The one spelling of a set of persons under a commitment: ids sorted, each once, joined by commas."""
    return ",".join(sorted(set(person_ids)))
