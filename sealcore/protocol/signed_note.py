"""Checkpoints as C2SP signed notes: c2sp.org/signed-note, tlog-checkpoint, and cosignature/v1 of tlog-cosignature. Pure.

A checkpoint is believed only through ``verify_log`` and ``verify_witness``; both raise LEDGER_INCONSISTENT.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from sealcore.errors import Code, VermilionError

MOST_NOTE_BYTES = 32 * 1024  # 16 signatures must be taken; a post-quantum one may have nearly 5 kB
MOST_SIZE = 2**63 - 1
ED25519_BYTES = 64
KEY_ID_BYTES = 4
_TIMESTAMP_BYTES = 8
_NAME = re.compile(r"[^\s+]{1,255}")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")

Sign = Callable[[bytes], bytes]
"""Signs data with an Ed25519 key (RFC 8032): 64 bytes."""


class SignatureType(IntEnum):
    """Signature type identifier bytes of signed-note."""

    ED25519 = 0x01
    COSIGNATURE_V1 = 0x04


def _bad(reason: str) -> VermilionError:
    return VermilionError(Code.LEDGER_INCONSISTENT, reason, rule="A checkpoint counts only as the log and its witness signed it.")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _base64_decode(text: str) -> bytes:
    """RFC 4648 §4, with its padding and without loose bits: one value has one spelling."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise _bad("a line of the checkpoint is not base64") from None
    if _base64(data) != text:
        raise _bad("a line of the checkpoint is not in canonical base64")
    return data


@dataclass(frozen=True)
class VerifierKey:
    """A name with an Ed25519 public key (32 bytes) and what it signs; written ``NAME+KEYID+BASE64``."""

    name: str
    type: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None or len(self.public_key) != 32:
            raise VermilionError(Code.CONFIGURATION_INVALID, "a note key has a name without spaces or plus, and an Ed25519 key")

    @property
    def key_id(self) -> bytes:
        """SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public_key).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.type]) + self.public_key)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """The inverse of ``str``; raises CONFIGURATION_INVALID, also when the key id does not belong to the key."""
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        try:
            material = _base64_decode(encoded)
            key = cls(name, SignatureType(material[0]), material[1:])
            if key.key_id.hex() == key_id:
                return key
        except (VermilionError, ValueError, IndexError):
            pass
        raise VermilionError(Code.CONFIGURATION_INVALID, "a note key is not of the form NAME+KEYID+BASE64")

    @classmethod
    def of_spki(cls, name: str, signature_type: SignatureType, spki_der: bytes) -> VerifierKey:
        """From a SubjectPublicKeyInfo; raises CONFIGURATION_INVALID unless it is Ed25519."""
        try:
            public_key = load_der_public_key(spki_der)
        except ValueError:
            public_key = None
        if not isinstance(public_key, Ed25519PublicKey):
            raise VermilionError(Code.CONFIGURATION_INVALID, "a note key is an Ed25519 key")
        return cls(name, signature_type, public_key.public_bytes_raw())

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises LEDGER_INCONSISTENT unless this key signed ``message``."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise _bad(f"the signature of {self.name} does not belong to the checkpoint") from None


def log_key(origin: str, spki_der: bytes) -> VerifierKey:
    """The key of a log that signs checkpoints under ``origin``."""
    return VerifierKey.of_spki(origin, SignatureType.ED25519, spki_der)


def witness_key(name: str, spki_der: bytes) -> VerifierKey:
    """The key of a witness that cosigns."""
    return VerifierKey.of_spki(name, SignatureType.COSIGNATURE_V1, spki_der)


@dataclass(frozen=True)
class Checkpoint:
    """A tree head: origin, size, root. ``extensions`` are opaque lines; this log writes none."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.origin) is None or not 0 <= self.size <= MOST_SIZE or len(self.root) != 32 or "" in self.extensions:
            raise _bad("the checkpoint has no proper origin, size or root")

    def body(self) -> bytes:
        """The signed text, final newline included."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _base64(self.root), *self.extensions)).encode()

    @classmethod
    def parse_body(cls, body: str) -> Checkpoint:
        """The inverse of ``body``."""
        lines = body.split("\n")
        if len(lines) < 4 or lines[-1] or _DECIMAL.fullmatch(lines[1]) is None:
            raise _bad("the checkpoint is not three lines of origin, size and root")
        return cls(lines[0], int(lines[1]), _base64_decode(lines[2]), tuple(lines[3:-1]))


@dataclass(frozen=True)
class NoteSignature:
    """One signature line. ``value`` is what follows the key id."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """``— NAME BASE64`` with its newline."""
        return f"— {self.name} {_base64(self.key_id + self.value)}\n"

    @classmethod
    def parse(cls, line: str) -> NoteSignature:
        """The inverse of ``line``, newline excluded."""
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—" or _NAME.fullmatch(parts[1]) is None:
            raise _bad("a signature line of the checkpoint is malformed")
        data = _base64_decode(parts[2])
        if len(data) <= KEY_ID_BYTES:
            raise _bad("a signature of the checkpoint is too short")
        return cls(parts[1], data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def parse_signatures(text: str) -> tuple[NoteSignature, ...]:
    """Signature lines, each ended by a newline; at least one."""
    if not text.endswith("\n"):
        raise _bad("the checkpoint does not end in a signature line")
    return tuple(NoteSignature.parse(line) for line in text[:-1].split("\n"))


@dataclass(frozen=True)
class SignedCheckpoint:
    """A checkpoint with its signature lines; nothing is believed before ``verify_log``."""

    checkpoint: Checkpoint
    signatures: tuple[NoteSignature, ...]

    def encode(self) -> bytes:
        """The signed note."""
        return self.checkpoint.body() + b"\n" + "".join(one.line() for one in self.signatures).encode()

    @classmethod
    def parse(cls, data: bytes) -> SignedCheckpoint:
        """The inverse; raises LEDGER_INCONSISTENT for what is not a signed note of a checkpoint."""
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            raise _bad("the checkpoint is not UTF-8") from None
        # The last empty line divides: the body may hold others, signatures none.
        body, blank, lines = text.rpartition("\n\n")
        if len(data) > MOST_NOTE_BYTES or not blank or _CONTROL.search(text):
            raise _bad("the checkpoint is not a signed note")
        return cls(Checkpoint.parse_body(body + "\n"), parse_signatures(lines))

    def with_signatures(self, more: tuple[NoteSignature, ...]) -> SignedCheckpoint:
        """The same checkpoint with further signatures."""
        return SignedCheckpoint(self.checkpoint, (*self.signatures, *more))

    def by(self, key: VerifierKey) -> tuple[NoteSignature, ...]:
        """The signatures that claim to be by ``key``: same name, same key id."""
        return tuple(one for one in self.signatures if (one.name, one.key_id) == (key.name, key.key_id))


def sign_checkpoint(checkpoint: Checkpoint, key: VerifierKey, sign: Sign) -> SignedCheckpoint:
    """The checkpoint under the log's signature."""
    return SignedCheckpoint(checkpoint, (NoteSignature(key.name, key.key_id, sign(checkpoint.body())),))


