"""Keys stay in the token, and PINs stay in their files."""

from __future__ import annotations

import json
import pickle
import secrets
import sys
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hsm.softhsm import create
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings
from tests.hsm.conftest import Run


@pytest.mark.parametrize("algorithm", [Algorithm.RSA_2048, Algorithm.P256, Algorithm.ED25519])
def test_who_has_the_pin_still_cannot_take_a_key_out(settings: TokenSettings, algorithm: Algorithm, run_program: Run) -> None:
    with Token.open(settings) as token:
        made = token.generate("key", algorithm)
    done = run_program("stranger.py", settings.module, settings.softhsm_conf, settings.label, settings.pin_file, "key")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert len(answers) == 11
    assert not [attempt for attempt, answer in answers.items() if answer.startswith("got")], answers
    with Token.open(settings) as token:
        assert token.keys() == [made]


def test_the_pin_is_random_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first, second = create(tmp_path / "a", "a"), create(tmp_path / "b", "b")
    pins = [one.pin_file.read_text().strip() for one in (first, second)]
    assert len(set(pins)) == 2
    assert {len(pin) for pin in pins} == {32}
    folder = first.pin_file.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
    for name in ("pin", "softhsm2.conf", "token.toml"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
        assert name == "pin" or not any(pin in (folder / name).read_text() for pin in pins)


def test_the_security_officers_pin_is_kept_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads a token's folder can use it and no more: with that PIN they could shut the service out and go on alone."""
    drawn: list[str] = []
    draw = secrets.token_hex

    def noted(size: int) -> str:
        drawn.append(draw(size))
        return drawn[-1]

    monkeypatch.setattr(secrets, "token_hex", noted)
    folder = create(tmp_path / "hsm", "office").pin_file.parent
    pin = (folder / "pin").read_text().strip()
    (officer,) = [one for one in drawn if one != pin]
    for path in (one for one in folder.rglob("*") if one.is_file()):
        assert officer.encode() not in path.read_bytes(), path
    assert not list(folder.rglob("so-pin"))


STARTED: list[str] = []
sys.addaudithook(lambda event, arguments: STARTED.append(repr(arguments)) if event == "subprocess.Popen" else None)


def test_no_pin_is_in_the_arguments_or_the_environment_of_a_process(tmp_path: Path) -> None:
    STARTED.clear()
    secret = create(tmp_path / "hsm", "office").pin_file.read_text().strip()
    assert any("sealcore.hsm.initialise" in started for started in STARTED)
    assert not [started for started in STARTED if secret in started]


def test_a_refused_pin_is_not_repeated_in_the_error(settings: TokenSettings) -> None:
    settings.pin_file.write_text("a-wrong-pin-4711")
    with pytest.raises(VermilionError) as refused:
        Token.open(settings)
    assert refused.value.code is Code.HSM_PIN_REFUSED
    assert "4711" not in json.dumps(refused.value.as_dict()) + repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_pin_file_open_to_others_is_refused(settings: TokenSettings) -> None:
    settings.pin_file.chmod(0o640)
    with pytest.raises(VermilionError) as refused:
        Token.open(settings)
    assert refused.value.code is Code.CONFIGURATION_INVALID


def test_a_token_key_cannot_be_pickled(token: Token) -> None:
    key = token.generate("key", Algorithm.P256)
    with pytest.raises(VermilionError):
        pickle.dumps(key.private_key())
