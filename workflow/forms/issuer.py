"""The one who says so: tokens signed in the workflow's HSM token by the approval issuer's key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from sealcore.errors import Code, VermilionError
from sealcore.protocol import token
from sealcore.protocol.decision import Decision, DecisionContext
from sealcore.protocol.p256 import low_s


class SigningKey(Protocol):
    """What an issuer needs of a key: sealcore.hsm's TokenKey has it."""

    @property
    def spki_der(self) -> bytes: ...

    @property
    def public_key(self) -> Any: ...

    def sign(self, data: bytes) -> bytes: ...


class Issuer:
    """Makes approval tokens. It judges nothing: who calls has seen the quorum."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.kid = token.key_id(key.spki_der)
        if not isinstance(key.public_key, ec.EllipticCurvePublicKey):
            raise VermilionError(Code.CONFIGURATION_INVALID, "the approval issuer's key is on P-256")
        self.public_key: ec.EllipticCurvePublicKey = key.public_key

    def issue(self, context: DecisionContext, decisions: Iterable[Decision], issued: int) -> str:
        """The token for an approved request; ``issued`` (NumericDate) becomes iat.

        Decisions go out with low s, as the signer asks of acts: people sign with whatever they have, and both s are equally theirs.
        """
        claims = token.Claims(
            jti=context.jti,
            iss=token.ISSUER,
            aud=context.aud,
            sub=context.sub,
            iat=issued,
            nbf=context.nbf,
            exp=context.exp,
            form=context.form,
            seal=context.seal,
            action=context.action,
            covers=context.covers,
            policy=context.policy,
            decisions=tuple(replace(one, signature=low_s(one.signature)) for one in decisions),
        )
        return token.encode(claims, kid=self.kid, sign=self._key.sign)
