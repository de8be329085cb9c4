"""A PKCS#11 module for tests: the real SoftHSM behind it, every call counted, and faults on demand, in all processes at once.

    wrapped = WrappedModule.build(tmp_path)                # compiles wrapping.c; the state lies beside the module
    settings = wrapped.settings(settings)                  # the same token through the wrapped module
    with Token.open(settings) as token: ...                # in this process or in any other

    wrapped.calls("C_Login")                               # how often, over all processes, since the start or ``reset``
    wrapped.calls("C_Sign")                                # signatures asked for: with a buffer
    wrapped.calls(QUERY)                                   # C_Sign without one, which only asks for the length
    wrapped.signatures()["seal.contract.1"].begun          # C_Sign by key label; ``.made``: answered with CKR_OK by the token

    wrapped.fail("C_Sign", Ckr.DEVICE_ERROR)               # the next call is refused and not forwarded
    wrapped.fail("C_Sign", Ckr.DEVICE_ERROR, forwarded=True)  # "failed, but it happened"
    wrapped.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID, after=3, times=2)  # the fourth and the fifth from now
    wrapped.fail("C_OpenSession", Ckr.SESSION_COUNT, times=None)              # every one from now on, until ``clear``
    wrapped.delay("C_Sign", 200, key="tsa.signer.1")       # only calls with this key (C_SignInit, C_Sign)
    wrapped.hang("C_Sign"); wrapped.hanging; wrapped.release()  # until released; or never, if it is not
    wrapped.kill("C_Sign", forwarded=True)                 # SIGKILL to the process that makes the call, after the token signed
    rule = wrapped.fail(...); rule.acted; rule.end()

Rules hold for every process that uses the module, are looked at in the order in which they were made, and each counts the calls
that match it. ``WrappedModule(path)`` finds a built module again, in another process too.
"""

from __future__ import annotations

import atexit
import ctypes
import mmap
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Final

from sealcore.platform.config import SOFTHSM_MODULE, TokenSettings

_SOURCE: Final = Path(__file__).with_name("wrapping.c")
QUERY: Final = "C_Sign without buffer"

# In the order of CK_FUNCTION_LIST (PKCS#11 v2.40 §3.6); the last is ours.
FUNCTIONS: Final = (
    *("C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo"),
    *("C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN", "C_OpenSession", "C_CloseSession"),
    *("C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState", "C_SetOperationState", "C_Login", "C_Logout"),
    *("C_CreateObject", "C_CopyObject", "C_DestroyObject", "C_GetObjectSize", "C_GetAttributeValue", "C_SetAttributeValue"),
    *("C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_EncryptInit", "C_Encrypt", "C_EncryptUpdate", "C_EncryptFinal"),
    *("C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal", "C_DigestInit", "C_Digest", "C_DigestUpdate", "C_DigestKey"),
    *("C_DigestFinal", "C_SignInit", "C_Sign", "C_SignUpdate", "C_SignFinal", "C_SignRecoverInit", "C_SignRecover", "C_VerifyInit"),
    *("C_Verify", "C_VerifyUpdate", "C_VerifyFinal", "C_VerifyRecoverInit", "C_VerifyRecover", "C_DigestEncryptUpdate"),
    *("C_DecryptDigestUpdate", "C_SignEncryptUpdate", "C_DecryptVerifyUpdate", "C_GenerateKey", "C_GenerateKeyPair", "C_WrapKey"),
    *("C_UnwrapKey", "C_DeriveKey", "C_SeedRandom", "C_GenerateRandom", "C_GetFunctionStatus", "C_CancelFunction"),
    *("C_WaitForSlotEvent", QUERY),
)
_KEYS, _RULES, _LABEL_BYTES, _PATH_BYTES = 256, 1024, 64, 4096
_EVERY: Final = 2**63  # more calls than there will be
_FAIL, _DELAY, _HANG, _KILL = 1, 2, 3, 4


class Ckr(IntEnum):
    """Return values (PKCS#11 v2.40 §5.1) that tests ask for; any other number does as well."""

    HOST_MEMORY = 0x002
    GENERAL_ERROR = 0x005
    FUNCTION_FAILED = 0x006
    DATA_INVALID = 0x020
    DEVICE_ERROR = 0x030
    DEVICE_MEMORY = 0x031
    DEVICE_REMOVED = 0x032
    KEY_HANDLE_INVALID = 0x060
    OPERATION_ACTIVE = 0x090
    PIN_INCORRECT = 0x0A0
    PIN_EXPIRED = 0x0A3
    PIN_LOCKED = 0x0A4
    SESSION_CLOSED = 0x0B0
    SESSION_COUNT = 0x0B1
    SESSION_HANDLE_INVALID = 0x0B3
    TOKEN_NOT_PRESENT = 0x0E0
    USER_NOT_LOGGED_IN = 0x101
    BUFFER_TOO_SMALL = 0x150
    CRYPTOKI_NOT_INITIALIZED = 0x190


def _numbers(*names: str) -> list[tuple[str, type[ctypes.c_uint64]]]:
    return [(name, ctypes.c_uint64) for name in names]


class _Rule(ctypes.Structure):
    _fields_ = (
        *_numbers("active", "function", "action", "value", "forwarded", "skip", "times", "seen", "acted"),
        ("label", ctypes.c_char * _LABEL_BYTES),
    )


class _Key(ctypes.Structure):
    _fields_ = (*_numbers("state", "inits", "signs", "made"), ("label", ctypes.c_char * _LABEL_BYTES))


class _State(ctypes.Structure):
    _fields_ = (
        *_numbers("rules_in_use", "released", "hanging", "processes"),
        ("calls", ctypes.c_uint64 * len(FUNCTIONS)),
        ("keys", _Key * _KEYS),
        ("rules", _Rule * _RULES),
        ("module", ctypes.c_char * _PATH_BYTES),
    )


