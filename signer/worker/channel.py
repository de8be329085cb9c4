"""Between the front and a worker: a line for short messages, and shared memory for the documents and answers of a job.

The line is a SOCK_SEQPACKET pair: each message is one packet of CBOR, with file descriptors where a document is large. Bytes of
documents go through a ``Slot``, written once by one side and read once by the other.
"""

from __future__ import annotations

import array
import mmap
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any, Final

import cbor2

from sealcore.errors import Code, VermilionError

LONGEST_MESSAGE_BYTES: Final = 128 * 1024
MOST_DESCRIPTORS: Final = 64  # of one message
HALF_BYTES: Final = 8 * 1024 * 1024  # of a slot: documents in the first half, answers in the second


class Line:
    """One end of a line. Threads may send; one thread, or the event loop, receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """For an event loop that waits for messages."""
        return self._end.fileno()

    def send(self, message: Any, descriptors: Sequence[int] = ()) -> None:
        """One message; raises OSError when the other side is gone, INVALID_ARGUMENT for one that would be cut off."""
        data = cbor2.dumps(message)
        if len(data) > LONGEST_MESSAGE_BYTES or len(descriptors) > MOST_DESCRIPTORS:
            raise VermilionError(Code.INVALID_ARGUMENT, "what is asked of a worker is too long for one message")
        with self._sending:
            if descriptors:
                socket.send_fds(self._end, [data], list(descriptors))
            else:
                self._end.send(data)

    def receive(self) -> tuple[Any, list[int]] | None:
        """The next message with its descriptors; None when the other side is gone."""
        try:
            data, ancillary = self._packet()
        except ConnectionResetError:  # the other side went with messages of ours unread: what it had sent before is still to come
            return self.receive()
        except ConnectionError:
            return None
        descriptors = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
        return (cbor2.loads(data), list(descriptors)) if data else None

    def _packet(self) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        room = socket.CMSG_LEN(MOST_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _flags, _address = self._end.recvmsg(LONGEST_MESSAGE_BYTES, room, socket.MSG_CMSG_CLOEXEC)
        return data, ancillary

    def close(self) -> None:
        """Ends it; the other side receives None."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new line."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Slot:
    """Memory that both processes see. Pages that were never written cost nothing."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, 2 * HALF_BYTES)
        self.documents = memoryview(self._memory)[:HALF_BYTES]
        self.answers = memoryview(self._memory)[HALF_BYTES:]

    @classmethod
    def create(cls) -> Slot:
        """A new one; its descriptor is passed on to the worker."""
        descriptor = os.memfd_create("vermilion-slot", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, 2 * HALF_BYTES)
        return cls(descriptor)

    def close(self) -> None:
        """Gives this process's view back."""
        self.documents.release()
        self.answers.release()
        self._memory.close()
        os.close(self.descriptor)


def stored(data: bytes) -> int:
    """A descriptor of anonymous memory that holds ``data``; for answers that have no slot. The caller closes it."""
    descriptor = os.memfd_create("vermilion-answer", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return descriptor


def taken(descriptor: int) -> bytes:
    """What ``stored`` stored; closes the descriptor."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
