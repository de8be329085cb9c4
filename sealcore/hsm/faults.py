"""What a PKCS#11 fault means to us: which code it becomes, and whether the session behind it is still alive.

Reasons name the kind of fault only; nothing that was passed to the token (PIN, data, path) is repeated in them.
"""

from __future__ import annotations

from typing import Final

import pkcs11
from pkcs11.exceptions import PKCS11Error

from sealcore.errors import Code, VermilionError


class TokenGoneError(PKCS11Error):
    """The session lives on, but the token behind it was taken away (our finding, not a PKCS#11 return value)."""


PIN_FAULTS: Final = (
    pkcs11.PinIncorrect,
    pkcs11.PinInvalid,
    pkcs11.PinLenRange,
    pkcs11.PinLocked,
    pkcs11.PinExpired,
    pkcs11.UserPinNotInitialized,
)

# The token answered that it does not know the session, login or handle any more: it refused at the door and did nothing,
# so the same call may be made once more on a fresh session without a second signature coming about.
LOST_FAULTS: Final = (
    pkcs11.SessionHandleInvalid,
    pkcs11.SessionClosed,
    pkcs11.UserNotLoggedIn,
    pkcs11.KeyHandleInvalid,
    pkcs11.ObjectHandleInvalid,
    pkcs11.OperationActive,
    TokenGoneError,
)

# The fault lies in what we asked; the session is as good as before.
HARMLESS_FAULTS: Final = (
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
    pkcs11.TemplateIncomplete,
    pkcs11.TemplateInconsistent,
    pkcs11.TokenWriteProtected,
)


def translate(fault: PKCS11Error, doing: str) -> VermilionError:
    """The typed error for a fault met while ``doing`` ("signing", "opening a session", …)."""
    name = type(fault).__name__
    if isinstance(fault, PIN_FAULTS):
        return VermilionError(Code.HSM_PIN_REFUSED, f"the token refused the PIN ({name}); it is not tried again")
    if isinstance(fault, pkcs11.NoSuchToken | TokenGoneError | pkcs11.TokenNotPresent | pkcs11.TokenNotRecognised):
        return VermilionError(Code.HSM_UNAVAILABLE, f"the token is not there ({name}) while {doing}")
    return VermilionError(Code.HSM_UNAVAILABLE, f"the token failed ({name}) while {doing}")