def verify_log(signed: SignedCheckpoint, key: VerifierKey) -> None:
    """Raises LEDGER_INCONSISTENT unless the log ``key`` signed, under its own origin, and each signature in its name holds."""
    # A log with the same key under another name has another history.
    if signed.checkpoint.origin != key.name:
        raise _bad("the checkpoint is of another log")
    found = signed.by(key)
    if not found:
        raise _bad("the checkpoint is not signed by the log's key")
    # Every one of them: an invalid line in the log's own name is no slip, and a reader that
    # stops at another line would disagree with us.
    for one in found:
        key.verify(one.value, signed.checkpoint.body())


def cosign(checkpoint: Checkpoint, key: VerifierKey, time_s: int, sign: Sign) -> NoteSignature:
    """A cosignature/v1: as of ``time_s`` (POSIX) this is the largest consistent tree head that the witness has seen."""
    signature = sign(_cosigned_message(checkpoint, time_s))
    return NoteSignature(key.name, key.key_id, time_s.to_bytes(_TIMESTAMP_BYTES, "big") + signature)


def verify_witness(signed: SignedCheckpoint, key: VerifierKey) -> int:
    """POSIX time of the newest cosignature by ``key``; raises LEDGER_INCONSISTENT when there is none or one does not hold."""
    found = signed.by(key)
    if not found:
        raise _bad(f"the checkpoint is not cosigned by the witness {key.name}")
    return max(_verify_cosignature(signed.checkpoint, one, key) for one in found)


def head_key(log: VerifierKey) -> VerifierKey:
    """As what a log cosigns its own checkpoints: under its own name, the time at which it read the head that the checkpoint is of.

    A witness's time says when it was asked; a log that had to catch up asks long after it looked.
    """
    return VerifierKey(log.name, SignatureType.COSIGNATURE_V1, log.public_key)


def head_read_at(signed: SignedCheckpoint, log: VerifierKey) -> int | None:
    """POSIX time at which the log read this head, None where it does not say; raises LEDGER_INCONSISTENT when what it says is not its own.

    Whatever was committed before that time is under the checkpoint.
    """
    return verify_witness(signed, head_key(log)) if signed.by(head_key(log)) else None


def _verify_cosignature(checkpoint: Checkpoint, signature: NoteSignature, key: VerifierKey) -> int:
    time_s = int.from_bytes(signature.value[:_TIMESTAMP_BYTES], "big")
    if len(signature.value) != _TIMESTAMP_BYTES + ED25519_BYTES or time_s > MOST_SIZE:
        raise _bad("the cosignature has the wrong length")
    key.verify(signature.value[_TIMESTAMP_BYTES:], _cosigned_message(checkpoint, time_s))
    return time_s


def _cosigned_message(checkpoint: Checkpoint, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n".encode() + checkpoint.body()
