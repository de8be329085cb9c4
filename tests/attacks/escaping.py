"""What a document that has taken its process over would try next: system calls as native code makes them, from inside the real child.

``work`` tries every door and tells what the kernel answered. Each attempt is harmless where it succeeds: signals are the one that only asks
whether it might be sent (0), files are the test's own.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long
_LIBC.mmap.restype = ctypes.c_void_p
_COLUMN: Final = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
_NULL: Final = 0
_HERE: Final = -100  # AT_FDCWD
_PAGE: Final = mmap.PAGESIZE
_NOTHING: Final = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(
    lambda _: None
)  # made here, since it takes memory that can be executed
OPEN: Final = "open"
SHUT: Final = frozenset({"EPERM", "EACCES"})
AT_IMPORT: Final = dict(os.environ)
"""The environment of the process that children are forked from."""

# What needs no more than to be called: number on x86_64 and aarch64, arguments.
_BARE: Final[dict[str, tuple[int, int, tuple[Any, ...]]]] = {
    # processes and threads
    "clone": (56, 220, (signal.SIGCHLD, _NULL, _NULL, _NULL, _NULL)),
    "clone3": (435, 435, (_NULL, 0)),
    "execveat": (322, 281, (_HERE, b"/bin/true", _NULL, _NULL, 0)),
    "trace me": (101, 117, (0, 0, _NULL, _NULL)),
    "setsid": (112, 157, ()),
    "setpgid": (109, 154, (0, 0)),
    "seccomp with a listener": (317, 277, (1, 8, _NULL)),
    "no filter": (157, 167, (22, 0, _NULL)),  # PR_SET_SECCOMP
    "dumpable again": (157, 167, (4, 1, 0, 0, 0)),
    "any tracer": (157, 167, (0x59616D61, 2**64 - 1, 0, 0, 0)),
    "another personality": (135, 92, (0x0040000,)),
    "affinity": (203, 122, (0, 8, _NULL)),
    "scheduler": (144, 119, (0, 1, _NULL)),
    "priority": (141, 140, (0, 0, -20)),
    "landlock": (444, 444, (_NULL, 0, 1)),
    # namespaces and privileges
    "unshare": (272, 97, (0x1000_0000,)),
    "setns": (308, 268, (0, 0)),
    "setuid": (105, 146, (0,)),
    "setresuid": (117, 147, (65534, 65534, 65534)),
    "setgid": (106, 144, (0,)),
    "setgroups": (116, 159, (0, _NULL)),
    "capset": (126, 91, (_NULL, _NULL)),
    "chroot": (161, 51, (b"/",)),
    "mount": (165, 40, (_NULL, _NULL, _NULL, 0, _NULL)),
    "umount": (166, 39, (b"/nowhere", 0)),
    "pivot_root": (155, 41, (_NULL, _NULL)),
    "open_tree": (428, 428, (_HERE, b"/", 0)),
    "fsopen": (430, 430, (b"tmpfs", 0)),
    "hostname": (170, 161, (_NULL, 2**31)),
    "clock": (227, 112, (0, _NULL)),
    "kernel log": (103, 116, (9, _NULL, 0)),
    "kernel module": (313, 273, (-1, b"", 0)),
    # the kernel's machines
    "io_uring": (425, 425, (1, _NULL)),
    "bpf": (321, 280, (0, _NULL, 0)),
    "perf": (298, 241, (_NULL, 0, -1, -1, 0)),
    "userfaultfd": (323, 282, (1,)),
    "keys": (250, 219, (0, 0xFFFF_FFFD, 0)),
    "a new key": (248, 217, (_NULL, _NULL, _NULL, 0, 0)),
    # memory that is a file, or shared
    "memfd": (319, 279, (b"x", 0)),
    "memfd_secret": (447, 447, (0,)),
    "shared memory": (29, 194, (0, 4096, 0o1600)),
    "semaphores": (64, 190, (0, 1, 0o1600)),
    "message queue": (68, 186, (0, 0o1600)),
    "POSIX message queue": (240, 180, (b"vermilion-test", os.O_CREAT | os.O_RDWR, 0o600, _NULL)),
    "locked memory": (151, 230, (1,)),
    "memory with a key": (329, 288, (_NULL, 0, mmap.PROT_EXEC, -1)),
    # descriptors
    "pipe": (293, 59, (_NULL, 0)),
    "duplicate": (292, 24, (0, 9, 0)),
    "eventfd": (290, 19, (0, 0)),
    "signalfd": (289, 74, (-1, _NULL, 8, 0)),
    "timerfd": (283, 85, (0, 0)),
    "splice": (275, 76, (0, _NULL, 1, _NULL, 1, 0)),
    "sendfile": (40, 71, (1, 0, _NULL, 1)),
    "descriptors over a socket": (46, 211, (0, _NULL, 0)),
    "descriptors from a socket": (47, 212, (0, _NULL, 0)),
    # time
    "alarm": (38, 103, (0, _NULL, _NULL)),  # setitimer
    "timer": (222, 107, (0, _NULL, _NULL)),
    # the file system
    "working directory": (79, 17, (_NULL, 0)),
    "change directory": (80, 49, (b"/",)),
    "open by handle": (304, 265, (0, _NULL, 0)),
    "inotify": (294, 26, (0,)),
    "fanotify": (300, 262, (0, 0)),
}


@dataclass(frozen=True)
class Scene:
    """What there is to be reached.

    folder   the test's, with a file ``secret`` in it
    victims  processes of the same account, by what they are
    font     a file that may be read; empty where this machine has none
    """

    folder: str
    victims: dict[str, int]
    font: str

    @property
    def secret(self) -> bytes:
        return f"{self.folder}/secret".encode()


def work(parts: list[bytes]) -> Sequence[bytes]:
    """``parts`` say what to do; nothing, where there are none."""
    what = parts[0] if parts else b""
    if what == b"escape":
        return [json.dumps(_tried(Scene(**json.loads(parts[1])))).encode()]
    if what == b"remember":
        return [_stack()]
    if what == b"outstay":
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
    if what in (b"outstay", b"wait"):
        time.sleep(1000)
    if what == b"x32":
        _LIBC.syscall(ctypes.c_long(0x4000_0000 | 39))
    return []


def _stack() -> bytes:
    """From where this program's arguments and environment lie to the end, by a call that answers also for what is not there."""
    at = ctypes.c_void_p.in_dll(_LIBC, "__libc_stack_end").value or 0
    at -= at % _PAGE
    found = b""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        while _LIBC.write(ours.fileno(), ctypes.c_void_p(at), ctypes.c_size_t(_PAGE)) == _PAGE:
            found += theirs.recv(_PAGE)
            at += _PAGE
    return found


