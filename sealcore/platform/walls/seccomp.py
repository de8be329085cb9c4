"""The system calls of a process that reads a document: a list of what is allowed, with conditions on arguments; all else is refused (seccomp(2)).

What is not listed answers EPERM: a library that asks for something harmless goes on without. A call by another architecture's or the x32
ABI's numbers, which no library of ours makes, ends the process.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sealcore.platform.walls import kernel

_SECCOMP: Final = {"x86_64": 317, "aarch64": 277}
_ARCHITECTURES: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_* of linux/audit.h
_SET_FILTER, _ACTION_AVAILABLE = 1, 2
_KILL_PROCESS, _ERRNO, _ALLOW = 0x8000_0000, 0x0005_0000, 0x7FFF_0000
_X32_BIT = 0x4000_0000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06  # BPF: ld abs, jeq, jge, and, ret
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_OPEN_TO_READ: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | 0o100000  # O_LARGEFILE, which libc adds
_FIONBIO: Final = 0x5421
_MAP_HUGETLB: Final = 0x4_0000
_ADVICE: Final = (4, 8, 14, 15, 16)  # MADV_DONTNEED, _FREE, _HUGEPAGE, _NOHUGEPAGE, _DONTDUMP: what allocators say
_FUTEX_OF: Final = (0, 1, 9, 10)  # FUTEX_WAIT, _WAKE, _WAIT_BITSET, _WAKE_BITSET: locks; no inheritance of priorities, no requeueing
_FUTEX_HOW: Final = 128 | 256  # FUTEX_PRIVATE_FLAG, FUTEX_CLOCK_REALTIME
_F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL = 1, 2, 3, 4
_ONLY_LISTED = 0xFFFF_FFFF


@dataclass(frozen=True)
class Where:
    """A condition on an argument: of the bits in ``mask`` it has those of one of ``values``, and none else.

    high  whether its upper 32 bits must be 0, too: for pointers and for what the kernel takes as a long
    """

    argument: int
    values: tuple[int, ...]
    mask: int = _ONLY_LISTED
    high: bool = False


@dataclass(frozen=True)
class Call:
    """A system call that is allowed where all conditions hold. Its numbers on x86_64 and aarch64; None where there is none."""

    x86_64: int | None
    aarch64: int | None
    conditions: tuple[Where, ...] = ()

    @property
    def number(self) -> int | None:
        """On this machine."""
        return {"x86_64": self.x86_64, "aarch64": self.aarch64}[kernel.MACHINE]


_PLAIN: Final = {
    # what a document's reader does all the time comes first
    "read": (0, 63),
    "write": (1, 64),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "close": (3, 57),
    "clock_gettime": (228, 113),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "shutdown": (48, 210),
    "getrandom": (318, 278),
    "exit_group": (231, 94),
    "exit": (60, 93),
    # signals of its own
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    # about itself, and the time
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getrusage": (98, 165),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "sched_yield": (24, 124),
    "sysinfo": (99, 179),  # libc's qsort asks how much memory there is
    # an event loop, which pyHanko's coroutines are run by
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "poll": (7, None),
    "ppoll": (271, 73),
    "getsockname": (51, 204),
}


def _conditional() -> Iterator[Call]:
    # What no library asks for is refused even where it reaches nothing: the kernel behind it has had holes that were used to break out.
    yield Call(45, 207, (Where(3, (0,)),))  # recvfrom, without flags: out-of-band bytes of unix sockets (CVE-2025-38236)
    yield Call(202, 98, (Where(1, _FUTEX_OF, mask=_ONLY_LISTED & ~_FUTEX_HOW),))  # futex
    yield Call(28, 233, (Where(2, _ADVICE),))  # madvise
    not_executable = Where(2, (0,), mask=mmap.PROT_EXEC)
    yield Call(9, 222, (not_executable, Where(3, (0,), mask=_MAP_HUGETLB)))  # mmap; huge pages are few, and for who set them aside
    yield Call(10, 226, (not_executable,))  # mprotect
    yield Call(
        44, 206, (Where(3, (0,)), Where(4, (0,), high=True))
    )  # sendto, without flags, on what is connected: a datagram with an address reaches others' sockets
    stream = Where(1, (socket.SOCK_STREAM,), mask=_ONLY_LISTED & ~(socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK))
    yield Call(53, 199, (Where(0, (socket.AF_UNIX,)), stream))  # socketpair: an event loop wakes itself by one
    yield Call(16, 29, (Where(1, (_FIONBIO,)),))  # ioctl
    yield Call(72, 25, (Where(1, (_F_GETFD, _F_SETFD, _F_GETFL, _F_SETFL)),))  # fcntl: F_SETOWN would send signals to others


_OPENAT: Final = Call(257, 56, (Where(2, (0,), mask=_ONLY_LISTED & ~_OPEN_TO_READ),))  # O_PATH and O_CREAT are no reading


_OWN_PID: Final = 0x5EC0_B0F5  # stands in a program for the process's own number, which are all far smaller
_ABOUT_ITSELF: Final = (
    Call(302, 261, (Where(0, (0, _OWN_PID)),)),  # prlimit64: limits, which it can but lower
    Call(62, 129, (Where(0, (_OWN_PID,)),)),  # kill, as abort() does
    Call(234, 131, (Where(0, (_OWN_PID,)),)),  # tgkill
)


def available() -> bool:
    """Whether this kernel has filters, and we know this machine's numbers."""
    if kernel.MACHINE not in _SECCOMP:
        return False
    action = ctypes.c_uint32(_KILL_PROCESS)
    try:
        kernel.call(_SECCOMP[kernel.MACHINE], _ACTION_AVAILABLE, 0, ctypes.byref(action))
    except OSError:
        return False
    return True


