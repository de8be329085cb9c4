"""What a signature proves: that it is whole, who made it, and by which timestamps it is known to have existed (RFC 5652, RFC 3161)."""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asn1crypto import cms
from pyhanko.sign.general import extract_certificate_info, extract_signer_info
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, validate_sig_integrity

from longterm.certificates import Certificate, certificate
from longterm.model import Signed, broken
from sealcore import compiled
from sealcore.errors import VermilionError

if compiled.AVAILABLE:
    from sealcore.compiled import core

MOST_AT_ONCE: Final = 16  # signatures that are proven without a sandbox: each digests the whole document
MOST_TOKENS: Final = 8  # on one signature
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
WEAK: Final = frozenset({"md2", "md5", "sha1"})


@dataclass(frozen=True)
class Token:
    """A timestamp token: who made it, when, by which hash over what it stamps."""

    signer: Certificate
    certificates: tuple[Certificate, ...]
    time: datetime
    hash_name: str


@dataclass(frozen=True)
class Proof:
    """A signature that was found whole.

    token   what a document timestamp itself is; None for a signature
    tokens  the timestamps on a signature
    """

    signed: Signed
    signer: Certificate
    certificates: tuple[Certificate, ...]
    token: Token | None = None
    tokens: tuple[Token, ...] = ()


def prove(document: bytes, signed: Signed) -> Proof:
    """Checks digest and signature over ``document``, and each of its timestamps; SIGNATURE_BROKEN."""
    try:
        data = _signed_data(signed.contents)
        if signed.is_timestamp:
            token = _token(data, lambda name: signed.digest(document, name))
            return Proof(signed, token.signer, token.certificates, token=token)
        info = extract_signer_info(data)
        digest = signed.digest(document, info["digest_algorithm"]["algorithm"].native)
        signer, others = _certificates(data)
        _require_whole(info, signer, "data", digest)
        value = info["signature"].native
        tokens = [_token(each, lambda name: hashlib.new(name, value).digest()) for each in _tokens(info)]
        return Proof(signed, signer, others, tokens=tuple(tokens))
    except VermilionError:
        raise
    except Exception as fault:  # noqa: BLE001  (asn1crypto and pyHanko raise anything over strangers' bytes)
        raise broken(signed.field, _reason(fault)) from None


def prove_lean(document: bytes, signed: Sequence[Signed]) -> list[Proof | None]:
    """The same by the compiled core, for each; None where it does not understand the signature fully, or where the signature does not hold."""
    if not compiled.AVAILABLE or len(signed) > MOST_AT_ONCE:
        return [None] * len(signed)
    proven = core.prove(document, [(one.contents, one.is_timestamp, one.byte_range) for one in signed])
    return [None if told is None else _proof(one, told) for one, told in zip(signed, proven, strict=True)]


def _proof(signed: Signed, told: Any) -> Proof:
    if signed.is_timestamp:
        token = _stamped(told)
        return Proof(signed, token.signer, token.certificates, token=token)
    signer, others, tokens = told
    return Proof(signed, certificate(signer), tuple(map(certificate, others)), tokens=tuple(map(_stamped, tokens)))


def _stamped(told: tuple[bytes, Sequence[bytes], int, str]) -> Token:
    signer, others, time_us, hash_name = told
    return Token(certificate(signer), tuple(map(certificate, others)), _EPOCH + timedelta(microseconds=time_us), hash_name)


class _BrokenError(Exception):
    pass


def _reason(fault: Exception) -> str:
    return str(fault) if isinstance(fault, _BrokenError) else f"it cannot be read ({type(fault).__name__})"


def _signed_data(encoded: bytes) -> Any:
    content = cms.ContentInfo.load(encoded)
    if content["content_type"].native != "signed_data":
        raise _BrokenError("it holds something else than signed data")
    return content["content"]


def _tokens(info: Any) -> list[Any]:
    tokens = list(extract_tst_data_iter(info, signed=False))
    if len(tokens) > MOST_TOKENS:
        raise _BrokenError(f"it carries more than {MOST_TOKENS} timestamps")
    return tokens


def _certificates(data: Any) -> tuple[Certificate, tuple[Certificate, ...]]:
    found = extract_certificate_info(data)
    return certificate(found.signer_cert.dump()), tuple(certificate(each.dump()) for each in found.other_certs)


def _token(data: Any, imprint: Any) -> Token:
    info = extract_signer_info(data)
    content = data["encap_content_info"]
    if content["content_type"].native != "tst_info":
        raise _BrokenError("its timestamp holds no TSTInfo")
    stamped = content["content"].parsed
    expected = stamped["message_imprint"]
    hash_name = expected["hash_algorithm"]["algorithm"].native
    if imprint(hash_name) != expected["hashed_message"].native:
        raise _BrokenError("its timestamp is over something else, or what it covers was changed")
    signer, others = _certificates(data)
    digest = hashlib.new(info["digest_algorithm"]["algorithm"].native, bytes(content["content"])).digest()
    _require_whole(info, signer, "tst_info", digest)
    return Token(signer, others, stamped["gen_time"].native, hash_name)


def _require_whole(info: Any, signer: Certificate, content_type: str, digest: bytes) -> None:
    intact, valid = validate_sig_integrity(info, signer.asn1, expected_content_type=content_type, actual_digest=digest)
    if not intact:
        raise _BrokenError("what it covers was changed")
    if not valid:
        raise _BrokenError("the signature value does not verify")
