"""Where the signer's timestamps come from: its own unit alone, or several sources in the operator's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from sealcore.errors import VermilionError
from signer.pipeline.keys import SealKeys
from timestamp.unit import TimestampUnit

OWN: Final = "own"


class Stamps(Protocol):
    """Timestamps over SHA-256 digests."""

    @property
    def largest_token_bytes(self) -> int:
        """No token is larger: every sealed document has room for so much."""

    def stamp_all(self, digests: Sequence[bytes]) -> list[bytes | VermilionError]:
        """For each digest, in order, its token (DER) or why there is none."""

    def close(self) -> None:
        """Gives everything back."""


class OwnUnit:
    """The signer's own unit, under the watch that all calls of the HSM are under. Thread-safe.

    called  told the outcomes of the HSM calls
    """

    name: Final = OWN

    def __init__(self, unit: TimestampUnit, keys: SealKeys, called: Callable[[Sequence[bytes | VermilionError]], None]) -> None:
        self._unit = unit
        self._keys = keys
        self._called = called
        self.largest_token_bytes: Final = unit.largest_token_bytes

    def stamp_all(self, digests: Sequence[bytes], _within_s: float | None = None) -> list[bytes | VermilionError]:
        """As ``Stamps`` has it; HSM_*, TIMESTAMP_UNAVAILABLE. How long it may take is the watch's to say."""
        tokens = self._keys.watched([partial(self._unit.stamp, digest) for digest in digests])
        self._called(tokens)
        return tokens

    def close(self) -> None:
        """The token is closed by who opened it."""
