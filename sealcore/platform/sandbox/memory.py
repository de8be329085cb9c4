"""The memory that children share with the process that forks them: what of it they need not copy.

What a document costs behind a fork is to a large part pages: each one that a child writes to is copied for it, and of each one that it has an entry
of a page table is copied at its begin and freed at its end. Where kernel or C library cannot do what is asked for here, all stays as it is.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Iterator
from contextlib import suppress
from mmap import PAGESIZE
from pathlib import Path
from typing import BinaryIO, Final

LARGE_BYTES: Final = 2 * 1024 * 1024
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_COLLAPSE: Final = 25  # MADV_COLLAPSE (madvise(2), Linux 6.1)
_MOSTLY: Final = 0.9  # of its small pages are there: the others take memory from then on
_PRESENT: Final = 63  # the bit of an entry of /proc/PID/pagemap
_ENTRY_BYTES: Final = 8
_LARGEST_HOLE, _SMALLEST_HOLE = 64 * 1024, 32
_MOST_IN_HOLES: Final = 64 * 1024  # pieces
_POOL_BYTES, _POOL_HEAD_BYTES, _LARGEST_SMALL_BYTES, _ALIGNMENT = 16 * 1024, 48, 512, 16  # Objects/obmalloc.c
_BYTES_HEAD: Final = bytes(1).__sizeof__() - 1
_SMALLEST_OBJECT: Final = (_BYTES_HEAD // _ALIGNMENT + 1) * _ALIGNMENT
_MOST_IN_POOLS: Final = 20_000  # objects of one size


class _Holes(ctypes.Structure):
    """struct mallinfo2 (mallinfo(3))."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    )


def fill_holes() -> list[bytes]:
    """Takes what is free between other things, so that a child's own lie together on few new pages, not each on a page of others. Keep the result."""
    with suppress(AttributeError):  # another C library
        _fill_heap()
    return [each for size in range(_SMALLEST_OBJECT, _LARGEST_SMALL_BYTES + 1, _ALIGNMENT) for each in _pool_filling(size)]


def _fill_heap() -> None:
    """Of the C library: what is taken is never given back."""
    told, take = _LIBC.mallinfo2, _LIBC.malloc
    told.restype, take.restype = _Holes, ctypes.c_void_p
    size, taken = _LARGEST_HOLE, 0
    while size >= _SMALLEST_HOLE and taken < _MOST_IN_HOLES:
        before = told()
        if before.fordblks - before.keepcost >= size:  # besides what is free at the end
            take(ctypes.c_size_t(size - ctypes.sizeof(ctypes.c_size_t)))
            taken += 1
            if told().keepcost >= before.keepcost:
                continue
        size = (size * 3 // 4 if size > 2 * _SMALLEST_HOLE else size - 1) // _ALIGNMENT * _ALIGNMENT


def _pool_filling(size: int) -> Iterator[bytes]:
    """Objects of so many bytes, until a pool of Python's holds nothing else."""
    fills = (_POOL_BYTES - _POOL_HEAD_BYTES) // size
    pool, count = 0, 0
    for _ in range(_MOST_IN_POOLS):
        one = bytes(size - _BYTES_HEAD)
        count = count + 1 if id(one) // _POOL_BYTES == pool else 1
        pool = id(one) // _POOL_BYTES
        yield one
        if count == fills:
            return


def gather() -> int:
    """Has the kernel put this process's own memory into large pages where it mostly fills them; how many it did. A fork copies one entry for each."""
    gathered = 0
    with suppress(OSError), Path("/proc/self/pagemap").open("rb", buffering=0) as pages:
        for address in list(_places()):
            if _filled(pages, address) >= _MOSTLY:
                gathered += _LIBC.madvise(ctypes.c_void_p(address), ctypes.c_size_t(LARGE_BYTES), _COLLAPSE) == 0
    return gathered


def _places() -> Iterator[int]:
    """Addresses of large pages that lie within memory that is written to and no file's (proc(5), /proc/PID/maps)."""
    for line in Path("/proc/self/maps").read_text("utf-8", "replace").splitlines():
        addresses, rights, _offset, _device, node = line.split()[:5]
        if rights == "rw-p" and node == "0":
            begin, end = (int(each, 16) for each in addresses.split("-"))
            yield from range(-(-begin // LARGE_BYTES) * LARGE_BYTES, end - LARGE_BYTES + 1, LARGE_BYTES)


def _filled(pages: BinaryIO, address: int) -> float:
    """Which part of it is in memory."""
    count = LARGE_BYTES // PAGESIZE
    pages.seek(address // PAGESIZE * _ENTRY_BYTES)
    entries = array("Q", pages.read(count * _ENTRY_BYTES))
    return sum(entry >> _PRESENT for entry in entries) / count
