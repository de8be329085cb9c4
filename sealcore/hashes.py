"""The state of a hash after a document, from which any number of digests go on."""

from __future__ import annotations

import hashlib
import mmap
from typing import Protocol

from sealcore import compiled

if compiled.AVAILABLE:
    from sealcore.compiled import core


class HashState(Protocol):
    """After some bytes; it never changes."""

    @property
    def name(self) -> str:
        """As ``hashlib`` has it."""

    def digest(self, data: bytes | None = None, /) -> bytes:
        """Of these bytes, and of ``data`` behind them."""


class PythonHash:
    """A ``HashState`` of the standard library."""

    __slots__ = ("_state",)

    def __init__(self, name: str, data: bytes | mmap.mmap, /) -> None:
        self._state = hashlib.new(name, data)

    @property
    def name(self) -> str:
        """See ``HashState``."""
        return self._state.name

    def digest(self, data: bytes | None = None, /) -> bytes:
        """See ``HashState``."""
        if data is None:
            return self._state.digest()
        state = self._state.copy()
        state.update(data)
        return state.digest()


def hash_state(name: str, data: bytes | mmap.mmap) -> HashState:
    """The state after ``data``: the compiled core's where there is one, which alone its other functions take."""
    if compiled.AVAILABLE:
        return core.Hash(name, data)
    return PythonHash(name, data)
