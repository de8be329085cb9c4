"""A fixed number of sessions on one token, logged in once, opened again when they die.

Each session serves one call at a time; `run` lends one out. The calling thread holds nothing but its session, so a recovery,
which must be alone with the module, collects all of them first: nobody is inside the token when it is finalised.

A call that hangs cannot be broken off, and a module is not finalised while a thread is inside it. So the session of a hung
call is written off: another is opened in its place, a recovery opens new sessions beside it instead of starting the module
again, and when the call does come back its session is closed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

import pkcs11
from pkcs11.exceptions import PKCS11Error

from sealcore.errors import Code, VermilionError
from sealcore.hsm import library, softhsm, watch
from sealcore.hsm.exclusion import Exclusion
from sealcore.hsm.faults import PIN_FAULTS, TokenGoneError, is_harmless, may_repeat, translate
from sealcore.hsm.native import NativeModule, SigningHandle, handle_of
from sealcore.hsm.refusals import REFUSALS
from sealcore.hsm.turns import Turns
from sealcore.platform.config import TokenSettings, read_pin
from sealcore.platform.log import get as get_log

# How long a caller waits for a free session or for a recovery by another. Longer than any honest call (an RSA-4096 generation
# takes seconds), short enough that a hung HSM is reported rather than waited for.
WAIT_S: Final = 30.0

# How long a recovery waits for calls under way. What is not back by then is taken for hung; if it was only slow, nothing is
# lost but its session.
_BACK_S: Final = 0.5

_CLOSING_S: Final = 2.0  # the same at the end, where an honest call may finish

# With so many threads hanging inside the module no more sessions are opened: an HSM has not many, and the memory is ours.
MOST_HUNG: Final = 16

Result = TypeVar("Result")


class PrivateKeyName(NamedTuple):
    """How a private key is found, and the mechanism by which it signs.

    The id matters after a recovery: another key that has taken the label meanwhile must not sign in its place.
    """

    label: str
    key_id: bytes
    mechanism: int


class PooledSession:
    """One session and the private keys found through it.

    epoch  which opening of all sessions it came from
    """

    def __init__(self, token: pkcs11.Token, session: pkcs11.Session, native: NativeModule, exclusion: Exclusion, epoch: int) -> None:
        self.token = token
        self.session = session
        self.handle = handle_of(session)
        self.native = native
        self.exclusion = exclusion
        self.epoch = epoch
        self._handles: dict[PrivateKeyName, SigningHandle] = {}

    def objects(self, wanted: Mapping[pkcs11.Attribute, object]) -> list[pkcs11.Object]:
        """The objects that have these attributes (within ``exclusion``); TokenGoneError if there are none because the token itself is away.

        SoftHSM answers a search in a removed folder with "nothing found", and never finds again what it has missed once.
        """
        found = list(self.session.get_objects(dict(wanted)))
        if not found:
            self.require_token()
        return found

    def require_token(self) -> None:
        """TokenGoneError when the token itself is away."""
        try:
            self.token.slot.get_token()
        except PKCS11Error:
            raise TokenGoneError from None

    def sign(self, name: PrivateKeyName, data: bytes) -> bytes:
        """The token's signature by this key; SigningError, or HSM_KEY_MISSING if it is not, or no longer, there."""
        handle = self._handles.get(name)
        if handle is None:
            handle = self._handles[name] = self._find(name)
        return handle.sign(data)

    def _find(self, name: PrivateKeyName) -> SigningHandle:
        """Once a session; takes the exclusion itself."""
        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
            pkcs11.Attribute.LABEL: name.label,
            pkcs11.Attribute.ID: name.key_id,
        }
        with self.exclusion.undisturbed():
            matches = self.objects(wanted)
        if len(matches) != 1:
            raise VermilionError(Code.HSM_KEY_MISSING, f"the key {name.label} is not in the token")
        return SigningHandle(self.native, self.handle, handle_of(matches[0]), name.mechanism)


