"""Fixtures: a test PKI with its judges, seals of each algorithm, a picture, documents of our own making."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from sealcore.hsm.algorithm import Algorithm
from signer.pdf.picture import round_seal
from tests.signer.pdf.kit import Authority, Seal, Verdict, pdfsig

FONT = Path("/usr/share/fonts/opentype/noto/NotoSerifCJK-Bold.ttc")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One PKI a test worker."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def seal(authority: Authority) -> Seal:
    """A P-256 seal: the fastest software key."""
    return Seal(authority, Algorithm.P256)


@pytest.fixture(scope="session")
def other_seal(authority: Authority) -> Seal:
    """Another seal: pdfsig 22.12 does not trust a certificate that it meets for the second time in one file, whoever signed."""
    return Seal(authority, Algorithm.RSA_2048)


@pytest.fixture(scope="session", params=[Algorithm.RSA_2048, Algorithm.RSA_3072, Algorithm.P256, Algorithm.P384], ids=str)
def any_seal(authority: Authority, request: pytest.FixtureRequest) -> Seal:
    """A seal of each algorithm."""
    return Seal(authority, request.param)


@pytest.fixture(scope="session")
def font() -> Path:
    """Debian's fonts-noto-cjk."""
    assert FONT.is_file(), "fonts-noto-cjk is not installed: run `make setup-test`"
    return FONT


@pytest.fixture(scope="session")
def picture(font: Path) -> bytes:
    """A round seal as PDF."""
    return round_seal("北京朱印科技有限公司", "合同专用章", "1101080123456", font_file=font)


@pytest.fixture(scope="session")
def picture_sha256(picture: bytes) -> bytes:
    """What marks name it by."""
    return hashlib.sha256(picture).digest()


@pytest.fixture
def judge(authority: Authority, tmp_path: Path) -> Callable[[bytes], Verdict]:
    """pdfsig's verdict on a file."""
    return lambda file: pdfsig(authority, file, tmp_path)
