"""Sessions serve many threads, and come back when they or the token have been away."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Algorithm, Token, TokenKey
from sealcore.hsm.turns import Turns
from sealcore.platform.config import TokenSettings
from tests.hsm.conftest import Run


def tokens_folder(settings: TokenSettings) -> Path:
    return settings.pin_file.with_name("tokens")


def labels(token: Token) -> list[str]:
    held = token.keys()
    return [key.label for key in held]


def verify(key: TokenKey, signature: bytes, data: bytes) -> None:
    assert isinstance(key.public_key, ec.EllipticCurvePublicKey)
    key.public_key.verify(signature, data, ec.ECDSA(hashes.SHA256()))


def code_of(action: Callable[[], object]) -> Code:
    with pytest.raises(VermilionError) as refused:
        action()
    return refused.value.code


@pytest.mark.parametrize("sessions", [1, 2, 8])
def test_many_threads_sign_at_once(settings: TokenSettings, sessions: int) -> None:
    with Token.open(settings.model_copy(update={"sessions": sessions})) as token:
        keys = [token.generate("a", Algorithm.P256), token.generate("b", Algorithm.P256)]

        def sign(number: int) -> None:
            key = keys[number % 2]
            verify(key, key.sign(b"%d" % number), b"%d" % number)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(sign, range(800)))


def test_keys_are_made_listed_and_destroyed_while_others_sign(settings: TokenSettings) -> None:
    with Token.open(settings) as token:
        key = token.generate("steady", Algorithm.P256)
        enough = threading.Event()

        def sign() -> int:
            signed = 0
            while not enough.is_set():
                verify(key, key.sign(b"data"), b"data")
                signed += 1
            return signed

        with ThreadPoolExecutor(6) as pool:
            signing = [pool.submit(sign) for _ in range(6)]
            for number in range(6):
                made = token.generate(f"passing.{number}", Algorithm.P256)
                verify(made, made.sign(b"data"), b"data")
                assert len(token.keys()) == 2
                token.destroy(made.label)
            enough.set()
            assert all(future.result() > 0 for future in signing)
        assert labels(token) == ["steady"]


def test_a_removed_token_is_unavailable_and_works_again_when_it_is_back(settings: TokenSettings) -> None:
    folder = tokens_folder(settings)
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
        folder.rename(folder.with_name("away"))
        assert [code_of(lambda: key.sign(b"data")) for _ in range(3)] == [Code.HSM_UNAVAILABLE] * 3
        assert code_of(token.keys) is Code.HSM_UNAVAILABLE
        assert code_of(lambda: token.key("key")) is Code.HSM_UNAVAILABLE
        assert code_of(lambda: token.generate("other", Algorithm.P256)) is Code.HSM_UNAVAILABLE
        folder.with_name("away").rename(folder)
        verify(key, key.sign(b"data"), b"data")
        assert token.keys() == [key]


def test_listing_the_keys_of_a_removed_token_is_an_error_not_an_empty_list(settings: TokenSettings) -> None:
    folder = tokens_folder(settings)
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
        folder.rename(folder.with_name("away"))
        assert code_of(token.keys) is Code.HSM_UNAVAILABLE
        folder.with_name("away").rename(folder)
        assert token.keys() == [key]


@pytest.mark.parametrize("away", ["tokens", "."])
def test_a_token_that_is_not_there_cannot_be_opened(settings: TokenSettings, away: str) -> None:
    path = (settings.pin_file.parent / away).resolve()
    path.rename(path.with_name("away"))
    assert code_of(lambda: Token.open(settings)) is Code.HSM_UNAVAILABLE
    path.with_name("away").rename(path)
    Token.open(settings).close()


@pytest.mark.parametrize(
    "change",
    [{"label": "another"}, {"module": Path("/nowhere/module.so")}, {"module": Path(sys.executable)}, {"module": Path("/dev/null")}],
)
def test_a_wrong_label_or_module_is_unavailable(settings: TokenSettings, change: dict[str, object]) -> None:
    assert code_of(lambda: Token.open(settings.model_copy(update=change))) is Code.HSM_UNAVAILABLE
    Token.open(settings).close()


# python-pkcs11 finds its search gone while cleaning up after the fault that we provoke, and can only say so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_sessions_closed_by_the_token_are_opened_again_within_the_call(settings: TokenSettings) -> None:
    native = ctypes.CDLL(str(settings.module))
    slots, count = (ctypes.c_ulong * 8)(), ctypes.c_ulong(8)
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
        for _ in range(3):
            native.C_GetSlotList(ctypes.c_ubyte(1), slots, ctypes.byref(count))
            assert native.C_CloseAllSessions(ctypes.c_ulong(slots[0])) == 0
            verify(key, key.sign(b"data"), b"data")


# python-pkcs11 finds its search gone while cleaning up after the fault that we provoke, and can only say so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_restarted_module_ends_one_call_and_serves_the_next(settings: TokenSettings) -> None:
    """The module forgot everything; whether a call was carried out before cannot be known, so it is not repeated."""
    native = ctypes.CDLL(str(settings.module))
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
        native.C_Finalize(None)
        assert code_of(lambda: key.sign(b"data")) is Code.HSM_UNAVAILABLE
        verify(key, key.sign(b"data"), b"data")


def test_threads_survive_a_token_that_comes_and_goes(settings: TokenSettings) -> None:
    folder = tokens_folder(settings)
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
        enough = threading.Event()

        def sign() -> set[Code]:
            seen: set[Code] = set()
            while not enough.is_set():
                try:
                    verify(key, key.sign(b"data"), b"data")
                except VermilionError as fault:
                    seen.add(fault.code)
            return seen

        with ThreadPoolExecutor(8) as pool:
            signing = [pool.submit(sign) for _ in range(8)]
            for _ in range(5):
                folder.rename(folder.with_name("away"))
                assert code_of(token.keys) is Code.HSM_UNAVAILABLE
                folder.with_name("away").rename(folder)
                assert labels(token) == ["key"]
            enough.set()
            assert set[Code]().union(*(future.result() for future in signing)) <= {Code.HSM_UNAVAILABLE}


def test_another_key_under_the_same_label_does_not_sign_for_it(settings: TokenSettings, run_program: Run) -> None:
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
        key.sign(b"data")
        done = run_program("replace.py", settings.pin_file.with_name("token.toml"), "key", "p-256")
        assert done.returncode == 0, done.stderr
        assert code_of(lambda: key.sign(b"data")) is Code.HSM_KEY_MISSING
        verify(token.key("key"), token.key("key").sign(b"data"), b"data")


def test_a_destroyed_key_is_missing(token: Token) -> None:
    key = token.generate("key", Algorithm.ED25519)
    token.destroy("key")
    assert token.keys() == []
    assert code_of(lambda: key.sign(b"data")) is Code.HSM_KEY_MISSING
    assert code_of(lambda: token.key("key")) is Code.HSM_KEY_MISSING
    assert code_of(lambda: token.destroy("key")) is Code.HSM_KEY_MISSING


def test_a_label_is_taken_once(token: Token) -> None:
    key = token.generate("key", Algorithm.P256)
    for algorithm in (Algorithm.P256, Algorithm.RSA_2048):
        assert code_of(partial(token.generate, "key", algorithm)) is Code.CONFLICT
    assert token.keys() == [key]


@pytest.mark.parametrize("label", ["", "line\nbreak", "x" * 256])
def test_a_label_that_no_list_could_show_is_refused(token: Token, label: str) -> None:
    assert code_of(lambda: token.generate(label, Algorithm.P256)) is Code.INVALID_ARGUMENT


def test_processes_that_make_the_same_keys_at_once_make_each_once(settings: TokenSettings) -> None:
    program = Path(__file__).with_name("programs") / "generate.py"
    wanted = [f"key.{number}" for number in range(5)]
    command: list[str | Path] = [sys.executable, program, settings.pin_file.with_name("token.toml"), "p-256", *wanted]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    for codes in zip(*said, strict=True):
        assert sorted(codes) == ["CONFLICT", "CONFLICT", "OK"]
    with Token.open(settings) as token:
        assert labels(token) == wanted
        made = token.keys()
        for key in made:
            verify(key, key.sign(b"data"), b"data")


def test_processes_open_list_and_change_one_token_while_another_signs(settings: TokenSettings) -> None:
    program = Path(__file__).with_name("programs") / "churn.py"
    with Token.open(settings) as token:
        key = token.generate("steady", Algorithm.P256)
        command: list[str | Path] = [sys.executable, program, settings.pin_file.with_name("token.toml")]
        running = [subprocess.Popen([*command, name, "12"], stderr=subprocess.PIPE, text=True) for name in ("one", "two", "three")]
        while any(process.poll() is None for process in running):
            verify(key, key.sign(b"data"), b"data")
            assert "steady" in labels(token)
        assert [process.communicate()[1] for process in running] == ["", "", ""]
        assert labels(token) == ["steady"]


def test_a_process_opens_one_token_at_a_time(token: Token, settings: TokenSettings) -> None:
    assert code_of(lambda: Token.open(settings)) is Code.CONFIGURATION_INVALID
    token.close()
    with Token.open(settings) as again:
        assert again.keys() == []


def test_a_closed_token_serves_nothing_and_closes_again_in_peace(settings: TokenSettings) -> None:
    token = Token.open(settings)
    key = token.generate("key", Algorithm.P256)
    token.close()
    token.close()
    assert code_of(lambda: key.sign(b"data")) is Code.HSM_UNAVAILABLE
    assert code_of(token.keys) is Code.HSM_UNAVAILABLE


def test_whoever_waits_longest_is_served_first() -> None:
    turns: Turns[str] = Turns()
    turns.add("the one session")
    held = turns.take(1)
    served: list[int] = []

    def wait(number: int) -> None:
        thing = turns.take(60)
        served.append(number)
        turns.give(thing)

    waiting = []
    for number in range(5):
        thread = threading.Thread(target=wait, args=(number,))
        thread.start()
        waiting.append(thread)
        while len(turns._waiting) <= number:
            pass
    turns.give(held)
    for thread in waiting:
        thread.join()
    assert served == [0, 1, 2, 3, 4]
    turns.take(1)
    with pytest.raises(TimeoutError):
        turns.take(0.01)
    turns.give("the one session")
    assert turns.take(0) == "the one session"
