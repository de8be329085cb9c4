"""Initialises the first free slot of a SoftHSM folder: ``python -m sealcore.hsm.initialise``.

Run by ``softhsm.create`` in a process of its own, since a process knows one SoftHSM folder. SOFTHSM2_CONF names the
configuration; label and PINs come on standard input as JSON, because arguments and environment show in process lists.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any, Final

_CKF_RW_SERIAL_SESSION: Final = 2 | 4
_CKU_SO: Final = 0
_LABEL_BYTES: Final = 32  # CK_TOKEN_INFO.label is padded with blanks to this length


def _check(call: str, result: int) -> None:
    if result != 0:
        raise SystemExit(f"{call} failed with code 0x{result:x}")


def initialise(module: Path, label: str, pin: str, so_pin: str) -> None:
    """C_InitToken on the first free slot, then C_InitPIN. python-pkcs11 offers no C_InitToken, hence ctypes."""
    native: Any = ctypes.CDLL(str(module))
    _check("C_Initialize", native.C_Initialize(None))
    count = ctypes.c_ulong(64)
    slots = (ctypes.c_ulong * count.value)()
    _check("C_GetSlotList", native.C_GetSlotList(ctypes.c_ubyte(0), slots, ctypes.byref(count)))
    slot = ctypes.c_ulong(slots[count.value - 1])  # SoftHSM appends one free slot after the initialised ones
    so, user, session = so_pin.encode(), pin.encode(), ctypes.c_ulong()
    _check("C_InitToken", native.C_InitToken(slot, so, ctypes.c_ulong(len(so)), label.encode().ljust(_LABEL_BYTES)))
    _check("C_OpenSession", native.C_OpenSession(slot, ctypes.c_ulong(_CKF_RW_SERIAL_SESSION), None, None, ctypes.byref(session)))
    _check("C_Login", native.C_Login(session, ctypes.c_ulong(_CKU_SO), so, ctypes.c_ulong(len(so))))
    _check("C_InitPIN", native.C_InitPIN(session, user, ctypes.c_ulong(len(user))))
    _check("C_Finalize", native.C_Finalize(None))


if __name__ == "__main__":
    order = json.load(sys.stdin)
    initialise(Path(order["module"]), order["label"], order["pin"], order["so_pin"])
