"""Landlock: no file system, no TCP and no other processes, but for files below named folders, to be read (landlock(7)).

A child is in a domain of its own: it can neither trace nor signal its siblings, nor reach their abstract sockets.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sealcore.platform.walls import kernel

LATER: Final = {"network": 4, "scopes": 6}
"""Rules, and the version of Landlock that they came with."""
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # on all architectures
_GIVE_VERSION = 1
_PATH_BENEATH = 1
_READ_FILE = 1 << 2
_ACCESSES: Final = {1: 13, 2: 14, 3: 15, 5: 16}  # version → how many kinds of access to files it knows: all are handled, so all refused
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract unix sockets, signals


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """Of the kernel's Landlock; 0 where it has none, or was started without."""
    try:
        return kernel.call(_CREATE_RULESET, None, 0, _GIVE_VERSION)
    except OSError:
        return 0


def ruleset(readable: Sequence[Path]) -> int:
    """A descriptor for ``restrict``. A folder that is not there is left out."""
    known = version()
    kinds = max(count for since, count in _ACCESSES.items() if since <= known)
    asked = _Ruleset((1 << kinds) - 1, _TCP if known >= LATER["network"] else 0, _SCOPES if known >= LATER["scopes"] else 0)
    size = 8 if known < LATER["network"] else 16 if known < LATER["scopes"] else 24
    made = kernel.call(_CREATE_RULESET, ctypes.byref(asked), size, 0)
    for folder in readable:
        try:
            opened = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        beneath = _Beneath(_READ_FILE, opened)
        kernel.call(_ADD_RULE, made, _PATH_BENEATH, ctypes.byref(beneath), 0)
        os.close(opened)
    return made


def restrict(ruleset: int) -> None:
    """Puts this process under the rules, for ever; it can get no new privileges by then."""
    kernel.call(_RESTRICT_SELF, ruleset, 0)
