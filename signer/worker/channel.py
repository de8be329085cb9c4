"""Between the front and a worker: a channel for short messages, and shared memory for the documents and answers of a job.

The channel is a SOCK_SEQPACKET pair: each message is one packet of CBOR, with file descriptors where a document is large. Documents go
through a ``Slot``, written once by one side and read once by the other.
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


class Channel:
    """One end of a channel. Any thread may send; one thread, or the event loop, receives."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """For an event loop to wait on."""
        return self._end.fileno()

    def send(self, message: Any, descriptors: Sequence[int] = ()) -> None:
        """Sends one message; raises OSError when the other side is gone, INVALID_ARGUMENT for a message that would be truncated."""
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
        except ConnectionResetError:  # the other side closed without reading all of ours; what it sent before can still be read
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
        """Closes this end; the other side receives None."""
        self._end.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Slot:
    """Memory that both processes map. Pages that were never written cost nothing."""

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
        """Unmaps it in this process."""
        self.documents.release()
        self.answers.release()
        self._memory.close()
        os.close(self.descriptor)


def to_descriptor(data: bytes) -> int:
    """A descriptor of anonymous memory that holds ``data``, for an answer that has no slot. The caller closes it."""
    descriptor = os.memfd_create("vermilion-answer", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return descriptor


def from_descriptor(descriptor: int) -> bytes:
    """The data behind a descriptor of ``to_descriptor``, which is closed."""
    with open(descriptor, "rb") as file:
        file.seek(0)
        return file.read()
