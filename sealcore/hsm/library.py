"""The loaded PKCS#11 library, initialised so that several threads may call it at once.

python-pkcs11 calls ``C_Initialize(NULL)``, by which an application promises to call from one thread only (PKCS#11 v2.40
§5.4), and then releases the GIL around every call: with SoftHSM two threads crash the process. So the library is finalised
after loading and initialised again with CKF_OS_LOCKING_OK. PKCS#11 keeps its state per process, hence one Library a process.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import Any, Final

import pkcs11
from pkcs11.exceptions import PKCS11Error

from sealcore.errors import Code, VermilionError
from sealcore.hsm.faults import translate

_CKR_OK: Final = 0
_CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190
_CKF_OS_LOCKING_OK: Final = 2


class _InitializeArgs(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS: no mutex functions of ours, only the flag that the operating system's may be used."""

    _fields_ = (
        ("create_mutex", ctypes.c_void_p),
        ("destroy_mutex", ctypes.c_void_p),
        ("lock_mutex", ctypes.c_void_p),
        ("unlock_mutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    )


_Call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)


class _FunctionListHead(ctypes.Structure):
    """The first members of CK_FUNCTION_LIST; the only symbol that a module must export is C_GetFunctionList."""

    _fields_ = (("major", ctypes.c_ubyte), ("minor", ctypes.c_ubyte), ("initialize", _Call), ("finalize", _Call))


class Library:
    """A PKCS#11 module of this process: started (initialised with locking) or stopped."""

    def __init__(self, path: Path) -> None:
        try:
            native = ctypes.CDLL(str(path))
            head = ctypes.POINTER(_FunctionListHead)()
            if native.C_GetFunctionList(ctypes.byref(head)) != _CKR_OK:
                raise VermilionError(Code.HSM_UNAVAILABLE, f"{path.name} gives no function list")
        except (OSError, AttributeError):
            raise VermilionError(Code.HSM_UNAVAILABLE, f"{path.name} cannot be loaded as a PKCS#11 module") from None
        self._native = native  # keeps it loaded
        self._head = head.contents
        self._path = path
        self._lib: Any = None

    def start(self) -> None:
        """Initialises the module for use by many threads; HSM_UNAVAILABLE when it cannot."""
        if self._lib is None:
            try:
                self._lib = pkcs11.lib(str(self._path))
            except PKCS11Error as fault:
                raise translate(fault, "loading the module") from None
        self.stop()
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK)
        result = self._head.initialize(ctypes.cast(ctypes.byref(arguments), ctypes.c_void_p))
        self._forget_openssl_errors()
        if result != _CKR_OK:
            raise VermilionError(Code.HSM_UNAVAILABLE, f"the PKCS#11 module finds no token to start with (code 0x{result:x})")

    def _forget_openssl_errors(self) -> None:
        """SoftHSM looks for an OpenSSL engine that is not there and leaves the error in this thread's queue, where Python's ssl, which
        uses the same libcrypto, takes it for its own: the next read of an open TLS connection fails with NO_SUCH_ENGINE."""
        forget = getattr(self._native, "ERR_clear_error", None)
        if forget is not None:
            forget()

    def stop(self) -> None:
        """Finalises the module: every session ends, every login is forgotten. No call may be under way."""
        result = self._head.finalize(None)
        if result not in (_CKR_OK, _CKR_CRYPTOKI_NOT_INITIALIZED):
            raise VermilionError(Code.HSM_UNAVAILABLE, f"the PKCS#11 module does not stop (code 0x{result:x})")

    def token(self, label: str) -> pkcs11.Token:
        """The one token of this label; faults come as PKCS11Error."""
        found: pkcs11.Token = self._lib.get_token(token_label=label)
        return found


class _Process:
    """What PKCS#11 itself keeps once a process: the module, who holds it, and the PIN files that were refused."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.libraries: dict[Path, Library] = {}
        self.held = False
        self.refused_pin_files: set[Path] = set()


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


def remember_refused(pin_file: Path) -> None:
    """From now on this process never presents what is in this file again: a few more tries would lock a real HSM."""
    with _PROCESS.lock:
        _PROCESS.refused_pin_files.add(pin_file.resolve())


def was_refused(pin_file: Path) -> bool:
    """Whether the token has refused the PIN of this file in this process."""
    with _PROCESS.lock:
        return pin_file.resolve() in _PROCESS.refused_pin_files
