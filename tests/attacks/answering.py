"""What a document answers that has taken its process over: the bytes that it carries, as they are, on the conversation with the caller.

``work`` takes the place of a job's function: the first part that holds ``MARK`` says behind it, in base64 after ``MARK``, what is sent.
"""

from __future__ import annotations

import fcntl
import os
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

MARK: Final = b"%answers:"


def document(answer: bytes) -> bytes:
    """One that answers this."""
    return b"%PDF-1.7\n" + MARK + b64encode(answer) + b"\n"


def work(parts: list[bytes]) -> Sequence[bytes]:
    """Sends it, and ends."""
    for part in parts:
        if found := re.search(MARK + rb"([A-Za-z0-9+/=]*)", part):
            answer = b64decode(found[1])
            break
    else:
        return []
    own = next(each for each in range(3, 64) if _is_open(each))
    while answer:
        answer = answer[os.write(own, answer) :]
    os._exit(0)


def _is_open(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_GETFD)
    except OSError:
        return False
    return True
