"""Parses a TimeStampResp and checks that it answers the request that was sent (RFC 3161 §2.4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from asn1crypto import cms, core, tsp

from sealcore import compiled, pem
from sealcore.errors import Code, VermilionError
from timestamp.client.question import Question
from timestamp.der import LENGTH_OCTETS_LIMIT, object_identifier

if compiled.AVAILABLE:
    from sealcore.compiled.core import timestamp_answer

CONTENT_TYPE: Final = "application/timestamp-reply"
DEEPEST: Final = 64
_LABEL: Final = "TIMESTAMP RESPONSE"  # no standard names one
_GRANTED: Final = ("granted", "granted_with_mods")  # what was modified shows when the token is checked
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONSTRUCTED: Final = 0x20
_MOST_TEXT: Final = 200  # characters of a stranger's text


class _Response(core.Sequence):  # type: ignore[misc]
    """TimeStampResp; asn1crypto's own type does not allow the token to be absent."""

    _fields = [("status", tsp.PKIStatusInfo), ("time_stamp_token", cms.ContentInfo, {"optional": True})]  # noqa: RUF012


@dataclass(frozen=True)
class Token:
    """A token that answers the request; nobody has said yet that its signer is trusted.

    encoded     the TimeStampToken as received, DER
    time        genTime
    accuracy_s  as stated; 0 if there is none
    signer      DER of the certificate under which its signature was verified already; None: that is still to be done
    """

    encoded: bytes
    time: datetime
    accuracy_s: float
    signer: bytes | None = None

    @cached_property
    def signed_data(self) -> cms.SignedData:
        """What is in it."""
        return cms.ContentInfo.load(self.encoded)["content"]

    @property
    def content(self) -> bytes:
        """The TSTInfo, which is what was signed."""
        return bytes(self.signed_data["encap_content_info"]["content"])


def malformed(reason: str) -> VermilionError:
    """The error for an answer that cannot be parsed."""
    return VermilionError(Code.TSA_ANSWER_MALFORMED, f"the answer {reason}")


def read(data: bytes, question: Question, *, most_bytes: int) -> Token:
    """The token in a response.

    TSA_REFUSED with PKIFailureInfo and text, TSA_ANSWER_MALFORMED, TSA_ANSWER_TOO_LARGE, TSA_WRONG_IMPRINT, TSA_WRONG_NONCE,
    TSA_WRONG_POLICY.
    """
    understood = read_lean(data, question, most_bytes=most_bytes)
    return _read_fully(data, question, most_bytes) if understood is None else understood


def read_lean(data: bytes, question: Question, *, most_bytes: int) -> Token | None:
    """The same by the compiled core, for tokens as TSAs make them today, and signed; None for any other, and for those that are refused."""
    told = timestamp_answer(data) if compiled.AVAILABLE else None
    if told is None:
        return None
    encoded, signer, hash_name, imprint, nonce, policy, time_us, accuracy_us = told
    if (hash_name, imprint) != (question.hash_name, question.digest) or nonce is None or _signed_number(nonce) != question.nonce:
        return None
    if question.policy_oid is not None and policy != object_identifier(question.policy_oid):
        return None
    if len(encoded) > most_bytes:
        return None
    return Token(encoded, _EPOCH + timedelta(microseconds=time_us), accuracy_us / 1e6, signer)


