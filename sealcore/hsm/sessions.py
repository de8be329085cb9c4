"""A fixed number of sessions on one token, logged in once, opened again when they die.

Each session serves one call at a time; `run` lends one out. The calling thread holds nothing but its session, so a recovery,
which must be alone with the module, collects all of them first: nobody is inside the token when it is finalised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, TypeVar, cast

import pkcs11
from pkcs11.exceptions import PKCS11Error

from sealcore.config import TokenSettings, read_pin
from sealcore.errors import Code, VermilionError
from sealcore.hsm import library
from sealcore.hsm.exclusion import Exclusion
from sealcore.hsm.faults import HARMLESS_FAULTS, LOST_FAULTS, PIN_FAULTS, TokenGoneError, translate
from sealcore.hsm.signing import SigningKey
from sealcore.hsm.turns import Turns

# How long a caller waits for a free session, and a recovery for all of them. Longer than any honest call (an RSA-4096
# generation takes seconds), short enough that a hung HSM is reported rather than waited for.
WAIT_S: Final = 30.0

Result = TypeVar("Result")


class PooledSession:
    """One session and the private keys found through it."""

    def __init__(self, token: pkcs11.Token, session: pkcs11.Session, exclusion: Exclusion) -> None:
        self.token = token
        self.exclusion = exclusion
        self.session = session
        self._private_keys: dict[tuple[str, bytes], SigningKey] = {}

    def objects(self, wanted: Mapping[pkcs11.Attribute, object]) -> list[pkcs11.Object]:
        """The objects that have these attributes (within ``exclusion``); TokenGoneError if there are none because the token itself is away.

        SoftHSM answers a search in a removed folder with "nothing found", and never finds again what it has missed once.
        """
        found = list(self.session.get_objects(dict(wanted)))
        if not found:
            try:
                self.token.slot.get_token()
            except PKCS11Error:
                raise TokenGoneError from None
        return found

    def private_key(self, label: str, key_id: bytes) -> SigningKey:
        """The key of this label and CKA_ID, found once a session; HSM_KEY_MISSING if it is not, or no longer, there.

        Takes the exclusion itself where it must search.

        The id matters after a recovery: another key that has taken the label meanwhile must not sign in its place.
        """
        found = self._private_keys.get((label, key_id))
        if found is None:
            wanted = {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
                pkcs11.Attribute.LABEL: label,
                pkcs11.Attribute.ID: key_id,
            }
            with self.exclusion.alone():
                matches = self.objects(wanted)
            if len(matches) != 1:
                raise VermilionError(Code.HSM_KEY_MISSING, f"the key {label} is not in the token")
            found = cast(SigningKey, matches[0])
            self._private_keys[label, key_id] = found
        return found


class SessionPool:
    """The sessions of this process on its token."""

    def __init__(self, settings: TokenSettings, *, wait_s: float = WAIT_S) -> None:
        self._settings = settings
        self._wait_s = wait_s
        self._exclusion = Exclusion(settings.softhsm_conf, wait_s)
        self._library = library.acquire(settings.module, settings.softhsm_conf)
        self._turns: Turns[PooledSession | None] = Turns()
        self._recovery = threading.Lock()  # held while the module is finalised and started again
        self._epoch = 0  # counts the times that all sessions were opened
        self._alive = False
        self._closed = False
        try:
            sessions = self._start()
        except BaseException:
            library.release(self._library)
            raise
        self._fill(sessions)

    def run(self, action: Callable[[PooledSession], Result], doing: str) -> Result:
        """Calls ``action`` with a session and maps PKCS#11 faults.

        A call that the token refused because the session was dead is made once more after reopening; any other fault ends
        the call, since the token may have acted on it. HSM_UNAVAILABLE, HSM_PIN_REFUSED, HSM_KEY_MISSING, HSM_TIMEOUT.
        """
        repeated = False
        while True:
            pooled, epoch = self._take()
            try:
                return action(pooled)
            except PKCS11Error as fault:
                if not isinstance(fault, HARMLESS_FAULTS):
                    self._mark_dead(epoch)
                if repeated or not isinstance(fault, LOST_FAULTS):
                    raise translate(fault, doing) from None
                repeated = True
            finally:
                self._turns.give(pooled)

    def expire(self) -> None:
        """Has the next call open new sessions; for when handles that they keep no longer mean what they meant."""
        self._alive = False

    def close(self) -> None:
        """Ends all sessions and the login. Calls under way are waited for; HSM_TIMEOUT if one hangs."""
        with self._recovery:
            if self._closed:
                return
            self._drain()
            self._closed = True
            self._alive = False
            self._fill([])
            library.release(self._library)

    def _take(self) -> tuple[PooledSession, int]:
        while True:
            epoch = self._epoch
            if not self._alive:
                self._recover()
                continue
            try:
                pooled = self._turns.take(self._wait_s)
            except TimeoutError:
                raise VermilionError(Code.HSM_TIMEOUT, "every session of the token is busy") from None
            if pooled is not None and self._alive and epoch == self._epoch:
                return pooled, epoch
            self._turns.give(pooled)  # a recovery came between: look again

    def _mark_dead(self, epoch: int) -> None:
        if epoch == self._epoch:
            self._alive = False

    def _recover(self) -> None:
        """Opens everything anew, once, however many threads noticed; if it fails the next caller tries again."""
        with self._recovery:
            if self._closed:
                raise VermilionError(Code.HSM_UNAVAILABLE, "the token is closed")
            if self._alive:
                return
            self._drain()
            sessions: list[PooledSession] = []
            try:
                sessions = self._start()
            finally:
                self._fill(sessions)

    def _drain(self) -> None:
        """Collects every session, so that no thread is inside the module. Needs the recovery lock."""
        taken: list[PooledSession | None] = []
        try:
            for _ in range(self._settings.sessions):
                taken.append(self._turns.take(self._wait_s))
        except TimeoutError:
            for pooled in taken:
                self._turns.give(pooled)
            raise VermilionError(Code.HSM_TIMEOUT, "a call into the token does not end") from None

    def _fill(self, sessions: list[PooledSession]) -> None:
        """Puts back one place for each session, empty ones where there are none."""
        if sessions:
            self._epoch += 1
            self._alive = True
        for place in range(self._settings.sessions):
            self._turns.give(sessions[place] if sessions else None)

    def _start(self) -> list[PooledSession]:
        """Starts the module, logs in with one session and opens the others; a login counts for the whole process."""
        pin_file = self._settings.pin_file
        if library.was_refused(pin_file):
            raise VermilionError(Code.HSM_PIN_REFUSED, "the token refused this PIN file before; it is not tried again")
        if self._settings.softhsm_conf is not None and not self._settings.softhsm_conf.is_file():
            raise VermilionError(Code.HSM_UNAVAILABLE, "the SoftHSM folder of the token is not there")
        pin = read_pin(pin_file)
        with self._exclusion.alone():
            self._library.start()
            try:
                token = self._library.token(self._settings.label)
                first = token.open(user_pin=pin)
                rest = [token.open() for _ in range(self._settings.sessions - 1)]
            except PKCS11Error as fault:
                if isinstance(fault, PIN_FAULTS):
                    library.remember_refused(pin_file)
                raise translate(fault, "opening a session") from None
        return [PooledSession(token, session, self._exclusion) for session in (first, *rest)]
