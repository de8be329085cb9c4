"""The token of a process: opened once, logged in once, shared by all threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import pkcs11

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.hsm.generation import generate_pair
from sealcore.hsm.keys import ForeignKey, Found, TokenKey, read_keys
from sealcore.hsm.sessions import PooledSession, SessionPool
from sealcore.platform.config import TokenSettings

__all__ = ["Algorithm", "ForeignKey", "Token", "TokenKey"]

_LONGEST_LABEL_BYTES: Final = 255  # our own bound: labels also stand in certificates' file names and in reports


class Token:
    """A PKCS#11 token with its sessions. One is open in a process at a time (SoftHSM knows one folder a process)."""

    def __init__(self, settings: TokenSettings, pool: SessionPool) -> None:
        self._settings = settings
        self._pool = pool

    @classmethod
    def open(cls, settings: TokenSettings) -> Self:
        """Logs in and opens the sessions.

        HSM_UNAVAILABLE when the module or the token is not there; HSM_PIN_REFUSED when the PIN is wrong, and from then on
        in this process for the same PIN file without asking the token; CONFIGURATION_INVALID when another token is open.
        """
        return cls(settings, SessionPool(settings))

    @property
    def label(self) -> str:
        """The token's own label."""
        return self._settings.label

    @property
    def sessions(self) -> int:
        """How many sessions serve calls now: as configured, fewer when the token gave no more, 0 while it is away."""
        return self._pool.size

    @property
    def sessions_in_use(self) -> int:
        """How many of them serve a call at this moment."""
        return self._pool.in_use

    @property
    def hung(self) -> int:
        """How many calls were given up and have not come back from the module."""
        return self._pool.hung

    def give_up(self, thread: int) -> None:
        """Frees the session with which this thread hangs inside the module; for ``watch.Watched``."""
        self._pool.give_up(thread)

    def probe(self) -> None:
        """Asks the token whether it is there, through a session as any other call; raises what a call would raise."""
        self._pool.run(lambda pooled: pooled.token.slot.get_token(), "asking for the token")

    def generate(self, label: str, algorithm: Algorithm) -> TokenKey:
        """Makes a key pair that cannot leave the token; CONFLICT if the label is taken. One at a time over all processes."""
        _check_label(label)

        def make(pooled: PooledSession) -> TokenKey:
            with pooled.exclusion.alone():
                # Looked for under the exclusion: two processes that make the same key at once would
                # both find none.
                there = read_keys(pooled, self._pool, label)
                if there.keys or there.foreign:
                    raise VermilionError(Code.CONFLICT, f"the token has a key {label} already")
                with _writing(pooled) as session:
                    generate_pair(session, label, algorithm)
                return self._one(read_keys(pooled, self._pool, label), label)

        return self._pool.run(make, "generating a key")

    def key(self, label: str, spki_sha256: bytes | None = None) -> TokenKey:
        """The key of this label; HSM_KEY_MISSING if there is none, CONFLICT if several bear it and none is the one that ``spki_sha256``
        names; for a foreign key, what it lacks."""

        def find(pooled: PooledSession) -> TokenKey:
            with pooled.exclusion.undisturbed():
                found = read_keys(pooled, self._pool, label)
            meant = [key for key in found.keys if key.spki_sha256 == spki_sha256]
            return meant[0] if len(meant) == 1 else self._one(found, label)

        return self._pool.run(find, "looking for a key")

    def keys(self) -> list[TokenKey]:
        """All keys of the token that the office can use, by label."""
        return self.found().keys

    def found(self) -> Found:
        """All private keys of the token: ours, and those of others that the office cannot use."""

        def read(pooled: PooledSession) -> Found:
            with pooled.exclusion.undisturbed():
                return read_keys(pooled, self._pool)

        return self._pool.run(read, "listing keys")

    def destroy(self, label: str) -> None:
        """Destroys both halves of a key for good; HSM_KEY_MISSING if there is none."""

        def remove(pooled: PooledSession) -> None:
            with pooled.exclusion.alone(), _writing(pooled) as session:
                key = self._one(read_keys(pooled, self._pool, label), label)
                # The private half first: a crash in between leaves a public key, which signs
                # nothing.
                for kind in (pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY):
                    wanted = {pkcs11.Attribute.CLASS: kind, pkcs11.Attribute.LABEL: label, pkcs11.Attribute.ID: key.key_id}
                    for found in list(session.get_objects(wanted)):
                        found.destroy()

        self._pool.run(remove, "destroying a key")
        self._pool.expire()  # other sessions still hold its handle, which a token may give to another key one day

    def close(self) -> None:
        """Logs out and ends all sessions, in bounded time; keys of this token then raise HSM_UNAVAILABLE.

        While a call hangs inside the module this is done when it comes back, and until then this process opens no other token.
        """
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _one(self, found: Found, label: str) -> TokenKey:
        if not found.keys and found.foreign:
            raise found.foreign[0].refusal
        if not found.keys:
            raise VermilionError(Code.HSM_KEY_MISSING, f"the key {label} is not in the token {self.label}")
        if len(found.keys) > 1:
            raise VermilionError(Code.CONFLICT, f"{len(found.keys)} keys of the token {self.label} are called {label}")
        return found.keys[0]


@contextmanager
def _writing(pooled: PooledSession) -> Iterator[pkcs11.Session]:
    """A read-write session beside the pooled ones, for as long as a pooled one is held."""
    session = pooled.token.open(rw=True)
    try:
        yield session
    finally:
        session.close()


def _check_label(label: str) -> None:
    if not label or len(label.encode()) > _LONGEST_LABEL_BYTES or not label.isprintable():
        raise VermilionError(Code.INVALID_ARGUMENT, "a key label has 1 to 255 printable bytes")
