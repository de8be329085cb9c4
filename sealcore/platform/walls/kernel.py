"""System calls that Python has no function for, and the privileges of a process."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
_LAST_CAPABILITY = 63  # the kernel refuses those that it does not know
_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_CLOSE_RANGE = 436  # on all architectures
_CAPABILITY_VERSION_3 = 0x20080522
MACHINE: Final = os.uname().machine


def call(number: int, *arguments: Any) -> int:
    """A system call by its number; OSError."""
    result = int(_LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)))
    if result < 0:
        fault = ctypes.get_errno()
        raise OSError(fault, os.strerror(fault))
    return result


def close_descriptors(first: int, last: int = 0xFFFF_FFFF) -> None:
    """Closes all from ``first`` to ``last`` (close_range(2), Linux 5.9)."""
    if first <= last:
        call(_CLOSE_RANGE, first, last, 0)


def _prctl(option: int, value: int) -> bool:
    return int(_LIBC.prctl(ctypes.c_int(option), *map(ctypes.c_ulong, (value, 0, 0, 0)))) == 0


def no_new_privileges() -> None:
    """Nothing executed from here on gives rights (prctl(2), PR_SET_NO_NEW_PRIVS); an unprivileged process needs it before its filters."""
    if not _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        raise OSError("the kernel keeps no process from new privileges")


def not_dumpable() -> None:
    """No core file, no debugger of this account, no /proc/PID/mem (prctl(2), PR_SET_DUMPABLE). A fork inherits it."""
    if not _prctl(_PR_SET_DUMPABLE, 0):
        raise OSError("the kernel keeps the process open to debuggers")


def end_with_parent(signal_number: int) -> None:
    """This process gets the signal when the one that forked it is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def drop_capabilities() -> None:
    """All of them, in every set: also a process of root's is left with the rights of files alone (capabilities(7))."""
    for capability in range(_LAST_CAPABILITY + 1):
        if not _prctl(_PR_CAPBSET_DROP, capability):
            break  # without CAP_SETPCAP there is none to lose; behind the last there is none to drop
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    call(_CAPSET[MACHINE], ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))
