"""Where the signer's timestamps come from: its own unit alone, or several sources in the operator's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from sealcore.errors import VermilionError
from signer.pipeline.keys import SealKeys
from timestamp.unit import TimestampUnit

OWN: Final = "own"


class TimestampSource(Protocol):
    """Makes timestamp tokens over SHA-256 digests."""

    @property
    def largest_token_bytes(self) -> int:
        """The most that a token may have: the hole of every sealed document is sized for it."""

    def stamp_all(self, digests: Sequence[bytes]) -> list[bytes | VermilionError]:
        """For each digest, in order, its token (DER) or why none was made."""

    def close(self) -> None:
        """Frees what it holds."""


class OwnUnit:
    """The signer's own timestamp unit; its HSM calls have the same time limit as all others. Thread-safe.

    called  receives the outcomes of the HSM calls
    """

    name: Final = OWN

    def __init__(self, unit: TimestampUnit, keys: SealKeys, called: Callable[[Sequence[bytes | VermilionError]], None]) -> None:
        self._unit = unit
        self._keys = keys
        self._called = called
        self.largest_token_bytes: Final = unit.largest_token_bytes

    def stamp_all(self, digests: Sequence[bytes], _within_s: float | None = None) -> list[bytes | VermilionError]:
        """As in ``TimestampSource``; HSM_*, TIMESTAMP_UNAVAILABLE. The time limit of HSM calls applies, not this one."""
        tokens = self._keys.watched([partial(self._unit.stamp, digest) for digest in digests])
        self._called(tokens)
        return tokens

    def close(self) -> None:
        """Nothing to free: whoever opened the token closes it."""
