"""A SoftHSM token comes into being whole, in its own folder, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hsm.softhsm import create, settings_of
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import TokenSettings, load


def test_a_token_is_made_while_this_process_has_another_open(token: Token, tmp_path: Path) -> None:
    key = token.generate("key", Algorithm.P256)
    other = create(tmp_path / "other", "other")
    key.sign(b"data")
    token.close()
    with Token.open(other) as opened:
        assert opened.keys() == []


def test_its_settings_file_opens_it(settings: TokenSettings) -> None:
    folder = settings.pin_file.parent
    assert load(folder / "token.toml", TokenSettings) == settings == settings_of(folder, "office")


def test_its_configuration_keeps_files_and_says_little(settings: TokenSettings) -> None:
    assert settings.softhsm_conf is not None
    lines = settings.softhsm_conf.read_text().splitlines()
    assert "objectstore.backend = file" in lines
    assert "log.level = ERROR" in lines
    assert f"directories.tokendir = {settings.softhsm_conf.parent}/tokens" in lines


@pytest.mark.parametrize("name", ["with blanks in it", "印章", "x" * 200])
def test_folders_have_ordinary_names(tmp_path: Path, name: str) -> None:
    with Token.open(create(tmp_path / name, "印章")) as token:
        token.generate("key", Algorithm.P256).sign(b"data")


@pytest.mark.parametrize(("name", "label"), [("a=b", "x"), ("a#b", "x"), ("fine", ""), ("fine", "x" * 33), ("fine", "章" * 11)])
def test_what_softhsm_cannot_keep_is_refused_and_leaves_nothing(tmp_path: Path, name: str, label: str) -> None:
    with pytest.raises(VermilionError) as refused:
        create(tmp_path / name, label)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_left_alone(settings: TokenSettings) -> None:
    folder = settings.pin_file.parent
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(VermilionError) as refused:
        create(folder, "office")
    assert refused.value.code is Code.CONFLICT
    assert sorted(path.name for path in folder.iterdir()) == before


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "hsm").mkdir()
    Token.open(create(tmp_path / "hsm", "office")).close()


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(VermilionError) as refused:
        create(tmp_path / "hsm", "office", module=Path("/nowhere/module.so"))
    assert refused.value.code is Code.HSM_UNAVAILABLE
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left_bytes", [0, 100])
def test_a_record_that_a_killed_login_cut_off_is_put_back(settings: TokenSettings, left_bytes: int) -> None:
    """SoftHSM opens the record for writing at every login; SIGKILL between that and the writing leaves it empty."""
    with Token.open(settings) as token:
        key = token.generate("key", Algorithm.P256)
    (record,) = settings.pin_file.parent.glob("tokens/*/token.object")
    whole = record.read_bytes()
    record.write_bytes(whole[:left_bytes])
    with Token.open(settings) as token:
        assert token.key("key").spki_der == key.spki_der
        token.key("key").sign(b"data")
    assert len(record.read_bytes()) == len(whole)
    (copy,) = settings.pin_file.parent.glob(".*.token.object")
    assert copy.stat().st_mode & 0o777 == 0o600
