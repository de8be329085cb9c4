"""The drawn seal: vector, 42 mm, vermilion, everything inside the ring and apart from its neighbours."""

from __future__ import annotations

import math
from pathlib import Path

import pikepdf
import pypdfium2
import pytest
from PIL import Image

from sealcore.errors import Code, VermilionError
from signer.pdf.picture import DIAMETER, RING, STAR_RADIUS, VERMILION, round_seal

PIXELS_PER_MM = 20
NAMES = [
    "朱印",
    "北京朱印科技有限公司",
    "上海浦东新区某某国际进出口贸易发展集团股份有限公司",
    "ACME Ltd",
    "Vermilion Demonstration Office",
    "深圳ABC公司",
]


def rendered(picture: bytes) -> Image.Image:
    with pypdfium2.PdfDocument(picture) as document:
        assert len(document) == 1
        return document[0].render(scale=PIXELS_PER_MM * 25.4 / 72).to_pil().convert("RGB")


def ink(image: Image.Image, radius_mm: float, degrees: float) -> bool:
    """Whether there is ink at a polar position (clockwise from the top)."""
    x = (DIAMETER / 2 + radius_mm * math.sin(math.radians(degrees))) * PIXELS_PER_MM
    y = (DIAMETER / 2 - radius_mm * math.cos(math.radians(degrees))) * PIXELS_PER_MM
    pixel = image.getpixel((min(round(x), image.width - 1), min(round(y), image.height - 1)))
    assert isinstance(pixel, tuple)
    return pixel[1] < 150


@pytest.mark.parametrize("name", NAMES)
def test_ring_star_and_name_keep_their_measures(font: Path, name: str) -> None:
    picture = round_seal(name, "合同专用章", "1101080123456", font_file=font)
    image = rendered(picture)
    assert abs(image.width - DIAMETER * PIXELS_PER_MM) <= 1
    for degrees in range(0, 360, 3):
        assert ink(image, DIAMETER / 2 - RING / 2, degrees), "the ring is closed"
        assert not ink(image, DIAMETER / 2 - RING - 0.25, degrees), "nothing touches the ring"
    assert all(ink(image, STAR_RADIUS - 0.3, point) for point in range(0, 360, 72))
    assert not any(ink(image, STAR_RADIUS + 0.6, degrees) for degrees in range(0, 360, 2)), "nothing touches the star"
    written = [degrees for degrees in range(-180, 180) if any(ink(image, radius / 4, degrees) for radius in range(56, 76))]
    upper = [degrees for degrees in written if abs(degrees) < 135]
    assert abs(min(upper) + max(upper)) <= 10, "the name stands in the middle of its arc"


def test_it_is_all_paths_of_the_one_colour_and_always_the_same_bytes(font: Path) -> None:
    picture = round_seal("北京朱印科技有限公司", "合同专用章", font_file=font)
    assert picture == round_seal("北京朱印科技有限公司", "合同专用章", font_file=font)
    with pikepdf.open(__import__("io").BytesIO(picture)) as document:
        operators = {str(instruction.operator) for instruction in pikepdf.parse_content_stream(document.pages[0])}
        assert operators == {"rg", "RG", "cm", "w", "m", "l", "c", "h", "f", "S"}
    assert [round(part * 255) for part in VERMILION] == [0xC8, 0x32, 0x1F]
    assert len(picture) < 40_000


@pytest.mark.parametrize("name", ["", "   ", "字" * 61])
def test_a_name_that_does_not_fit_is_refused(font: Path, name: str) -> None:
    with pytest.raises(VermilionError) as refusal:
        round_seal(name, font_file=font)
    assert refusal.value.code == Code.INVALID_ARGUMENT


def test_a_character_that_the_font_lacks_is_named(font: Path) -> None:
    with pytest.raises(VermilionError, match="no character"):
        round_seal("公司\U0010fffd", font_file=font)


def test_a_file_that_is_no_font_is_a_matter_of_configuration(tmp_path: Path) -> None:
    broken = tmp_path / "font.ttc"
    broken.write_bytes(b"nothing")
    with pytest.raises(VermilionError) as refusal:
        round_seal("公司", font_file=broken)
    assert refusal.value.code == Code.CONFIGURATION_INVALID