def _signed_number(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def _read_fully(data: bytes, question: Question, most_bytes: int) -> Token:
    try:
        data = pem.der(data, _LABEL)
        _require_der(data, 0, len(data), 0)  # the token becomes part of a signature, which is DER
        response = _Response.load(data, strict=True)
        _require_granted(response["status"])
        encoded = bytes(response["time_stamp_token"].dump())
        if not encoded:
            raise malformed("is granted and holds no token")
        if len(encoded) > most_bytes:
            raise VermilionError(Code.TSA_ANSWER_TOO_LARGE, f"the token has {len(encoded)} bytes; documents keep room for {most_bytes}")
        return _token(encoded, question)
    except VermilionError:
        raise
    except pem.EncodingError as fault:
        raise malformed(str(fault)) from None
    except Exception as fault:  # noqa: BLE001  (any exception that a stranger's bytes cause counts against them)
        raise malformed(f"is no TimeStampResp in DER ({type(fault).__name__})") from None


def require_time(token: Token, *, sent: datetime, received: datetime, window_s: float) -> None:
    """TSA_WRONG_TIME unless genTime lies between sending and receiving, within ``window_s``, and claims at least that accuracy."""
    window = timedelta(seconds=window_s)
    if not sent - window <= token.time <= received + window:
        off_s = (token.time - received).total_seconds()
        times = f"{token.time:%Y-%m-%dT%H:%M:%SZ} is {off_s:+.0f} s from our clock's {received:%Y-%m-%dT%H:%M:%SZ}"
        raise VermilionError(Code.TSA_WRONG_TIME, f"the token's time {times}, {window_s:g} s are allowed")
    if not 0 <= token.accuracy_s <= window_s:
        reason = f"the token says that its time may be {token.accuracy_s:g} s off, {window_s:g} s are allowed"
        raise VermilionError(Code.TSA_WRONG_TIME, reason)


def _require_granted(status: tsp.PKIStatusInfo) -> None:
    word = status["status"].native
    if word in _GRANTED:
        return
    failures = sorted(status["fail_info"].native or ())
    texts = status["status_string"].native or ()
    said = [str(word), *map(str, failures), *map(_printable, texts)]
    raise VermilionError(Code.TSA_REFUSED, f"the TSA answers: {', '.join(said)}")


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text[:_MOST_TEXT])


def _token(encoded: bytes, question: Question) -> Token:
    content_info = cms.ContentInfo.load(encoded, strict=True)
    if content_info["content_type"].native != "signed_data":
        raise malformed("holds something else than signed data")
    signed_data = content_info["content"]
    encapsulated = signed_data["encap_content_info"]
    if encapsulated["content_type"].native != "tst_info":
        raise malformed("holds no TSTInfo")
    content = bytes(encapsulated["content"])
    info: Any = tsp.TSTInfo.load(content, strict=True)
    if info["version"].native != "v1":
        raise malformed("has a TSTInfo of an unexpected version")
    _require_asked_for(info, question)
    if any(each["critical"].native for each in info["extensions"]):
        raise malformed("has a critical extension that is not known here")
    time: datetime = info["gen_time"].native
    if time.tzinfo is None:
        raise malformed("has a genTime without its Z")
    accuracy = info["accuracy"].native or {}
    accuracy_s = sum((accuracy.get(unit) or 0) / parts for unit, parts in (("seconds", 1), ("millis", 1e3), ("micros", 1e6)))
    return Token(encoded, time, accuracy_s)


def _require_asked_for(info: Any, question: Question) -> None:
    imprint = info["message_imprint"]
    if (imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native) != (question.hash_name, question.digest):
        raise VermilionError(Code.TSA_WRONG_IMPRINT, "the token is over another digest than the one that was sent")
    nonce = info["nonce"].native
    if nonce != question.nonce:
        what = "no nonce" if nonce is None else "another nonce"
        raise VermilionError(Code.TSA_WRONG_NONCE, f"the token has {what}: it may be an old one")
    policy = info["policy"].dotted
    if question.policy_oid not in (None, policy):
        raise VermilionError(Code.TSA_WRONG_POLICY, f"the token is made under the policy {policy} instead of {question.policy_oid}")


def _require_der(data: bytes, start: int, end: int, depth: int) -> None:
    """Every length definite and in its shortest form, in all that is nested. ValueError otherwise."""
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    while start < end:
        tag, size, at = data[start], data[start + 1], start + 2
        if tag & 0x1F == 0x1F:
            raise ValueError("a tag of several octets has no place here")
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(data[at : at + count], "big"), at + count
            if not 1 <= count <= LENGTH_OCTETS_LIMIT or size < 0x80 or size < 1 << 8 * (count - 1):
                raise ValueError("a length is not in its shortest form")
        if at + size > end:
            raise ValueError("a value is longer than what encloses it")
        if tag & _CONSTRUCTED:
            _require_der(data, at, at + size, depth + 1)
        start = at + size
