"""The HSM fails in every way that the wrapping module knows. Each fault has a clear code, ends what it must and nothing else,
and the seal key is asked at most once for each attempt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from sealcore.errors import REGISTRY, Code, VermilionError
from sealcore.hsm.sessions import SessionPool
from sealcore.hsm.token import Token, TokenKey
from sealcore.platform.config import TokenSettings
from signer.pipeline.keys import SealKey, SealKeys
from tests.hsm.conftest import SEAL, TIMESTAMP, Run, is_free
from tests.hsm.wrapping import QUERY, Ckr, WrappedModule
from tests.support.fuzzing import examples
from tests.support.waiting import until

FOR_EVER_S = 600.0
SOON_S = 1.0  # long beside any honest call of SoftHSM on a busy machine


class Bench:
    """A token with two sessions behind the wrapping module, its two keys, and the seal keys as the engine has them."""

    def __init__(self, token: Token, module: WrappedModule, timeout_s: float = FOR_EVER_S, most_hung: int = 8) -> None:
        self.token = token
        self.module = module
        self.seal, self.timestamp = token.key(SEAL), token.key(TIMESTAMP)
        self.keys = SealKeys(token, timeout_s=timeout_s, most_hung=most_hung)
        self.attempts = 0
        for key in (self.seal, self.timestamp):  # handles are found once a session
            _ = [key.sign(b"warm") for _ in range(2)]
        module.reset()

    def sign(self, count: int = 1) -> list[Code | None]:
        """A batch of seal signatures: None for each that verifies, else its code."""
        data = [b"attributes %d" % number for number in range(count)]
        self.attempts += count
        seal_key = SealKey(self.seal, cast("Any", None), "")  # signing needs no template
        return [judged(self.seal, one, outcome) for one, outcome in zip(data, self.keys.sign_all(seal_key, data), strict=True)]

    @property
    def begun(self) -> int:
        """How often the seal key was asked for a signature."""
        return self.module.signatures()[SEAL].begun


def judged(key: TokenKey, data: bytes, outcome: bytes | VermilionError) -> Code | None:
    if isinstance(outcome, VermilionError):
        assert outcome.reason
        assert REGISTRY[outcome.code].way_out
        return outcome.code
    assert isinstance(key.public_key, ec.EllipticCurvePublicKey)
    key.public_key.verify(outcome, data, ec.ECDSA(hashes.SHA256()))
    return None


def code_of(action: Callable[[], object]) -> Code:
    with pytest.raises(VermilionError) as refused:
        action()
    return refused.value.code


@pytest.fixture
def bench(settings: TokenSettings, wrapped: WrappedModule) -> Iterator[Bench]:
    """In which nothing times out."""
    with Token.open(wrapped.settings(settings)) as token:
        yield Bench(token, wrapped)


@pytest.fixture
def hasty(settings: TokenSettings, wrapped: WrappedModule) -> Iterator[Bench]:
    """In which a call may take a second."""
    with Token.open(wrapped.settings(settings)) as token:
        yield Bench(token, wrapped, SOON_S)


# --- without faults


def test_a_signature_is_one_call_and_nothing_else(bench: Bench) -> None:
    assert bench.sign(20) == [None] * 20
    assert bench.module.counters() == {"C_SignInit": 20, "C_Sign": 20}
    assert bench.begun == 20


def test_timestamps_go_under_the_same_watch(bench: Bench) -> None:
    outcomes = bench.keys.watched([partial(bench.timestamp.sign, b"imprint")] * 5)
    assert [judged(bench.timestamp, b"imprint", outcome) for outcome in outcomes] == [None] * 5
    assert bench.module.signatures()[TIMESTAMP].begun == 5
    assert bench.module.calls(QUERY) == 0


# --- a call is refused

LOST = [Ckr.SESSION_HANDLE_INVALID, Ckr.SESSION_CLOSED, Ckr.USER_NOT_LOGGED_IN, Ckr.KEY_HANDLE_INVALID, Ckr.CRYPTOKI_NOT_INITIALIZED]
BROKEN = [Ckr.DEVICE_ERROR, Ckr.DEVICE_REMOVED, Ckr.TOKEN_NOT_PRESENT, Ckr.GENERAL_ERROR, Ckr.FUNCTION_FAILED, Ckr.HOST_MEMORY, 0x80000001]


@pytest.mark.parametrize("answer", [*LOST, *BROKEN])
def test_refused_before_anything_was_signed_the_call_is_made_again_on_a_fresh_session(bench: Bench, answer: int) -> None:
    bench.module.fail("C_SignInit", answer)
    assert bench.sign(3) == [None] * 3
    assert bench.begun == 3
    assert (bench.module.calls("C_SignInit"), bench.module.calls("C_Login")) == (4, 1)


@pytest.mark.parametrize("forwarded", [False, True])
@pytest.mark.parametrize("answer", [*LOST, *BROKEN])
def test_once_the_token_may_have_signed_the_attempt_ends_and_the_next_one_is_served(bench: Bench, answer: int, forwarded: bool) -> None:
    bench.module.fail("C_Sign", answer, after=1, forwarded=forwarded)
    assert bench.sign(4) == [None, Code.HSM_UNAVAILABLE, None, None]
    assert bench.begun == 4
    assert bench.module.calls("C_Login") == 1  # one recovery
    assert bench.module.signatures()[SEAL].made == 4 - (not forwarded)


@pytest.mark.parametrize(
    ("answer", "told"), [(Ckr.DEVICE_ERROR, "DeviceError"), (Ckr.TOKEN_NOT_PRESENT, "TokenNotPresent"), (0x80000001, "0x80000001")]
)
def test_the_reason_names_the_fault(bench: Bench, answer: int, told: str) -> None:
    bench.module.fail("C_Sign", answer)
    with pytest.raises(VermilionError, match=told):
        bench.seal.sign(b"data")


def test_a_fault_in_what_was_asked_leaves_the_sessions_alone(bench: Bench) -> None:
    bench.module.fail("C_Sign", Ckr.DATA_INVALID, forwarded=True)
    assert bench.sign(2) == [Code.HSM_UNAVAILABLE, None]
    assert (bench.begun, bench.module.calls("C_OpenSession"), bench.module.calls("C_Login")) == (2, 0, 0)


@pytest.mark.parametrize("answer", [Ckr.DEVICE_ERROR, Ckr.SESSION_HANDLE_INVALID, Ckr.GENERAL_ERROR])
def test_a_token_that_goes_on_failing_is_asked_a_bounded_number_of_times(bench: Bench, answer: int) -> None:
    bench.module.fail("C_SignInit", answer, times=None)
    assert bench.sign(5) == [Code.HSM_UNAVAILABLE] * 5
    assert bench.module.calls("C_SignInit") == 10
    assert bench.module.calls("C_Login") <= 10
    assert bench.begun == 0
    bench.module.clear()
    assert bench.sign(2) == [None] * 2


@pytest.mark.parametrize("function", ["C_Initialize", "C_Finalize", "C_GetSlotList", "C_OpenSession", "C_GetSessionInfo", "C_Login"])
@pytest.mark.parametrize("forwarded", [False, True])
def test_a_recovery_that_fails_is_tried_again_by_the_next_call(bench: Bench, function: str, forwarded: bool) -> None:
    bench.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
    fault = bench.module.fail(function, Ckr.TOKEN_NOT_PRESENT, forwarded=forwarded)
    outcomes = bench.sign(3)
    assert outcomes == [Code.HSM_UNAVAILABLE, None, None]
    assert fault.acted == 1
    assert bench.begun == 2


# python-pkcs11 finds its search gone while cleaning up after the fault that we provoke, and can only say so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_key_that_cannot_be_looked_for_is_found_by_the_next_call(bench: Bench) -> None:
    bench.token._pool.expire()
    bench.module.fail("C_FindObjectsInit", Ckr.DEVICE_ERROR)
    assert bench.sign(2) == [Code.HSM_UNAVAILABLE, None]
    assert bench.begun == 1


def test_many_threads_meet_a_fault_and_recover_once(bench: Bench) -> None:
    bench.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: bench.sign(10), range(8)))
    assert outcomes == [[None] * 10] * 8
    assert (bench.begun, bench.module.calls("C_Login")) == (80, 1)


# --- PINs


@pytest.mark.parametrize("answer", [Ckr.PIN_INCORRECT, Ckr.PIN_LOCKED, Ckr.PIN_EXPIRED])
def test_a_refused_pin_is_presented_once_here_and_in_every_later_process(
    settings: TokenSettings, wrapped: WrappedModule, run_program: Run, answer: Ckr
) -> None:
    there = wrapped.settings(settings)
    wrapped.reset()
    rule = wrapped.fail("C_Login", answer, times=None)
    assert [code_of(lambda: Token.open(there)) for _ in range(5)] == [Code.HSM_PIN_REFUSED] * 5
    (settings.pin_file.with_name("wrapped.toml")).write_text(toml(there))
    for _ in range(2):
        done = run_program("generate.py", settings.pin_file.with_name("wrapped.toml"), "p-256", "never")
        assert "HSM_PIN_REFUSED" in done.stderr
    assert wrapped.calls("C_Login") == 1
    rule.end()
    settings.pin_file.write_text(settings.pin_file.read_text())  # written anew, after the operator has looked into it
    done = run_program("generate.py", settings.pin_file.with_name("wrapped.toml"), "p-256", "made")
    assert (done.returncode, done.stdout) == (0, "OK\n"), done.stderr
    assert wrapped.calls("C_Login") == 2


def test_a_really_wrong_pin_is_presented_once_by_processes_that_start_together(
    settings: TokenSettings, wrapped: WrappedModule, run_program: Run
) -> None:
    configuration = settings.pin_file.with_name("wrapped.toml")
    configuration.write_text(toml(wrapped.settings(settings)))
    right = settings.pin_file.read_text()
    settings.pin_file.write_text("8315-6402")
    wrapped.reset()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run_program("generate.py", configuration, "p-256", "never"), range(4)))
    assert all("HSM_PIN_REFUSED" in one.stderr for one in done)
    assert wrapped.calls("C_Login") == 1
    assert not any("8315-6402" in one.stderr + one.stdout for one in done)
    settings.pin_file.write_text(right)
    assert run_program("generate.py", configuration, "p-256", "made").stdout == "OK\n"


@pytest.mark.parametrize("answer", [Ckr.PIN_INCORRECT, Ckr.PIN_LOCKED])
def test_a_pin_refused_at_a_recovery_is_not_presented_again(bench: Bench, answer: Ckr) -> None:
    bench.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID, times=None)
    bench.module.fail("C_Login", answer, times=None)
    assert bench.sign(10) == [Code.HSM_PIN_REFUSED] * 10
    assert bench.module.calls("C_Login") == 1
    bench.module.clear()
    assert bench.sign(10) == [Code.HSM_PIN_REFUSED] * 10
    assert code_of(bench.token.keys) is Code.HSM_PIN_REFUSED
    assert (bench.module.calls("C_Login"), bench.begun) == (1, 0)


def test_a_login_that_failed_for_another_reason_is_no_refusal_of_the_pin(settings: TokenSettings, wrapped: WrappedModule) -> None:
    wrapped.fail("C_Login", Ckr.DEVICE_ERROR)
    assert code_of(lambda: Token.open(wrapped.settings(settings))) is Code.HSM_UNAVAILABLE
    with Token.open(wrapped.settings(settings)) as token:
        token.key(SEAL).sign(b"data")


def test_one_tokens_refusal_is_not_anothers(settings: TokenSettings, wrapped: WrappedModule) -> None:
    wrapped.fail("C_Login", Ckr.PIN_INCORRECT)
    other = settings.model_copy(update={"module": wrapped.path, "softhsm_conf": None, "label": "nobody's"})
    assert code_of(lambda: Token.open(wrapped.settings(settings))) is Code.HSM_PIN_REFUSED
    assert code_of(lambda: Token.open(other)) is Code.HSM_UNAVAILABLE  # looked for, and not there


def toml(settings: TokenSettings) -> str:
    return "".join(f'{name} = "{value}"\n' for name, value in settings.model_dump(mode="json", exclude={"sessions"}).items())


# --- few sessions


def test_with_fewer_sessions_than_configured_the_token_serves_on(settings: TokenSettings, wrapped: WrappedModule) -> None:
    wrapped.fail("C_OpenSession", Ckr.SESSION_COUNT, after=3, times=None)
    with Token.open(wrapped.settings(settings).model_copy(update={"sessions": 8})) as token:
        assert token.sessions == 3
        bench = Bench(token, wrapped)
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: bench.sign(5), range(8))) == [[None] * 5] * 8


def test_without_any_session_the_reason_says_so(settings: TokenSettings, wrapped: WrappedModule) -> None:
    wrapped.fail("C_OpenSession", Ckr.SESSION_COUNT)
    with pytest.raises(VermilionError, match="gives no more sessions") as refused:
        Token.open(wrapped.settings(settings))
    assert refused.value.code is Code.HSM_UNAVAILABLE
    Token.open(wrapped.settings(settings)).close()


def test_after_a_recovery_too_fewer_sessions_are_better_than_none(bench: Bench) -> None:
    bench.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
    bench.module.fail("C_OpenSession", Ckr.SESSION_COUNT, after=1, times=None)
    assert bench.sign(3) == [None] * 3
    assert bench.token.sessions == 1


def test_a_session_that_is_not_to_be_had_for_a_new_key_costs_nothing_else(bench: Bench) -> None:
    from sealcore.hsm.algorithm import Algorithm

    bench.module.fail("C_OpenSession", Ckr.SESSION_COUNT)
    assert code_of(lambda: bench.token.generate("new", Algorithm.P256)) is Code.HSM_UNAVAILABLE
    assert bench.sign() == [None]
    assert (bench.token.sessions, bench.module.calls("C_Login")) == (2, 0)


# --- slow and hung calls


def test_a_slow_token_is_waited_for(bench: Bench) -> None:
    bench.module.delay("C_Sign", 50)
    assert bench.sign(5) == [None] * 5
    assert (bench.begun, bench.keys.hung) == (5, 0)


@pytest.mark.parametrize("forwarded", [False, True])
def test_a_hung_call_times_out_and_its_late_signature_goes_nowhere(hasty: Bench, forwarded: bool) -> None:
    hasty.module.hang("C_Sign", key=SEAL, after=1, forwarded=forwarded)
    outcomes = hasty.sign(4)
    assert outcomes == [None, Code.HSM_TIMEOUT, None, None]
    assert (hasty.begun, hasty.keys.hung, hasty.token.hung) == (4, 1, 1)
    assert hasty.sign(2) == [None] * 2
    hasty.module.release()
    until(lambda: hasty.keys.hung == 0 and hasty.token.hung == 0)
    assert outcomes == [None, Code.HSM_TIMEOUT, None, None]
    assert hasty.begun == hasty.attempts == 6
    assert hasty.module.signatures()[SEAL].made == 6
    assert hasty.token.sessions == 2
    assert hasty.module.calls("C_Finalize") == 0


def test_other_threads_batches_go_on_while_one_hangs(hasty: Bench) -> None:
    hasty.module.hang("C_Sign", key=SEAL)
    with ThreadPoolExecutor(4) as pool:
        stuck = pool.submit(hasty.sign, 1)
        until(lambda: hasty.module.hanging == 1)
        others = [pool.submit(hasty.sign, 20) for _ in range(3)]
        assert [other.result() for other in others] == [[None] * 20] * 3
        assert stuck.result() == [Code.HSM_TIMEOUT]
    assert hasty.begun == hasty.attempts == 61


def test_with_its_only_session_hung_a_token_opens_another(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings).model_copy(update={"sessions": 1})) as token:
        bench = Bench(token, wrapped, SOON_S)
        wrapped.hang("C_Sign", times=2)
        assert bench.sign(4) == [Code.HSM_TIMEOUT, Code.HSM_TIMEOUT, None, None]
        assert (wrapped.calls("C_OpenSession"), wrapped.calls("C_Login"), token.sessions) == (2, 0, 1)
        wrapped.release()
        until(lambda: token.hung == 0)
        assert wrapped.calls("C_CloseSession") == 2
        assert bench.sign(2) == [None] * 2
        assert (token.sessions, bench.begun) == (1, bench.attempts)


def test_if_no_other_session_is_to_be_had_the_place_is_kept_until_the_hung_one_is_back(hasty: Bench) -> None:
    hasty.module.hang("C_Sign")
    hasty.module.fail("C_OpenSession", Ckr.SESSION_COUNT, times=None)
    assert hasty.sign(6) == [Code.HSM_TIMEOUT] + [None] * 5
    assert hasty.token.sessions == 1
    hasty.module.clear()
    hasty.module.release()
    until(lambda: hasty.token.hung == 0 and hasty.token.sessions == 2)
    assert hasty.sign(4) == [None] * 4
    assert hasty.begun == hasty.attempts


def test_when_too_many_calls_hang_no_more_are_made(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings)) as token:
        bench = Bench(token, wrapped, SOON_S, most_hung=2)
        wrapped.hang("C_Sign", times=None)
        assert bench.sign(5) == [Code.HSM_TIMEOUT] * 2 + [Code.HSM_UNAVAILABLE] * 3
        assert bench.sign(3) == [Code.HSM_UNAVAILABLE] * 3
        assert bench.begun == 2
        wrapped.clear()
        wrapped.release()
        until(lambda: bench.keys.hung == 0)
        assert bench.sign(3) == [None] * 3


def test_while_a_call_hangs_lost_sessions_are_opened_again_beside_it(hasty: Bench) -> None:
    hasty.module.hang("C_Sign")
    assert hasty.sign() == [Code.HSM_TIMEOUT]
    hasty.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
    assert hasty.sign(4) == [None] * 4
    assert hasty.module.calls("C_Finalize") == 0  # undefined while a thread is inside
    assert hasty.module.calls("C_Login") == 0  # the login lives on with the hung session
    hasty.module.release()
    until(lambda: hasty.token.hung == 0)
    hasty.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
    assert hasty.sign(4) == [None] * 4
    assert hasty.module.calls("C_Finalize") == 1
    assert (hasty.begun, hasty.token.sessions) == (hasty.attempts, 2)


def test_a_call_that_hangs_unnoticed_does_not_keep_others_from_a_recovery(bench: Bench) -> None:
    """Nothing times out here: the recovery finds for itself that somebody does not come back."""
    bench.module.hang("C_Sign", key=TIMESTAMP)
    with ThreadPoolExecutor(1) as pool:
        stuck = pool.submit(bench.timestamp.sign, b"imprint")
        until(lambda: bench.module.hanging == 1)
        bench.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
        assert bench.sign(3) == [None] * 3
        assert (bench.module.calls("C_Finalize"), bench.token.hung) == (0, 1)
        bench.module.release()
        assert judged(bench.timestamp, b"imprint", stuck.result()) is None  # nobody had given it up: it counts
    assert bench.sign(3) == [None] * 3
    assert (bench.token.hung, bench.token.sessions) == (0, 2)


def test_unwatched_callers_get_sessions_again_when_all_hang(settings: TokenSettings, wrapped: WrappedModule) -> None:
    there = wrapped.settings(settings).model_copy(update={"sessions": 1})
    with Token(there, SessionPool(there, wait_s=SOON_S)) as token:
        key = token.key(SEAL)
        wrapped.hang("C_Sign")
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(key.sign, b"data")
            until(lambda: wrapped.hanging == 1)
            assert code_of(lambda: key.sign(b"data")) is Code.HSM_TIMEOUT
            assert judged(key, b"data", key.sign(b"data")) is None
            wrapped.release()
            assert judged(key, b"data", stuck.result()) is None


@pytest.mark.parametrize("function", ["C_OpenSession", "C_Login", "C_Initialize", "C_Finalize", "C_FindObjectsInit"])
def test_a_recovery_that_hangs_is_given_up_and_goes_on_when_it_is_back(hasty: Bench, function: str) -> None:
    hasty.module.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
    hasty.module.hang(function)
    assert hasty.sign() == [Code.HSM_TIMEOUT]
    assert hasty.begun == 0
    hasty.module.release()
    until(lambda: hasty.keys.hung == 0)
    assert hasty.sign(2) == [None] * 2
    assert hasty.begun <= hasty.attempts


def test_what_waits_in_vain_for_a_session_is_not_signed_later(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings).model_copy(update={"sessions": 1})) as token:
        bench = Bench(token, wrapped, SOON_S)
        wrapped.hang("C_Sign", key=TIMESTAMP)
        with ThreadPoolExecutor(1) as pool:
            stuck = pool.submit(bench.timestamp.sign, b"imprint")  # not watched: keeps the only session
            until(lambda: wrapped.hanging == 1)
            assert bench.sign() == [Code.HSM_TIMEOUT]
            wrapped.release()
            assert judged(bench.timestamp, b"imprint", stuck.result()) is None
        until(lambda: bench.keys.hung == 0)
        assert (bench.sign(2), bench.begun) == ([None] * 2, 2)


# --- the end


def test_closing_waits_for_no_hung_call_and_the_module_stops_when_it_is_back(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings)) as token:
        bench = Bench(token, wrapped, SOON_S)
        wrapped.hang("C_Sign")
        assert bench.sign() == [Code.HSM_TIMEOUT]
        bench.keys.close()
    assert wrapped.calls("C_Finalize") == 0
    assert code_of(lambda: bench.seal.sign(b"data")) is Code.HSM_UNAVAILABLE
    assert code_of(lambda: Token.open(settings)) is Code.CONFIGURATION_INVALID
    wrapped.release()
    until(is_free)
    assert wrapped.calls("C_Finalize") == 1
    Token.open(settings).close()


def test_a_token_closed_while_its_recovery_hangs_is_closed_when_that_is_back(settings: TokenSettings, wrapped: WrappedModule) -> None:
    with Token.open(wrapped.settings(settings)) as token:
        bench = Bench(token, wrapped, SOON_S)
        wrapped.fail("C_SignInit", Ckr.SESSION_HANDLE_INVALID)
        wrapped.hang("C_OpenSession")
        assert bench.sign() == [Code.HSM_TIMEOUT]
    assert not is_free()
    wrapped.release()
    until(is_free)
    assert code_of(lambda: bench.seal.sign(b"data")) is Code.HSM_UNAVAILABLE
    assert bench.begun == 0
    Token.open(settings).close()


def test_a_process_ends_with_a_call_hanging_for_ever(settings: TokenSettings, wrapped: WrappedModule, run_program: Run) -> None:
    configuration = settings.pin_file.with_name("wrapped.toml")
    configuration.write_text(toml(wrapped.settings(settings)))
    wrapped.hang("C_Sign", key=SEAL, after=1)
    done = run_program("hung.py", configuration, SEAL)
    assert (done.returncode, done.stdout.split()) == (0, ["signed", "HSM_TIMEOUT", "signed"]), done.stderr


# --- whatever happens

FUNCTIONS = ["C_SignInit", "C_Sign", "C_OpenSession", "C_Login", "C_GetSessionInfo", "C_FindObjectsInit", "C_FindObjects"]
FUNCTIONS += ["C_GetAttributeValue", "C_Initialize", "C_Finalize", "C_GetSlotList", "C_GetTokenInfo", "C_CloseSession"]
ANSWERS = [*LOST, *BROKEN, Ckr.SESSION_COUNT, Ckr.OPERATION_ACTIVE, Ckr.DATA_INVALID, Ckr.BUFFER_TOO_SMALL]
FAULTS = st.tuples(st.sampled_from(FUNCTIONS), st.sampled_from(ANSWERS), st.integers(0, 3), st.integers(1, 3), st.booleans())
SCRIPTS = st.lists(st.one_of(FAULTS, st.integers(1, 4)), min_size=2, max_size=8)


# python-pkcs11 finds its search gone while cleaning up after the faults that we provoke, and can only say so
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@profile(max_examples=examples(30, 60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=SCRIPTS)
def test_signatures_verify_and_calls_never_outnumber_attempts(
    settings: TokenSettings, wrapped: WrappedModule, script: list[tuple[str, Ckr, int, int, bool] | int]
) -> None:
    wrapped.clear()
    with Token.open(wrapped.settings(settings)) as token:
        bench = Bench(token, wrapped)
        for step in script:
            if isinstance(step, int):
                assert set(bench.sign(step)) <= {None, Code.HSM_UNAVAILABLE}
            else:
                function, answer, after, times, forwarded = step
                wrapped.fail(function, answer, after=after, times=times, forwarded=forwarded)
        wrapped.clear()
        after_all = [bench.sign()[0] for _ in range(3)]
        assert after_all[1:] == [None] * 2  # a fault that was left behind may end one more call
        assert bench.begun <= bench.attempts
        assert wrapped.calls(QUERY) == 0
        bench.keys.close()
