"""Counts C_Login as SoftHSM itself sees it, by putting a counting function into the module's own function list.

Arguments: token.toml, PIN that is right, PIN that is wrong. Opens with the wrong one again and again, loses the login
while running, and prints one JSON object with the counts and codes.
"""

import ctypes
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sealcore.errors import VermilionError
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings

C_LOGIN = 18  # its place in CK_FUNCTION_LIST (PKCS#11 v2.40 §3.6)


class FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


settings = TokenSettings.model_validate(tomllib.loads(Path(sys.argv[1]).read_text()))
right, wrong = sys.argv[2:]
native = ctypes.CDLL(str(settings.module))
listed = ctypes.POINTER(FunctionList)()
native.C_GetFunctionList(ctypes.byref(listed))
Login = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong)
original = Login(listed.contents.functions[C_LOGIN])
logins: list[int] = []


def counted(session: Any, user: Any, pin: Any, length: Any) -> Any:
    logins.append(user)
    return original(session, user, pin, length)


counting = Login(counted)  # kept: the module calls it for as long as it lives


listed.contents.functions[C_LOGIN] = ctypes.cast(counting, ctypes.c_void_p).value


def code(action: Callable[[], object]) -> str:
    try:
        action()
    except VermilionError as fault:
        return str(fault.code)
    return "OK"


def tries(action: Callable[[], object], times: int) -> dict[str, Any]:
    logins.clear()
    return {"codes": [code(action) for _ in range(times)], "logins": len(logins)}


said = {}
with Token.open(settings) as token:
    token.generate("key", Algorithm.P256)
    key = token.key("key")
    said["signing"] = tries(lambda: key.sign(b"data"), 50)
    settings.pin_file.write_text(wrong)  # someone spoils the file while the service runs …
    native.C_Finalize(None)  # … and the HSM restarts
    said["signing after a restart"] = tries(lambda: key.sign(b"data"), 10)
said["opening"] = tries(lambda: Token.open(settings), 10)
elsewhere = settings.pin_file.with_name("elsewhere")
elsewhere.symlink_to(settings.pin_file)
said["opening by another name of the file"] = tries(lambda: Token.open(settings.model_copy(update={"pin_file": elsewhere})), 3)
corrected = settings.pin_file.with_name("corrected")
corrected.touch(0o600)
corrected.write_text(right)
said["opening with a corrected file"] = tries(lambda: Token.open(settings.model_copy(update={"pin_file": corrected})).close(), 2)
print(json.dumps(said))
