"""The few PKCS#11 calls that we make ourselves, through the module's own function list.

python-pkcs11 asks for the length of each signature before it asks for the signature (C_Sign twice, a second round trip to a
network HSM), and creates five objects on the way. The calls here release the GIL, as its own do.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Final, cast

import pkcs11

from sealcore.errors import Code, VermilionError
from sealcore.hsm.faults import SigningError, fault_of

_CKR_OK: Final = 0
_CKF_OS_LOCKING_OK: Final = 2
_CKU_USER: Final = 1
_USER_STATES: Final = (1, 3)  # CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS

# Places in CK_FUNCTION_LIST (PKCS#11 v2.40 §3.6).
_INITIALIZE, _FINALIZE, _CLOSE_SESSION, _GET_SESSION_INFO, _LOGIN, _SIGN_INIT, _SIGN = 0, 1, 13, 15, 18, 42, 43
_FUNCTIONS: Final = 68

_LONGEST_SIGNATURE_BYTES: Final = 512  # RSA-4096

# Without argument types ctypes passes what it is given as it is: arguments are boxed once, not at each call.
_Call = ctypes.CFUNCTYPE(ctypes.c_ulong)


class _FunctionList(ctypes.Structure):
    """CK_FUNCTION_LIST; C_GetFunctionList, which gives it, is the only symbol that a module must export."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * _FUNCTIONS))


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


class _SessionInfo(ctypes.Structure):
    """CK_SESSION_INFO."""

    _fields_ = (("slot", ctypes.c_ulong), ("state", ctypes.c_ulong), ("flags", ctypes.c_ulong), ("device_error", ctypes.c_ulong))


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM without parameters."""

    _fields_ = (("mechanism", ctypes.c_ulong), ("parameter", ctypes.c_void_p), ("parameter_length", ctypes.c_ulong))


class NativeModule:
    """A loaded PKCS#11 module; HSM_UNAVAILABLE when the file is none. Calls that fail raise PKCS11Error where not said otherwise."""

    def __init__(self, path: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            listed = ctypes.POINTER(_FunctionList)()
            if self._library.C_GetFunctionList(ctypes.byref(listed)) != _CKR_OK:
                raise VermilionError(Code.HSM_UNAVAILABLE, f"{path.name} gives no function list")
        except (OSError, AttributeError):
            raise VermilionError(Code.HSM_UNAVAILABLE, f"{path.name} cannot be loaded as a PKCS#11 module") from None
        functions = listed.contents.functions
        self._initialize, self._finalize = _Call(functions[_INITIALIZE]), _Call(functions[_FINALIZE])
        self._close_session, self._session_info = _Call(functions[_CLOSE_SESSION]), _Call(functions[_GET_SESSION_INFO])
        self._login = _Call(functions[_LOGIN])
        self.sign_init, self.sign = _Call(functions[_SIGN_INIT]), _Call(functions[_SIGN])

    def initialize(self) -> int:
        """C_Initialize for use by many threads; gives its return value."""
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK)
        result: int = self._initialize(ctypes.byref(arguments))
        self._forget_openssl_errors()
        return result

    def finalize(self) -> int:
        """C_Finalize; gives its return value. No call may be under way."""
        result: int = self._finalize(None)
        return result

    def logged_in(self, session: int) -> bool:
        """Whether this session is one of the user's; a login counts for all sessions of the process."""
        info = _SessionInfo()
        _check(self._session_info(ctypes.c_ulong(session), ctypes.byref(info)))
        return info.state in _USER_STATES

    def login(self, session: int, pin: str) -> None:
        """C_Login as the user."""
        data = pin.encode()
        _check(self._login(ctypes.c_ulong(session), ctypes.c_ulong(_CKU_USER), data, ctypes.c_ulong(len(data))))

    def close_session(self, session: int) -> None:
        """C_CloseSession; its return value makes no difference to us."""
        self._close_session(ctypes.c_ulong(session))

    def _forget_openssl_errors(self) -> None:
        """SoftHSM looks for an OpenSSL engine that is not there and leaves the error in this thread's queue, where Python's ssl, which
        uses the same libcrypto, takes it for its own: the next read of an open TLS connection fails with NO_SUCH_ENGINE."""
        forget = getattr(self._library, "ERR_clear_error", None)
        if forget is not None:
            forget()


class SigningHandle:
    """A private key in one session, ready to sign: everything that C_SignInit and C_Sign take but the data. For one thread at a time.

    A call that hangs keeps its handle, and with it the buffer that the module may still write to.
    """

    def __init__(self, module: NativeModule, session: int, key: int, mechanism: int) -> None:
        self._sign_init: Any = module.sign_init
        self._sign: Any = module.sign
        self._session, self._key = ctypes.c_ulong(session), ctypes.c_ulong(key)
        self._mechanism = _Mechanism(mechanism, None, 0)
        self._buffer = ctypes.create_string_buffer(_LONGEST_SIGNATURE_BYTES)
        self._length = ctypes.c_ulong()
        self._to_mechanism, self._to_buffer, self._to_length = (
            ctypes.c_void_p(ctypes.addressof(one)) for one in (self._mechanism, self._buffer, self._length)
        )

    def sign(self, data: bytes) -> bytes:
        """The token's signature over ``data`` by one C_SignInit and one C_Sign; SigningError."""
        result = self._sign_init(self._session, self._to_mechanism, self._key)
        if result != _CKR_OK:
            raise SigningError(fault_of(result), begun=False)
        # Set anew each time: C_Sign writes the length that it used into it.
        self._length.value = _LONGEST_SIGNATURE_BYTES
        result = self._sign(self._session, data, ctypes.c_ulong(len(data)), self._to_buffer, self._to_length)
        if result != _CKR_OK:
            raise SigningError(fault_of(result), begun=True)
        return self._buffer.raw[: self._length.value]


def handle_of(thing: pkcs11.Session | pkcs11.Object) -> int:
    """The PKCS#11 handle of a session or object of python-pkcs11, whose type stubs do not declare it."""
    handle: int = cast(Any, thing).handle
    return handle


def _check(result: int) -> None:
    if result != _CKR_OK:
        raise fault_of(result)