class SessionPool:
    """The sessions of this process on its token. A lent ``None`` stands for a place whose session is missing."""

    def __init__(self, settings: TokenSettings, *, wait_s: float = WAIT_S) -> None:
        self._settings = settings
        self._wait_s = wait_s
        self._exclusion = Exclusion(settings, wait_s)
        self._library = library.acquire(settings.module, settings.softhsm_conf)
        self._turns: Turns[PooledSession | None] = Turns()
        self._recovery = threading.Lock()  # held while sessions are opened anew or the module is stopped
        self._epoch = 0  # counts the times that all sessions were opened
        self._alive = False
        self._closed = False
        self._token: pkcs11.Token | None = None
        self._released = False
        try:
            self._fill(self._start())
        except BaseException:
            library.release(self._library)
            raise

    @property
    def size(self) -> int:
        """How many sessions serve calls; fewer than configured when the token gave no more."""
        return self._turns.total if self._alive else 0

    @property
    def in_use(self) -> int:
        """How many sessions serve a call at this moment."""
        return self._turns.lent

    @property
    def hung(self) -> int:
        """How many calls were given up and are still inside the module."""
        return self._turns.written_off

    def run(self, action: Callable[[PooledSession], Result], doing: str) -> Result:
        """Calls ``action`` with a session and maps PKCS#11 faults.

        A call that the token refused before it did anything is made once more after reopening; any other fault ends the call,
        since the token may have acted on it. HSM_UNAVAILABLE, HSM_PIN_REFUSED, HSM_KEY_MISSING, HSM_TIMEOUT.
        """
        repeated = False
        while True:
            pooled = self._take()
            try:
                return action(pooled)
            except PKCS11Error as fault:
                if not is_harmless(fault):
                    # With the epoch of the session that failed: a late failure of an old session
                    # must not bring down the new ones.
                    self._mark_dead(pooled.epoch)
                if repeated or not may_repeat(fault):
                    raise translate(fault, doing) from None
                repeated = True
            finally:
                if not self._turns.give(pooled):
                    self._come_back(pooled)

    def expire(self) -> None:
        """Has the next call open new sessions; for when handles that they keep no longer mean what they meant."""
        self._alive = False

    def give_up(self, thread: int) -> None:
        """Frees the place of a thread whose call hangs: the next caller opens a session in it."""
        if self._turns.write_off(thread):
            self._turns.add(None)

    def close(self) -> None:
        """Ends all sessions and the login, in bounded time. While a call hangs inside the module it cannot be stopped: then this is
        done when the call comes back."""
        in_time = self._recovery.acquire(timeout=_CLOSING_S)
        try:
            closed, self._closed = self._closed, True
            if in_time and not closed:
                self._end()
        finally:
            if in_time:  # else a recovery hangs, which ends what it has opened when it is back
                self._recovery.release()

    def _end(self) -> None:
        """Takes the sessions out of service and stops the module. Needs the recovery lock."""
        self._turns.collect(_CLOSING_S)
        self._alive = False
        self._turns.add(None)  # circulates among the waiting threads, which then see that the token is closed
        self._release()

    def _take(self) -> PooledSession:
        while True:
            if not self._alive:
                self._recover()
                continue
            try:
                pooled = self._turns.take(self._wait_s)
            except TimeoutError:
                self.expire()  # if every session hangs, the next caller opens others beside them
                raise VermilionError(Code.HSM_TIMEOUT, f"no session of the token became free within {self._wait_s:g} s") from None
            if not self._alive:  # lost, or a recovery came between: look again
                self._give(pooled)
                continue
            if pooled is None:
                pooled = self._furnish()
                if pooled is None:
                    continue
            # Before the token is called: this thread waited for its session longer than its caller
            # did.
            if watch.given_up():
                self._give(pooled)
                raise VermilionError(Code.HSM_TIMEOUT, "nobody waits for this call any more")
            return pooled

    def _give(self, pooled: PooledSession | None) -> None:
        """Returns what this thread holds to the pool; the session of a call that was given up is closed instead."""
        if not self._turns.give(pooled):
            self._come_back(pooled)

    def _come_back(self, pooled: PooledSession | None) -> None:
        """A call that had been given up has returned."""
        if pooled is not None:
            self._library.native.close_session(pooled.handle)
        self._turns.forget()
        if self._closed:
            with self._recovery:
                self._release()
        elif self._alive and self._turns.total < self._settings.sessions:  # a token with few sessions has one again
            self._turns.add(None)

    def _release(self) -> None:
        """Stops the module unless a thread is inside. Needs the recovery lock."""
        if not self._released and not self._turns.written_off:
            self._released = True
            library.release(self._library)

    def _furnish(self) -> PooledSession | None:
        """A session for the empty place that this thread holds. None when there is none to be had: then the place has been given up,
        or the pool is not alive any more."""
        epoch = self._epoch
        try:
            return self._open(epoch)
        except PKCS11Error as fault:
            if isinstance(fault, pkcs11.SessionCount) and self._turns.total > 1:
                self._drop()
            else:
                self._mark_dead(epoch)
                self._give(None)
            return None
        except BaseException:
            self._give(None)
            raise

    def _drop(self) -> None:
        if not self._turns.drop():
            self._turns.forget()

    def _open(self, epoch: int) -> PooledSession:
        """Opens one session in addition to the present ones."""
        assert self._token is not None
        session = self._token.open()
        if not self._library.native.logged_in(handle_of(session)):
            self._library.native.close_session(handle_of(session))
            raise pkcs11.UserNotLoggedIn
        return PooledSession(self._token, session, self._library.native, self._exclusion, epoch)

    def _mark_dead(self, epoch: int) -> None:
        if epoch == self._epoch:
            self._alive = False

    def _recover(self) -> None:
        """Opens everything anew, once, however many threads noticed; if it fails the next caller tries again."""
        if not self._recovery.acquire(timeout=self._wait_s):
            raise VermilionError(Code.HSM_TIMEOUT, "the token is being opened again and does not answer")
        try:
            if self._closed:
                raise VermilionError(Code.HSM_UNAVAILABLE, "the token is closed")
            if self._alive:
                return
            if self._turns.written_off >= MOST_HUNG:
                raise VermilionError(Code.HSM_UNAVAILABLE, f"{self._turns.written_off} calls into the token do not end")
            # Collected before the module is started anew: C_Finalize under a running call is
            # undefined (PKCS#11 v2.40 §5.4), and crashes SoftHSM.
            back = self._turns.collect(_BACK_S)
            sessions: list[PooledSession] = []
            try:
                sessions = self._start_beside(back) if self._turns.written_off else self._start()
            finally:
                # Also when starting has failed: without a place in circulation the waiting threads
                # would wait until their time is up.
                self._fill(sessions)
                if self._closed:
                    self._end()
        finally:
            self._recovery.release()

    def _fill(self, sessions: list[PooledSession]) -> None:
        """Lends out these sessions. If there are none, one empty place circulates, so that each waiting thread tries to open one itself."""
        self._alive = bool(sessions)
        for session in sessions:
            self._turns.add(session)
        if not sessions:
            self._turns.add(None)

    def _start(self) -> list[PooledSession]:
        """Starts the module, logs in with one session and opens the others. Nobody is inside the module."""
        self._require_folder()
        with self._exclusion.opening():
            REFUSALS.check(self._settings)  # another process may have tried while we waited
            pin = read_pin(self._settings.pin_file)
            # Within the exclusion and before the login, which is what may cut the record off.
            softhsm.mend(self._settings)
            self._library.start()
            return self._open_all(pin)

    def _start_beside(self, back: list[PooledSession | None]) -> list[PooledSession]:
        """The same without starting the module: a hung call is inside it."""
        self._require_folder()
        with self._exclusion.opening():
            REFUSALS.check(self._settings)
            pin = read_pin(self._settings.pin_file)
            for pooled in back:
                if pooled is not None:
                    self._library.native.close_session(pooled.handle)
            return self._open_all(pin)

    def _require_folder(self) -> None:
        if self._settings.softhsm_conf is not None and not self._settings.softhsm_conf.is_file():
            raise VermilionError(Code.HSM_UNAVAILABLE, "the SoftHSM folder of the token is not there")

    def _open_all(self, pin: str) -> list[PooledSession]:
        """As many sessions as configured, or as the token gives."""
        native = self._library.native
        opened: list[pkcs11.Session] = []
        self._epoch += 1
        try:
            self._token = token = self._library.token(self._settings.label)
            opened.append(token.open())
            first = handle_of(opened[0])
            if not native.logged_in(first):  # a login counts for the whole process
                native.login(first, pin)
            while len(opened) < self._settings.sessions:
                opened.append(token.open())
        except pkcs11.SessionCount as fault:
            if not opened:
                raise translate(fault, "opening a session") from None
            get_log("hsm").warning("fewer sessions than configured", sessions=len(opened), configured=self._settings.sessions)
        except PKCS11Error as fault:
            # Noted before anything else can log in: three tries lock many tokens for good.
            if isinstance(fault, PIN_FAULTS):
                REFUSALS.remember(self._settings)
            for session in opened:
                native.close_session(handle_of(session))
            raise translate(fault, "opening a session") from None
        return [PooledSession(token, session, native, self._exclusion, self._epoch) for session in opened]