def _tried(scene: Scene) -> dict[str, Any]:
    doors: dict[str, Callable[[], int]] = {}
    for name, (*numbers, arguments) in _BARE.items():
        doors[name] = partial(_call, numbers[_COLUMN], *arguments)
    for group in (_files(scene), _devices(scene), _network(), _processes(scene), _memory()):
        doors |= dict(group)
    answers = {name: _answer(attempt) for name, attempt in doors.items()}
    descriptors = [each for each in range(1024) if _LIBC.fcntl(each, 1) >= 0]
    return {
        "doors": answers,
        "descriptors": len(descriptors),
        "standard": [_reading(0), os.write(1, b"x"), os.write(2, b"x")],
        "font": _answer(lambda: _opened(scene.font.encode(), os.O_RDONLY)) if scene.font else OPEN,
        "environment": {**AT_IMPORT, **os.environ},
    }


def _answer(attempt: Callable[[], int]) -> str:
    ctypes.set_errno(0)
    result = attempt()
    return OPEN if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def _call(number: int, *arguments: Any) -> int:
    result = int(_LIBC.syscall(ctypes.c_long(number), *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)))
    if result == 0 and number == (56, 220)[_COLUMN]:
        os._exit(0)  # it has become two
    return result


def _either(x86_64: int, aarch64: int, *arguments: Any) -> Callable[[], int]:
    return lambda: _call((x86_64, aarch64)[_COLUMN], *arguments)


def _opened(path: bytes, flags: int) -> int:
    return int(_LIBC.open(path, ctypes.c_int(flags), ctypes.c_uint(0o600)))


def _reading(descriptor: int) -> int:
    return len(os.read(descriptor, 1))


