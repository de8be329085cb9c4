"""What a PIN file holds: UTF-8, of which the line's end alone is cut. What is presumably not meant so is refused and never tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.hsm.softhsm import _run_initialise, settings_of
from sealcore.hsm.token import Algorithm, Token
from sealcore.platform.config import SOFTHSM_MODULE, read_pin, read_secret


def written(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    path = folder / "pin"
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("content", "pin"),
    [
        (b"1234", "1234"),
        (b"1234\n", "1234"),
        (b"1234\r\n", "1234"),
        (b" 12 34 \n", " 12 34 "),
        (b"\t1234\t", "\t1234\t"),
        ("密码-été-Ω\n".encode(), "密码-été-Ω"),
        ("\u00a01234\u2003\n".encode(), "\u00a01234\u2003"),
        (b" \n", " "),
    ],
)
def test_all_but_the_lines_end_is_the_pin(tmp_path: Path, content: bytes, pin: str) -> None:
    assert read_pin(written(tmp_path, content)) == pin


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\r\n", "is empty"),
        (b"1234\n\n", "more than one line"),
        (b"1234\n5678\n", "more than one line"),
        (b"1234\r", "more than one line"),
        (b"12\x0034\n", "or a NUL"),
        (b"\xef\xbb\xbf1234\n", "byte order mark"),
        ("1234\n".encode("utf-16"), "not UTF-8"),
        (b"caf\xe9\n", "not UTF-8"),
    ],
)
def test_what_is_presumably_no_pin_is_refused_by_what_it_is(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(VermilionError, match=why) as refusal:
        read_pin(written(tmp_path, content))
    assert refusal.value.code is Code.CONFIGURATION_INVALID and f"PIN file {tmp_path / 'pin'} " in refusal.value.reason
    assert "1234" not in refusal.value.reason, "no part of a PIN is in an error"


def test_a_file_open_to_others_or_not_there_is_refused(tmp_path: Path) -> None:
    for path, why in (
        (written(tmp_path, b"1234", 0o644), "open to others"),
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(VermilionError, match=why):
            read_secret(path, "secret file")


@pytest.mark.parametrize("pin", ["密码-été-Ω", "  leading and trailing  "])
def test_a_token_is_opened_by_any_pin_that_it_was_given(tmp_path: Path, pin: str) -> None:
    folder = tmp_path / "hsm"
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\n", "utf-8")
    order = {"module": str(SOFTHSM_MODULE), "label": "office", "pin": pin, "so_pin": "so-密码"}
    _run_initialise(folder / "softhsm2.conf", json.loads(json.dumps(order)))
    written(folder, pin.encode() + b"\r\n")
    with Token.open(settings_of(folder, "office")) as token:
        assert token.generate("seal.contract.1", Algorithm.P256).sign(b"data")