@dataclass(frozen=True)
class Signatures:
    """Calls with one key: C_SignInit, C_Sign with a buffer, and those of the latter that the token itself answered with CKR_OK."""

    inits: int
    begun: int
    made: int


class Rule:
    """A rule in force."""

    def __init__(self, row: _Rule) -> None:
        self._row = row

    @property
    def acted(self) -> int:
        """How many calls it has changed."""
        return int(self._row.acted)

    def end(self) -> None:
        """From now on it changes none."""
        self._row.active = 0


class WrappedModule:
    """A built module and its shared state. Rules and counters are the same in every process; rules are made by one at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.with_name(path.name + ".state").open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), ctypes.sizeof(_State))
        self._state = _State.from_buffer(self._memory)

    @classmethod
    def build(cls, folder: Path, *, real: Path = SOFTHSM_MODULE) -> WrappedModule:
        """A module of its own in this folder, with counters at zero and no rules."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "wrapped.so"
        state = _State(module=str(real).encode())
        path.with_name(path.name + ".state").write_bytes(bytes(state))
        shutil.copyfile(_compiled(), path)
        return cls(path)

    def settings(self, settings: TokenSettings) -> TokenSettings:
        """The same token, reached through this module."""
        return settings.model_copy(update={"module": self.path})

    # --- what was called

    def calls(self, function: str) -> int:
        """How often a function was called, refused calls included."""
        return int(self._state.calls[FUNCTIONS.index(function)])

    def counters(self) -> dict[str, int]:
        """The same for every function that was called."""
        return {name: count for name, count in zip(FUNCTIONS, self._state.calls, strict=True) if count}

    def signatures(self) -> dict[str, Signatures]:
        """Calls by the label of the private key."""
        found: dict[str, Signatures] = {}
        for row in self._state.keys:
            if row.state == 2:
                label = row.label.decode()
                before = found.get(label, Signatures(0, 0, 0))
                found[label] = Signatures(before.inits + row.inits, before.begun + row.signs, before.made + row.made)
        return found

    @property
    def loaded(self) -> int:
        """How many processes have loaded the module so far."""
        return int(self._state.processes)

    @property
    def hanging(self) -> int:
        """How many calls hang at this moment; a process that is killed in one leaves it counted."""
        return int(self._state.hanging)

    def reset(self) -> None:
        """Sets all counters to zero and ends all rules; nobody is to be inside the module."""
        self.clear()
        for place in range(len(FUNCTIONS)):
            self._state.calls[place] = 0
        for row in self._state.keys:
            row.inits = row.signs = row.made = 0

    # --- what is to happen. `after`: so many calls that match pass first; `times`: so many are changed, None for every one

    def fail(
        self, function: str, answer: int, *, times: int | None = 1, after: int = 0, key: str = "", forwarded: bool = False
    ) -> Rule:  # fmt: skip
        """Calls answer with this return value; with ``forwarded`` the real one is made before, and its answer lost."""
        return self._rule(_FAIL, function, answer, times=times, after=after, key=key, forwarded=forwarded)

    def delay(
        self, function: str, ms: int, *, times: int | None = None, after: int = 0, key: str = "", forwarded: bool = False
    ) -> Rule:  # fmt: skip
        """Calls take so much longer."""
        return self._rule(_DELAY, function, ms, times=times, after=after, key=key, forwarded=forwarded)

    def hang(self, function: str, *, times: int | None = 1, after: int = 0, key: str = "", forwarded: bool = False) -> Rule:
        """Calls do not come back until ``release``, before they are made or (``forwarded``) after."""
        return self._rule(_HANG, function, 0, times=times, after=after, key=key, forwarded=forwarded)

    def kill(self, function: str, *, times: int | None = 1, after: int = 0, key: str = "", forwarded: bool = False) -> Rule:
        """The calling process gets SIGKILL, before the call is made or (``forwarded``) after."""
        return self._rule(_KILL, function, 0, times=times, after=after, key=key, forwarded=forwarded)

    def release(self) -> None:
        """Lets every call that hangs now go on."""
        self._state.released += 1

    def clear(self) -> None:
        """Ends all rules; calls that hang go on hanging."""
        for place in range(self._state.rules_in_use):
            self._state.rules[place].active = 0
        self._state.rules_in_use = 0

    def _rule(self, action: int, function: str, value: int, *, times: int | None, after: int, key: str, forwarded: bool) -> Rule:
        place = self._state.rules_in_use
        assert place < _RULES, "too many rules; clear them"
        assert function in FUNCTIONS, f"PKCS#11 v2.40 has no {function}"
        assert not key or function in {"C_SignInit", "C_Sign", QUERY}, f"{function} is not told a key"
        row = self._state.rules[place]
        row.function, row.action, row.value, row.forwarded = FUNCTIONS.index(function), action, value, forwarded
        row.skip, row.times, row.seen, row.acted = after, _EVERY if times is None else times, 0, 0
        row.label = key.encode()
        row.active = 1
        self._state.rules_in_use = place + 1  # last: from here on calls look at it
        return Rule(row)


@cache
def _compiled() -> Path:
    """The compiled module of this test process; its folder goes when the process ends."""
    built = Path(tempfile.mkdtemp(prefix="vermilion-wrapping-")) / "wrapping.so"
    atexit.register(shutil.rmtree, built.parent, ignore_errors=True)
    command = ["gcc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command += [str(_SOURCE), "-o", str(built), "-ldl", "-lpthread"]
    assert shutil.which("gcc"), "gcc is not installed: run `make setup-test`"
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return built
