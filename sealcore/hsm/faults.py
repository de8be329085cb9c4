"""What a PKCS#11 fault means: which error code it becomes, whether the session survives, whether the call may be repeated.

Reasons name the kind of fault only; nothing that was passed to the token (PIN, data, path) is repeated in them.
"""

from __future__ import annotations

from typing import Final

import pkcs11
from pkcs11.exceptions import PKCS11Error

from sealcore.errors import Code, VermilionError


class TokenGoneError(PKCS11Error):
    """The session is still open, but its token has been removed (detected by us; no PKCS#11 return value)."""


class ModuleStoppedError(PKCS11Error):
    """CKR_CRYPTOKI_NOT_INITIALIZED: the module has forgotten everything."""


class UnlistedError(PKCS11Error):
    """A return value that python-pkcs11 has no exception for; its text is the number."""


class SigningError(PKCS11Error):
    """A signature that was not made. ``begun`` tells whether C_Sign itself was called: then the token may have signed, whatever it
    answered, and the call is never made again. Before that, C_SignInit has refused and nothing was signed."""

    def __init__(self, fault: PKCS11Error, *, begun: bool) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.begun = begun


PIN_FAULTS: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.PinExpired,
    pkcs11.UserPinNotInitialized,
)

# The token answered that it does not know the session, login or handle any more: it rejected the call before doing anything,
# so the same call may be made once more on a fresh session.
_LOST_FAULTS: Final = (
    pkcs11.SessionHandleInvalid,
    pkcs11.SessionClosed,
    pkcs11.UserNotLoggedIn,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
    pkcs11.OperationActive,
    TokenGoneError,
)

# The fault lies in what we asked; the session is as good as before.
_HARMLESS_FAULTS: Final = (
    pkcs11.ArgumentsBad,
    pkcs11.AttributeReadOnly,
    pkcs11.AttributeSensitive,
    pkcs11.AttributeTypeInvalid,
    pkcs11.AttributeValueInvalid,
    pkcs11.DataInvalid,
    pkcs11.DataLenRange,
    pkcs11.DomainParamsInvalid,
    pkcs11.KeySizeRange,
    pkcs11.KeyTypeInconsistent,
    pkcs11.MechanismInvalid,
    pkcs11.MechanismParamInvalid,
    pkcs11.SessionCount,
    pkcs11.TemplateIncomplete,
    pkcs11.TemplateInconsistent,
    pkcs11.TokenWriteProtected,
)

_GONE_FAULTS: Final = (pkcs11.NoSuchToken, TokenGoneError, pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised, pkcs11.DeviceRemoved)

# Return values (PKCS#11 v2.40 §5.1) of the calls that we make ourselves, as the exceptions that python-pkcs11 has for them.
_OF_VALUE: Final[dict[int, type[PKCS11Error]]] = {
    0x005: pkcs11.GeneralError,
    0x006: pkcs11.FunctionFailed,
    0x007: pkcs11.ArgumentsBad,
    0x020: pkcs11.DataInvalid,
    0x021: pkcs11.DataLenRange,
    0x030: pkcs11.DeviceError,
    0x031: pkcs11.DeviceMemory,
    0x032: pkcs11.DeviceRemoved,
    0x050: pkcs11.FunctionCancelled,
    0x060: pkcs11.KeyHandleInvalid,
    0x062: pkcs11.KeySizeRange,
    0x063: pkcs11.KeyTypeInconsistent,
    0x070: pkcs11.MechanismInvalid,
    0x071: pkcs11.MechanismParamInvalid,
    0x082: pkcs11.ObjectHandleInvalid,
    0x090: pkcs11.OperationActive,
    0x091: pkcs11.OperationNotInitialized,
    0x0A0: pkcs11.PinIncorrect,
    0x0A1: pkcs11.PinInvalid,
    0x0A2: pkcs11.PinLenRange,
    0x0A3: pkcs11.PinExpired,
    0x0A4: pkcs11.PinLocked,
    0x0B0: pkcs11.SessionClosed,
    0x0B1: pkcs11.SessionCount,
    0x0B3: pkcs11.SessionHandleInvalid,
    0x0E0: pkcs11.TokenNotPresent,
    0x0E1: pkcs11.TokenNotRecognised,
    0x101: pkcs11.UserNotLoggedIn,
    0x102: pkcs11.UserPinNotInitialized,
    0x190: ModuleStoppedError,
}


def fault_of(value: int) -> PKCS11Error:
    """The exception for a return value other than CKR_OK."""
    kind = _OF_VALUE.get(value)
    return UnlistedError(f"code 0x{value:x}") if kind is None else kind()


def is_harmless(fault: PKCS11Error) -> bool:
    """Whether the session is as good as before."""
    return isinstance(_cause(fault), _HARMLESS_FAULTS)


def may_repeat(fault: PKCS11Error) -> bool:
    """Whether the token has certainly done nothing and a new session may help."""
    if isinstance(fault, SigningError):
        return not fault.begun and not is_harmless(fault)
    # Only faults that prove that nothing was done. A general failure proves nothing: the token
    # may have made the key, or the signature.
    return isinstance(fault, _LOST_FAULTS)


def translate(fault: PKCS11Error, doing: str) -> VermilionError:
    """The typed error for a fault met while ``doing`` ("signing", "opening a session", …)."""
    cause = _cause(fault)
    name = str(cause) if isinstance(cause, UnlistedError) else type(cause).__name__
    if isinstance(cause, PIN_FAULTS):
        return VermilionError(Code.HSM_PIN_REFUSED, f"the token refused the PIN ({name}); it is not tried again")
    if isinstance(cause, _GONE_FAULTS):
        return VermilionError(Code.HSM_UNAVAILABLE, f"the token is not there ({name}) while {doing}")
    if isinstance(cause, pkcs11.SessionCount):
        return VermilionError(Code.HSM_UNAVAILABLE, f"the token gives no more sessions ({name}) while {doing}")
    return VermilionError(Code.HSM_UNAVAILABLE, f"the token failed ({name}) while {doing}")


def _cause(fault: PKCS11Error) -> PKCS11Error:
    return fault.fault if isinstance(fault, SigningError) else fault
