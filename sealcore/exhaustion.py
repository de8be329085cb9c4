"""What has run out when a fault that nobody typed comes up: the disk, memory, processes, file descriptors. One mapping for every border."""

from __future__ import annotations

import errno
from typing import Final

from sealcore.errors import Code, VermilionError

NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TOO_FEW: Final = {
    errno.EMFILE: "this process may have no more files and connections open (RLIMIT_NOFILE)",
    errno.ENFILE: "the system may have no more files open (fs.file-max)",
    errno.ENOMEM: "no memory is left",
    errno.ENOBUFS: "no memory for the network is left",
    errno.EAGAIN: "no further process may be started (RLIMIT_NPROC, pids.max)",
}
_NO_THREAD: Final = "can't start new thread"  # how Python says EAGAIN of pthread_create, and ENOMEM


def exhausted(fault: BaseException) -> VermilionError | None:
    """STORAGE_FULL or RESOURCES_EXHAUSTED where ``fault`` says that something has run out; None for any other fault."""
    if isinstance(fault, MemoryError):
        return VermilionError(Code.RESOURCES_EXHAUSTED, _TOO_FEW[errno.ENOMEM])
    if isinstance(fault, RuntimeError) and _NO_THREAD in fault.args:  # not ``str``, which an exception may define, and which may raise
        return VermilionError(
            Code.RESOURCES_EXHAUSTED, "no further thread may be started (RLIMIT_NPROC, pids.max), or no memory is left for one"
        )
    if not isinstance(fault, OSError) or fault.errno is None:
        return None
    if fault.errno in NO_SPACE:
        return VermilionError(Code.STORAGE_FULL, f"a file could not be written ({fault.strerror})")
    if fault.errno == errno.EIO:
        return VermilionError(Code.STORAGE_FULL, "the disk could not be written or read (input/output error)")
    why = _TOO_FEW.get(fault.errno)
    return None if why is None else VermilionError(Code.RESOURCES_EXHAUSTED, why)


def typed(fault: BaseException) -> VermilionError:
    """The typed error of any fault: itself where it is one, what has run out (``exhausted``), else INTERNAL with the fault's kind alone."""
    if isinstance(fault, VermilionError):
        return fault
    return exhausted(fault) or VermilionError(Code.INTERNAL, f"an unforeseen fault ({type(fault).__name__})")
