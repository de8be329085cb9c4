"""People's keys in the demo: one SoftHSM token that holds a P-256 key for each person. (Passkeys come with the web pages.)

Whoever runs the command line can open this token, so it proves the protocol and not who sat at the machine.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.hsm.token import Token, TokenKey
from sealcore.platform.config import TokenSettings, load
from sealcore.protocol.decision import Decision, DecisionContext
from sealcore.protocol.decision import sign as sign_decision
from sealcore.protocol.stop import StopStatement
from sealcore.protocol.stop import sign as sign_stop

LABEL_PREFIX = "person."


class PeopleToken:
    """The people's token, open; a process has one token open at a time."""

    def __init__(self, token: Token) -> None:
        self._token = token

    @classmethod
    def open(cls, settings_file: Path) -> PeopleToken:
        """HSM_UNAVAILABLE, HSM_PIN_REFUSED, CONFIGURATION_INVALID."""
        return cls(Token.open(load(settings_file, TokenSettings)))

    def __enter__(self) -> PeopleToken:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._token.close()

    def ensure(self, person_id: str) -> bytes:
        """The person's public key (SPKI, DER), made when it is not there yet."""
        try:
            return self.key(person_id).spki_der
        except VermilionError as fault:
            if fault.code is not Code.HSM_KEY_MISSING:
                raise
            return self._token.generate(LABEL_PREFIX + person_id, Algorithm.P256).spki_der

    def decide(self, context: DecisionContext, person_id: str, verdict: str, now: datetime) -> Decision:
        """A person's decision on exactly this request, signed with their key."""
        return sign_decision(context, person_id, verdict, int(now.timestamp()), self.key(person_id).sign)

    def stop(self, statement: StopStatement) -> bytes:
        """An officer's signature under a stop."""
        return sign_stop(statement, self.key(statement.officer).sign)

    def key(self, person_id: str) -> TokenKey:
        """The person's key; HSM_KEY_MISSING."""
        return self._token.key(LABEL_PREFIX + person_id)
