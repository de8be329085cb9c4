"""Which documents a worker is reading, in memory that the front maps as well, so that it still knows when the worker has died over one."""

from __future__ import annotations

import mmap
import os
import threading
from functools import cached_property
from typing import Final, Self

from sealcore import compiled

if compiled.AVAILABLE:
    from sealcore.compiled import core

_HASH_BYTES: Final = 32
_MOST_THREADS: Final = 128  # that read: for batches (at most 64), and for documents beside them (64)
_SIZE_BYTES: Final = _HASH_BYTES * _MOST_THREADS
_NOTHING: Final = bytes(_HASH_BYTES)


class DocumentsInProgress:
    """One cell for each thread. ``begin`` and ``end`` cost a tenth of a microsecond and concern the thread that calls them."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _SIZE_BYTES)
        self._own = threading.local()
        self._threads = 0
        self._lock = threading.Lock()

    @classmethod
    def create(cls) -> Self:
        """A new one; its descriptor is passed on to the worker."""
        descriptor = os.memfd_create("vermilion-reading", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _SIZE_BYTES)
        return cls(descriptor)

    def begin(self, document_sha256: bytes) -> None:
        """This thread reads that document from now on."""
        start = self._start()
        self._memory[start : start + _HASH_BYTES] = document_sha256

    def end(self) -> None:
        """It reads none."""
        self.begin(_NOTHING)

    def note(self) -> tuple[core.Reading, int]:
        """Where the compiled core notes it for this thread, document by document, in a call for a whole batch: the memory, and the place in it."""
        return self._reading, self._start()

    @cached_property
    def _reading(self) -> core.Reading:
        return core.Reading(self.descriptor)

    def clear(self) -> None:
        """No thread reads any."""
        self._memory[:] = bytes(_SIZE_BYTES)

    def documents(self) -> frozenset[bytes]:
        """SHA-256 of all documents that are being read."""
        cells = (self._memory[start : start + _HASH_BYTES] for start in range(0, _SIZE_BYTES, _HASH_BYTES))
        return frozenset(cells) - {_NOTHING}

    def close(self) -> None:
        """Unmaps it in this process."""
        self._memory.close()
        os.close(self.descriptor)

    def _start(self) -> int:
        try:
            return self._own.start  # type: ignore[no-any-return]
        except AttributeError:
            with self._lock:
                self._own.start = self._threads % _MOST_THREADS * _HASH_BYTES
                self._threads += 1
            return self._start()
