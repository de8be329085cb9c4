"""The wrapping module itself: what it forwards, counts and breaks is what the fault tests rest on."""

from __future__ import annotations

import ctypes

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings
from tests.hsm.conftest import SEAL, TIMESTAMP, Run
from tests.hsm.wrapping import FUNCTIONS, QUERY, Ckr, Signatures, WrappedModule


class FunctionList(ctypes.Structure):
    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 68))


def labels(token: Token) -> list[str]:
    held = token.keys()
    return [key.label for key in held]


def test_its_function_list_is_whole_and_in_the_order_of_the_standard(wrapped: WrappedModule) -> None:
    native = ctypes.CDLL(str(wrapped.path))
    listed = ctypes.POINTER(FunctionList)()
    assert native.C_GetFunctionList(ctypes.byref(listed)) == 0
    ours = [ctypes.cast(getattr(native, name), ctypes.c_void_p).value for name in FUNCTIONS[:-1]]
    assert list(listed.contents.functions) == ours
    assert len(set(ours)) == 68
    assert bytes(listed.contents.version) == b"\x02\x28"


def test_a_token_behind_it_does_what_it_does_without(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings)) as token:
        made = token.generate("made", Algorithm.RSA_2048)
        assert isinstance(made.public_key, rsa.RSAPublicKey)
        made.public_key.verify(made.sign(b"data"), b"data", padding.PKCS1v15(), hashes.SHA256())
        edwards = token.generate("edwards", Algorithm.ED25519)
        assert isinstance(edwards.public_key, ed25519.Ed25519PublicKey)
        edwards.public_key.verify(edwards.sign(b"data"), b"data")
        assert labels(token) == ["edwards", "made", SEAL, TIMESTAMP]
        token.destroy("made")
        assert labels(token) == ["edwards", SEAL, TIMESTAMP]


def test_it_counts_calls_and_signatures_by_key(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings)) as token:
        seal, timestamp = token.key(SEAL), token.key(TIMESTAMP)
        for _ in range(3):
            seal.sign(b"data")
        timestamp.sign(b"data")
    assert (wrapped.calls("C_Login"), wrapped.calls("C_Sign"), wrapped.calls(QUERY)) == (1, 4, 0)
    assert wrapped.signatures() == {SEAL: Signatures(3, 3, 3), TIMESTAMP: Signatures(1, 1, 1)}
    assert wrapped.loaded == 1
    wrapped.reset()
    assert wrapped.counters() == {}


def test_other_programs_that_ask_for_the_length_first_are_counted_apart(
    settings: TokenSettings, wrapped: WrappedModule, run_program: Run
) -> None:
    done = run_program("sign.py", wrapped.path, settings.softhsm_conf, settings.label, settings.pin_file, SEAL)
    assert done.returncode == 0, done.stderr
    assert (wrapped.calls("C_Sign"), wrapped.calls(QUERY)) == (1, 1)
    assert wrapped.signatures() == {SEAL: Signatures(1, 1, 1)}


def test_a_rule_changes_the_calls_that_it_is_about_and_no_others(settings: TokenSettings, wrapped: WrappedModule) -> None:
    native = ctypes.CDLL(str(wrapped.path))
    rule = wrapped.fail("C_GetInfo", Ckr.DEVICE_ERROR, after=2, times=2)
    info = ctypes.create_string_buffer(256)
    assert native.C_Initialize(None) == 0
    assert [native.C_GetInfo(info) for _ in range(6)] == [0, 0, 0x30, 0x30, 0, 0]
    assert rule.acted == 2
    every = wrapped.fail("C_GetInfo", 0x80000001, times=None)
    assert [ctypes.c_uint32(native.C_GetInfo(info)).value for _ in range(3)] == [0x80000001] * 3
    every.end()
    assert native.C_GetInfo(info) == 0
    wrapped.fail("C_Finalize", Ckr.GENERAL_ERROR, forwarded=True)
    assert native.C_Finalize(None) == 5  # "failed, but it happened"
    assert native.C_GetInfo(info) == 0x190
    assert wrapped.calls("C_GetInfo") == 11


@pytest.mark.parametrize(("forwarded", "made"), [(False, 0), (True, 1)])
def test_a_process_is_killed_before_or_after_the_token_has_signed(
    settings: TokenSettings, wrapped: WrappedModule, run_program: Run, forwarded: bool, made: int
) -> None:
    wrapped.kill("C_Sign", key=SEAL, forwarded=forwarded)
    done = run_program("sign.py", wrapped.path, settings.softhsm_conf, settings.label, settings.pin_file, SEAL)
    assert (done.returncode, done.stdout) == (-9, "")
    assert wrapped.signatures()[SEAL] == Signatures(1, 1, made)


def test_a_rule_for_one_key_leaves_the_others_alone(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings)) as token:
        seal, timestamp = token.key(SEAL), token.key(TIMESTAMP)
        delayed = wrapped.delay("C_Sign", 1, key=TIMESTAMP)
        for key in (seal, timestamp, seal):
            assert isinstance(key.public_key, ec.EllipticCurvePublicKey)
            key.public_key.verify(key.sign(b"data"), b"data", ec.ECDSA(hashes.SHA256()))
        assert delayed.acted == 1
