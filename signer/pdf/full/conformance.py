"""Documents that declare to be PDF/A or PDF/UA (ISO 19005, ISO 14289-1): what a seal must look like for them to stay so.

The declaration stands in the XMP metadata of the catalog, which nobody changes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pyhanko.pdf_utils import generic

from signer.pdf.full.objects import Real, dictionary, found, found_array, found_dictionary, name, reals
from signer.pdf.full.pages import page_of_picture
from signer.pdf.reasons import declared_part

MOST_OBJECTS: Final = 2_000  # of a picture
_RGB_COMPONENTS: Final = 3
_CMYK: Final = re.compile(rb"(?<![^\s\]])[kK](?!\S)|/DeviceCMYK")
# sRGB's white point, gamma and primaries (IEC 61966-2-1), for colours that would else depend on a device (ISO 32000-1 §8.6.5.6).
_WHITE: Final = (0.9505, 1, 1.089)
_GAMMA: Final = 2.2
_PRIMARIES: Final = (0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505)


@dataclass(frozen=True)
class Declared:
    """What a document says that it is.

    pdfa       the part of ISO 19005; 0 for none
    pdfua      the part of ISO 14289; 0 for none
    rgb_intent whether it has an output intent for RGB
    """

    pdfa: int = 0
    pdfua: int = 0
    rgb_intent: bool = False

    @property
    def plain(self) -> bool:
        """Whether pictures are laid on opaque and in colours of no device: where transparency or device colours are not allowed.

        Part 1 allows no transparency (6.4); later ones want a blending space, which an output intent gives (6.2.10).
        """
        return self.pdfa == 1 or (self.pdfa > 1 and not self.rgb_intent)


def declared(root: generic.DictionaryObject) -> Declared:
    """What the catalog's metadata declare; nothing if they cannot be read."""
    try:
        metadata = found(root, "/Metadata")
        text = metadata.data if isinstance(metadata, generic.StreamObject) else b""
        return Declared(declared_part(text, b"pdfa"), declared_part(text, b"pdfua"), _has_rgb_intent(root))
    except (MemoryError, RecursionError):
        raise  # metadata too large to be read might declare anything
    except Exception:  # noqa: BLE001  (pyHanko raises anything; what cannot be read declares nothing to anybody)
        return Declared()


def _has_rgb_intent(root: generic.DictionaryObject) -> bool:
    intents = found_array(root, "/OutputIntents")
    for intent in [intents[index] for index in range(len(intents))] if intents is not None else []:
        profile = found(intent, "/DestOutputProfile")
        if found(intent, "/S") == "/GTS_PDFA1" and isinstance(profile, generic.StreamObject):
            return bool(found(profile, "/N") == _RGB_COMPONENTS)
    return False


def default_colours() -> dict[str, Any]:
    """What stands for DeviceRGB and DeviceGray in a form's resources."""
    rgb = dictionary(WhitePoint=reals(*_WHITE), Gamma=reals(_GAMMA, _GAMMA, _GAMMA), Matrix=reals(*_PRIMARIES))
    gray = dictionary(WhitePoint=reals(*_WHITE), Gamma=Real(_GAMMA))
    return {"/DefaultRGB": generic.ArrayObject([name("CalRGB"), rgb]), "/DefaultGray": generic.ArrayObject([name("CalGray"), gray])}


def pictures_conform(pictures: Mapping[bytes, bytes], told: Declared) -> bool:
    """Whether such a document may contain these pictures: fonts embedded, no CMYK, and no transparency where that is forbidden."""
    return all(_conforms(source, told) for source in pictures.values())


def _conforms(source: bytes, told: Declared) -> bool:
    page = page_of_picture(source).content
    stack: list[Any] = [found(page, "/Contents"), found(page, "/Resources")]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if len(seen) > MOST_OBJECTS or _offends(value, told):
            return False
        if isinstance(value, generic.DictionaryObject):
            stack += [value[key] for key in value if key not in ("/Parent", "/P")]
        elif isinstance(value, generic.ArrayObject):
            stack += [value[index] for index in range(len(value))]
    return True


def _offends(value: Any, told: Declared) -> bool:
    if isinstance(value, generic.NameObject):
        return value in ("/DeviceCMYK", "/JPXDecode", "/LZWDecode")
    if not isinstance(value, generic.DictionaryObject):
        return False
    if isinstance(value, generic.StreamObject) and found(value, "/Subtype") in (None, "/Form") and _CMYK.search(value.data):
        return True
    if "/BaseFont" in value and "/DescendantFonts" not in value and not _is_embedded(value):
        return True
    return told.plain and any(found(value, key) not in allowed for key, allowed in _OPAQUE.items())


_OPAQUE: Final[dict[str, tuple[Any, ...]]] = {
    "/SMask": (None, "/None"),
    "/SMaskInData": (None, 0),
    "/BM": (None, "/Normal", "/Compatible"),
    "/ca": (None, 1),
    "/CA": (None, 1),
    "/Group": (None,),
}


def _is_embedded(font: generic.DictionaryObject) -> bool:
    descriptor = found_dictionary(font, "/FontDescriptor")
    return descriptor is not None and any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3"))
