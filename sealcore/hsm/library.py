"""The loaded PKCS#11 library, initialised so that several threads may call it at once.

python-pkcs11 calls ``C_Initialize(NULL)``, by which an application promises to call from one thread only (PKCS#11 v2.40
§5.4), and then releases the GIL around every call: with SoftHSM two threads crash the process. So the library is finalised
after loading and initialised again with CKF_OS_LOCKING_OK. PKCS#11 keeps its state per process, hence one Library a process.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any, Final

import pkcs11
import pkcs11._pkcs11  # ``pkcs11.lib`` would import it: here it is there before workers are forked, who then share it
from pkcs11.exceptions import PKCS11Error

from sealcore.errors import Code, VermilionError
from sealcore.hsm.faults import translate
from sealcore.hsm.native import NativeModule

_CKR_OK: Final = 0
_CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190


class Library:
    """A PKCS#11 module of this process: started (initialised with locking) or stopped."""

    def __init__(self, path: Path) -> None:
        self.native: Final = NativeModule(path)
        self._path = path
        self._lib: Any = None

    def start(self) -> None:
        """Initialises the module for use by many threads; HSM_UNAVAILABLE when it cannot. No call may be under way."""
        if self._lib is None:
            try:
                self._lib = pkcs11.lib(str(self._path))
            except PKCS11Error as fault:
                raise translate(fault, "loading the module") from None
        # pkcs11.lib has initialised the module already, for one thread (see above).
        self.stop()
        result = self.native.initialize()
        if result != _CKR_OK:
            raise VermilionError(Code.HSM_UNAVAILABLE, f"the PKCS#11 module finds no token to start with (code 0x{result:x})")

    def stop(self) -> None:
        """Finalises the module: every session ends, every login is forgotten. No call may be under way."""
        result = self.native.finalize()
        if result not in (_CKR_OK, _CKR_CRYPTOKI_NOT_INITIALIZED):
            raise VermilionError(Code.HSM_UNAVAILABLE, f"the PKCS#11 module does not stop (code 0x{result:x})")

    def token(self, label: str) -> pkcs11.Token:
        """The one token of this label; faults come as PKCS11Error."""
        found: pkcs11.Token = self._lib.get_token(token_label=label)
        return found


class _Process:
    """What PKCS#11 itself keeps once a process: the module, and who holds it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.libraries: dict[Path, Library] = {}
        self.held = False


_PROCESS: Final = _Process()


def acquire(module: Path, softhsm_conf: Path | None) -> Library:
    """The module, for its one holder in this process; CONFIGURATION_INVALID while a token is already open here."""
    with _PROCESS.lock:
        if _PROCESS.held:
            raise VermilionError(Code.CONFIGURATION_INVALID, "this process has a token open already; a process opens one")
        if softhsm_conf is not None:
            os.environ["SOFTHSM2_CONF"] = str(softhsm_conf)  # SoftHSM reads it in C_Initialize and knows no other way
        if module not in _PROCESS.libraries:
            _PROCESS.libraries[module] = Library(module)
        _PROCESS.held = True
        return _PROCESS.libraries[module]


def release(library: Library) -> None:
    """Stops the module and gives it back; its holder has no call under way."""
    with _PROCESS.lock:
        try:
            library.stop()
        finally:
            _PROCESS.held = False