def program(*, may_open: bool) -> bytes:
    """The filter in the kernel's instructions (struct sock_filter), but for the process's own number. Files may be opened to be read where ``may_open``."""
    code = [_step(_LOAD, _ARCHITECTURE), _step(_EQUAL, _ARCHITECTURES[kernel.MACHINE], 1, 0), _step(_RETURN, _KILL_PROCESS)]
    code += [_step(_LOAD, _NUMBER), _step(_AT_LEAST, _X32_BIT, 0, 1), _step(_RETURN, _KILL_PROCESS)]
    plain = (Call(*numbers) for numbers in _PLAIN.values())
    return b"".join((*code, *map(_rule, (*plain, *_conditional(), *([_OPENAT] if may_open else []), *_ABOUT_ITSELF)), _REFUSED))


def restrict(program: bytes) -> None:
    """Puts this process, which can get no new privileges by then, under the filter, for ever."""
    code = program.replace(_value(_OWN_PID), _value(os.getpid()))
    kept = ctypes.create_string_buffer(code, len(code))
    filters = struct.pack("@HP", len(code) // _STEP_BYTES, ctypes.addressof(kept))  # struct sock_fprog
    kernel.call(_SECCOMP[kernel.MACHINE], _SET_FILTER, 0, ctypes.c_char_p(filters))


def _rule(allowed: Call) -> bytes:
    """Behind it the number is still at hand, unless the rule was for this call, and decided it."""
    if allowed.number is None:
        return b""
    body = [step for condition in allowed.conditions for step in _checked(condition)] + [_step(_RETURN, _ALLOW)]
    return b"".join([_step(_EQUAL, allowed.number, 0, len(body)), *body])


def _checked(condition: Where) -> list[bytes]:
    """Falls through where the condition holds, and refuses where it does not."""
    low = _ARGUMENTS + 8 * condition.argument
    steps = [_step(_LOAD, low + 4), _step(_EQUAL, 0, 1, 0), _REFUSED] if condition.high else []
    steps += [_step(_LOAD, low)]
    if condition.mask != _ONLY_LISTED:
        steps += [_step(_AND, condition.mask)]
    count = len(condition.values)
    steps += [_step(_EQUAL, value, count - index, 0) for index, value in enumerate(condition.values)]
    return [*steps, _REFUSED]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBB", code, if_true, if_false) + _value(value)


def _value(value: int) -> bytes:
    return struct.pack("=I", value)


_STEP_BYTES: Final = 8
_REFUSED: Final = _step(_RETURN, _ERRNO | errno.EPERM)
