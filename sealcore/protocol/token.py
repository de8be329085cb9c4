"""The approval token: a JWS (RFC 7515 compact, ES256 only) with exactly the claims of docs/protocol.md, "Approval token".

Parsing is stricter than JOSE asks: header and payload must be in their canonical JSON form with exactly the known
members, so that one approval has one spelling and nothing rides along.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import b64url, b64url_decode, canonical_json, is_integer, members, require, strict_json
from sealcore.protocol.covers import Covers, from_json, to_json
from sealcore.protocol.decision import MOST_PERSONS, Decision, DecisionContext, Policy, Sign
from sealcore.protocol.labels import TOKEN_TYPE_V1
from sealcore.protocol.p256 import canonical_spki, low_s, require_low_s

__all__ = ["ISSUER", "Claims", "ParsedToken", "Policy", "encode", "key_id", "parse", "verify_signature"]

ALGORITHM = "ES256"
ISSUER = "https://vermilion.internal/service/workflow"
MOST_TOKEN_CHARACTERS = 256 * 1024  # an act's parameters and 64 decisions fit many times over
_COORDINATE_BYTES = 32
_HEADER = frozenset({"alg", "kid", "typ"})
_CLAIMS = frozenset(
    {"jti", "iss", "aud", "sub", "iat", "nbf", "exp", "form", "seal", "action", "covers", "policy", "decisions"},
)
_POLICY = frozenset({"id", "version", "quorum"})
_DECISION = frozenset({"person", "verdict", "time", "signature"})


@dataclass(frozen=True)
class Claims:
    """The claims; times are NumericDates (integer seconds). Each person decides at most once. ``token_type`` is their version's ``typ``."""

    token_type: ClassVar[str] = TOKEN_TYPE_V1

    jti: str
    iss: str
    aud: str
    sub: str
    iat: int
    nbf: int
    exp: int
    form: str
    seal: str
    action: str
    covers: Covers
    policy: Policy
    decisions: tuple[Decision, ...]

    def __post_init__(self) -> None:
        require(self.iss == ISSUER, "the token's issuer is not the workflow", Code.ISSUER_NOT_PINNED)
        require(is_integer(self.iat), "iat is a NumericDate")
        require(len(self.decisions) <= MOST_PERSONS, f"a token carries at most {MOST_PERSONS} decisions")
        # Who applied *and* approved is refused by the gate, by name (OWN_REQUEST), not as a malformed token.
        decided = [(decision.person, decision.verdict) for decision in self.decisions]
        require(len(set(decided)) == len(decided), "a person decides once")
        _ = self.context  # its construction checks the rest

    @property
    def context(self) -> DecisionContext:
        """What every decision in this token was signed over."""
        return DecisionContext(
            jti=self.jti, form=self.form, aud=self.aud, sub=self.sub, seal=self.seal, action=self.action,
            covers=self.covers, policy=self.policy, nbf=self.nbf, exp=self.exp,
        )  # fmt: skip


@dataclass(frozen=True)
class ParsedToken:
    """A token that is well formed; nothing is believed before ``verify_signature``."""

    kid: str
    claims: Claims
    signing_input: bytes
    signature: bytes  # r ‖ s, 64 bytes (RFC 7518 §3.4)

    @property
    def der_signature(self) -> bytes:
        """The same as DER ECDSA-Sig-Value."""
        halves = (self.signature[:_COORDINATE_BYTES], self.signature[_COORDINATE_BYTES:])
        return encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))

    def require_low_s(self) -> None:
        """DECISION_INVALID unless its own signature and each decision's have low s: asked of acts, which are kept as evidence.

        What a token counts for is known by ``signing_input``, so the twin of its signature is the same token wherever it is used.
        """
        require_low_s(self.der_signature, "the token's")
        for one in self.claims.decisions:
            require_low_s(one.signature, f"the person {one.person}'s")


def key_id(spki_der: bytes) -> str:
    """base64url of the SHA-256 of a SubjectPublicKeyInfo: how issuers are pinned."""
    return b64url(hashlib.sha256(spki_der).digest())


def encode(claims: Claims, *, kid: str, sign: Sign) -> str:
    """The JWS over ``claims``, with low s; ``sign`` returns DER ECDSA over SHA-256 of its argument."""
    header = canonical_json({"alg": ALGORITHM, "kid": kid, "typ": claims.token_type})
    signing_input = f"{b64url(header)}.{b64url(canonical_json(VERSIONS[claims.token_type].json_of(claims)))}"
    r, s = decode_dss_signature(low_s(sign(signing_input.encode("ascii"))))
    return f"{signing_input}.{b64url(r.to_bytes(_COORDINATE_BYTES, 'big') + s.to_bytes(_COORDINATE_BYTES, 'big'))}"