def _files(scene: Scene) -> Iterator[tuple[str, Callable[[], int]]]:
    folder, secret = scene.folder.encode(), scene.secret
    beside = folder + b"/beside"
    yield "read a file", lambda: _opened(secret, os.O_RDONLY)
    yield "name a file", lambda: _opened(secret, os.O_PATH)
    yield "write a file", lambda: _opened(secret, os.O_WRONLY)
    yield "write and read a file", lambda: _opened(secret, os.O_RDWR)
    yield "append to a file", lambda: _opened(secret, os.O_WRONLY | os.O_APPEND)
    yield "empty a file by reading it", lambda: _opened(secret, os.O_RDONLY | os.O_TRUNC)
    yield "make a file", lambda: _opened(beside, os.O_WRONLY | os.O_CREAT)
    yield "make a file without a name", lambda: _opened(folder, os.O_WRONLY | os.O_TMPFILE)
    yield "open a folder", lambda: _opened(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield "list a folder", _either(217, 61, 0, _NULL, 0)
    yield "openat2", _either(437, 437, _HERE, secret, struct.pack("QQQ", 0, 0, 0), 24)
    yield "remove", _either(263, 35, _HERE, secret, 0)
    yield "remove a folder", _either(263, 35, _HERE, folder, 0x200)
    yield "rename", _either(316, 276, _HERE, secret, _HERE, beside, 0)
    yield "make a folder", _either(258, 34, _HERE, beside, 0o700)
    yield "change rights", _either(268, 53, _HERE, secret, 0o777)
    yield "change the owner", _either(260, 54, _HERE, secret, 0, 0, 0)
    yield "symbolic link", _either(266, 36, secret, _HERE, beside)
    yield "link", _either(265, 37, _HERE, secret, _HERE, beside, 0)
    yield "special file", _either(259, 33, _HERE, beside, 0o010600, 0)
    yield "cut off", _either(76, 45, secret, 0)
    yield "change times", _either(280, 88, _HERE, secret, _NULL, 0)
    yield "attribute", _either(188, 5, secret, b"user.x", b"x", 1, 0)
    yield "look at", _either(262, 79, _HERE, secret, ctypes.create_string_buffer(512), 0)
    yield "look at closely", _either(332, 291, _HERE, secret, 0, 0x7FF, ctypes.create_string_buffer(512))
    yield "rights of", _either(269, 48, _HERE, secret, 0)
    yield "link of", _either(267, 78, _HERE, b"/proc/self/exe", ctypes.create_string_buffer(512), 512)


def _devices(scene: Scene) -> Iterator[tuple[str, Callable[[], int]]]:
    for path in ("/dev/shm/vermilion-escape", "/tmp/vermilion-escape", "/var/tmp/vermilion-escape"):
        yield f"make {path}", partial(_opened, path.encode(), os.O_WRONLY | os.O_CREAT)
    for path in (
        "/etc/passwd",
        "/proc/self/mem",
        "/proc/self/environ",
        "/proc/self/maps",
        "/proc/self/exe",
        "/proc/1/cmdline",
        "/dev/null",
    ):
        yield f"read {path}", partial(_opened, path.encode(), os.O_RDONLY)
    for who, pid in scene.victims.items():
        for name in ("mem", "maps", "environ", "cmdline", "fd/0", "root/etc/passwd"):
            yield f"read {name} of {who}", partial(_opened, f"/proc/{pid}/{name}".encode(), os.O_RDONLY)
        yield f"write mem of {who}", partial(_opened, f"/proc/{pid}/mem".encode(), os.O_RDWR)
        yield f"score of {who}", partial(_opened, f"/proc/{pid}/oom_score_adj".encode(), os.O_WRONLY)
    if scene.font:
        yield "write a font", lambda: _opened(scene.font.encode(), os.O_WRONLY)
        yield "list fonts", lambda: _opened(os.path.dirname(scene.font).encode(), os.O_RDONLY | os.O_DIRECTORY)  # noqa: PTH120
        yield "beside fonts", lambda: _opened(os.path.dirname(scene.font).encode() + b"/" + b"../" * 9 + b"etc/passwd", os.O_RDONLY)  # noqa: PTH120


def _network() -> Iterator[tuple[str, Callable[[], int]]]:
    for family, kind in (
        ("AF_INET", socket.SOCK_STREAM),
        ("AF_INET", socket.SOCK_DGRAM),
        ("AF_INET", socket.SOCK_RAW),
        ("AF_INET6", socket.SOCK_STREAM),
        ("AF_UNIX", socket.SOCK_STREAM),
        ("AF_UNIX", socket.SOCK_DGRAM),
        ("AF_NETLINK", socket.SOCK_RAW),
        ("AF_PACKET", socket.SOCK_RAW),
        ("AF_VSOCK", socket.SOCK_STREAM),
        ("AF_ALG", socket.SOCK_SEQPACKET),
    ):
        yield f"socket {family} {kind.name}", _either(41, 198, getattr(socket, family), int(kind), 0)
    pair = ctypes.create_string_buffer(8)
    yield "pair of datagrams, which may be addressed", _either(53, 199, socket.AF_UNIX, socket.SOCK_DGRAM, 0, pair)
    abstract = struct.pack("H", socket.AF_UNIX) + b"\0vermilion"
    known = [each for each in range(3, 64) if _LIBC.fcntl(each, 1) >= 0]
    own = known[0] if known else 3
    yield "address a message", _either(44, 206, own, b"", 0, 0, abstract, len(abstract))
    yield "a byte out of band", partial(_out_of_band, (44, 206))
    yield "receive out of band", partial(_out_of_band, (45, 207))
    yield "connect", _either(42, 203, own, abstract, len(abstract))
    yield "bind", _either(49, 200, own, abstract, len(abstract))
    yield "listen", _either(50, 201, own, 1)
    yield "accept", _either(288, 242, own, _NULL, _NULL, 0)
    yield "options", _either(54, 208, own, socket.SOL_SOCKET, socket.SO_SNDBUF, struct.pack("i", 1), 4)
    yield "several messages", _either(307, 269, own, _NULL, 0, 0)


def _out_of_band(numbers: tuple[int, int]) -> int:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        return _call(numbers[_COLUMN], ours.fileno(), ctypes.create_string_buffer(8), 1, socket.MSG_OOB | socket.MSG_DONTWAIT, 0, 0)


def _processes(scene: Scene) -> Iterator[tuple[str, Callable[[], int]]]:
    yield "fork", _forked
    yield "execute", lambda: int(_LIBC.execve(b"/bin/true", _NULL, _NULL))
    yield "thread", _thread
    yield "signal everybody", partial(_signalled, -1)
    yield "signal the group", partial(_signalled, 0)
    yield "raise limits", lambda: int(_LIBC.prlimit(0, 7, struct.pack("QQ", 4096, 4096), _NULL))
    for who, pid in scene.victims.items():
        yield f"signal {who}", partial(_signalled, pid)
        yield f"signal a thread of {who}", _either(200, 130, pid, 0)
        yield f"signal the group of {who}", partial(_signalled, -pid)
        yield f"queue a signal for {who}", _either(129, 138, pid, 0, struct.pack("iiii", 0, 0, -1, 0) + bytes(112))
        yield f"trace {who}", _either(101, 117, 0x4206, pid, 0, 0)  # PTRACE_SEIZE, which stops nobody
        yield f"read memory of {who}", _either(310, 270, pid, _NULL, 0, _NULL, 0, 0)
        yield f"write memory of {who}", _either(311, 271, pid, _NULL, 0, _NULL, 0, 0)
        yield f"hold {who}", _either(434, 434, pid, 0)
        yield f"compare with {who}", _either(312, 272, os.getpid(), pid, 1, 0, 0)
        yield f"limits of {who}", _either(302, 261, pid, 7, _NULL, ctypes.create_string_buffer(16))
        yield f"descriptors of {who}", _either(438, 438, 0, pid, 0)
        yield f"signals by input for {who}", partial(_signals_by_input, pid)


def _signalled(pid: int) -> int:
    return int(_LIBC.kill(pid, 0))


def _signals_by_input(pid: int) -> int:
    return int(_LIBC.fcntl(0, 8, pid))  # F_SETOWN


def _forked() -> int:
    pid = int(_LIBC.fork())
    if pid == 0:
        os._exit(0)
    return pid


def _thread() -> int:
    handle = ctypes.c_ulong()
    fault = int(_LIBC.pthread_create(ctypes.byref(handle), None, _NOTHING, None))
    if fault:
        ctypes.set_errno(fault)
        return -1
    return int(_LIBC.pthread_join(handle, None))


def _memory() -> Iterator[tuple[str, Callable[[], int]]]:
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

    def mapped(protection: int) -> int:
        found = _LIBC.mmap(None, ctypes.c_size_t(_PAGE), protection, private, -1, ctypes.c_long(0))
        return -1 if found == ctypes.c_void_p(-1).value else 0

    def turned() -> int:
        found = _LIBC.mmap(None, ctypes.c_size_t(_PAGE), mmap.PROT_READ | mmap.PROT_WRITE, private, -1, ctypes.c_long(0))
        return int(_LIBC.mprotect(ctypes.c_void_p(found), ctypes.c_size_t(_PAGE), mmap.PROT_READ | mmap.PROT_EXEC))

    word = ctypes.create_string_buffer(8)
    for name, operation in (
        ("lock that lends its priority", 6),
        ("lock at once", 8),
        ("requeue", 4),
        ("wake and change", 5),
        ("an array of locks", 13),
    ):
        yield name, _either(202, 98, word, operation, 1, _NULL, word, 0)
    for name, advice in (("pages to share", 12), ("pages to take out", 21), ("pages to poison", 100), ("pages to build anew", 25)):
        yield name, _either(28, 233, _NULL, 0, advice)
    yield "huge pages", _either(9, 222, _NULL, 2 * 1024 * 1024, mmap.PROT_READ, private | 0x4_0000, -1, 0)
    yield "memory to execute", lambda: mapped(mmap.PROT_READ | mmap.PROT_EXEC)
    yield "memory to write and execute", lambda: mapped(mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    yield "memory made executable", turned