def parse(jws: str) -> ParsedToken:
    """The parts of a token; raises TOKEN_MISSING, TOKEN_MALFORMED, or ISSUER_NOT_PINNED for another ``iss``."""
    if not jws:
        raise VermilionError(Code.TOKEN_MISSING, "the request carries no approval token")
    parts = jws.split(".")
    if len(jws) > MOST_TOKEN_CHARACTERS or len(parts) != 3:
        raise VermilionError(Code.TOKEN_MALFORMED, "the token is not a compact JWS of acceptable size")
    header_bytes, payload, signature = (b64url_decode(part, Code.TOKEN_MALFORMED) for part in parts)
    # ``alg`` is compared with the one that we use, never used to choose: "none" or HMAC with
    # the public key must not be a question.
    header = members(strict_json(header_bytes, Code.TOKEN_MALFORMED), _HEADER, Code.TOKEN_MALFORMED, "the token's header")
    version = VERSIONS.get(header["typ"]) if isinstance(header["typ"], str) else None
    if header["alg"] != ALGORITHM or version is None:
        raise VermilionError(Code.TOKEN_MALFORMED, f"the token is not of type {' or '.join(VERSIONS)} signed by {ALGORITHM}")
    kid = header["kid"]
    if len(b64url_decode(kid, Code.TOKEN_MALFORMED)) != hashlib.sha256().digest_size:
        raise VermilionError(Code.TOKEN_MALFORMED, "the token's kid is not the SHA-256 of a key")
    if len(signature) != 2 * _COORDINATE_BYTES:
        raise VermilionError(Code.TOKEN_MALFORMED, "an ES256 signature is 64 bytes")
    claims = version.claims_of(strict_json(payload, Code.TOKEN_MALFORMED))
    return ParsedToken(kid, claims, f"{parts[0]}.{parts[1]}".encode("ascii"), signature)


def verify_signature(parsed: ParsedToken, public_key: ec.EllipticCurvePublicKey) -> None:
    """Raises ISSUER_NOT_PINNED when ``public_key`` is not the one that ``kid`` names, TOKEN_SIGNATURE_INVALID when it did not sign."""
    if not isinstance(public_key.curve, ec.SECP256R1):
        raise VermilionError(Code.ISSUER_NOT_PINNED, "an issuer's key is on P-256")
    # The key that verifies must be the one that ``kid`` names: who looks keys up in another way
    # still cannot mix two issuers up.
    if key_id(canonical_spki(public_key)) != parsed.kid:
        raise VermilionError(Code.ISSUER_NOT_PINNED, "the token names another key than the pinned one")
    try:
        public_key.verify(parsed.der_signature, parsed.signing_input, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise VermilionError(Code.TOKEN_SIGNATURE_INVALID, "the token's signature is not its issuer's") from None


def _claims_json(claims: Claims) -> dict[str, Any]:
    plain = {name: getattr(claims, name) for name in _CLAIMS - {"covers", "policy", "decisions"}}
    decisions = [
        {"person": one.person, "verdict": one.verdict, "time": one.time, "signature": b64url(one.signature)} for one in claims.decisions
    ]
    return {**plain, "covers": to_json(claims.covers), "policy": claims.policy.as_json(), "decisions": decisions}


def _claims_from_json(value: Any) -> Claims:
    code = Code.TOKEN_MALFORMED
    claims = members(value, _CLAIMS, code, "the token")
    policy = members(claims["policy"], _POLICY, code, "the token's policy")
    if not isinstance(claims["decisions"], list):
        raise VermilionError(code, "the token's decisions are not a list")
    decided = [members(one, _DECISION, code, "a decision") for one in claims["decisions"]]
    try:
        decisions = tuple(Decision(one["person"], one["verdict"], one["time"], b64url_decode(one["signature"], code)) for one in decided)
        plain = {name: claims[name] for name in _CLAIMS - {"covers", "policy", "decisions"}}
        return Claims(**plain, covers=from_json(claims["covers"], code), policy=Policy(**policy), decisions=decisions)
    except VermilionError as fault:
        if fault.code is Code.INVALID_ARGUMENT:
            raise VermilionError(code, f"the token is malformed: {fault.reason}") from None
        raise


@dataclass(frozen=True)
class TokenVersion:
    """A version of the token: its claims from JSON, and to JSON. Both refuse what is not exactly of this version (TOKEN_MALFORMED)."""

    claims_of: Callable[[Any], Claims]
    json_of: Callable[[Claims], dict[str, Any]]


VERSIONS: Final[Mapping[str, TokenVersion]] = MappingProxyType({TOKEN_TYPE_V1: TokenVersion(_claims_from_json, _claims_json)})
"""The versions that are read, by the ``typ`` of the token's header. One more is a type of claims and an entry here."""
