"""The rule for a colour profile that a signing program declares for the whole file: sRGB, by which everything looks as it did.

EU DSS adds one with a signature that shows. Another profile could make what is on the pages vanish in programs that heed it, so that a
profile has to be sRGB by its numbers (IEC 61966-2-1; ICC.1:2022): primaries and tone curves, and nothing that would take precedence.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import Final

from verify.facts import fact
from verify.steps.changes.account import Account, ChangedError, members, plain_leaves, require_only
from verify.steps.changes.information import note
from verify.steps.changes.values import IrregularError, Stream, Value, decoded, same

_RULE: Final = fact("part_colours")
_INTENT: Final = {"/Type", "/S", "/OutputCondition", "/OutputConditionIdentifier", "/RegistryName", "/Info", "/DestOutputProfile"}
_HEADER_BYTES, _TAG_BYTES, _MOST_TAGS, _MOST_PROFILE_BYTES = 128, 12, 64, 64 * 1024
_DESCRIPTIONS: Final = {b"desc", b"dmnd", b"dmdd", b"cprt", b"wtpt", b"bkpt", b"chrm", b"chad", b"lumi", b"meas", b"tech", b"view", b"vued"}
_PRIMARIES: Final = {  # of sRGB, adapted to D50
    b"rXYZ": (0.436, 0.222, 0.014),
    b"gXYZ": (0.385, 0.717, 0.097),
    b"bXYZ": (0.143, 0.061, 0.714),
}
_CURVES: Final = {b"rTRC", b"gTRC", b"bTRC"}
_CLOSE: Final = 0.01


def claim_output_intents(account: Account, old: Value, new: Value) -> None:
    """/OutputIntents of the catalog: one, of sRGB, where the sealed file had none."""
    before, now = account.opened(old, new, _RULE)
    if same(before, now):
        return
    if before is not None or not isinstance(now, list) or len(now) != 1:
        raise ChangedError("part_changed", part=_RULE)
    intent = members(account.take(now[0], _RULE) if account.differs(now[0]) else now[0], _RULE)
    require_only(intent, _RULE, _INTENT)
    profile = account.take(intent.get("/DestOutputProfile"), _RULE)
    if not plain_leaves({key: value for key, value in intent.items() if key != "/DestOutputProfile"}) or not isinstance(profile, Stream):
        raise ChangedError("part_changed", part=_RULE)
    require_only(profile.entries, _RULE, {"/Length", "/Filter", "/N", "/Alternate"})
    if profile.entries.get("/N") != 3 or profile.entries.get("/Alternate", "/DeviceRGB") != "/DeviceRGB" or not _is_srgb(_data(profile)):
        raise ChangedError("not_srgb", part=_RULE)
    note(account, changed=True)


def _data(profile: Stream) -> bytes:
    try:
        return decoded(profile, _MOST_PROFILE_BYTES)
    except IrregularError:
        return b""


def _is_srgb(profile: bytes) -> bool:
    tags = _tags(profile)
    if profile[12:24] != b"mntrRGB XYZ " or profile[36:40] != b"acsp" or tags.keys() - _DESCRIPTIONS != _PRIMARIES.keys() | _CURVES:
        return False
    primaries = all(_is_near(_xyz(tags[name]), wanted) for name, wanted in _PRIMARIES.items())
    return primaries and all(_is_srgb_curve(tags[name]) for name in _CURVES)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """The profile's parts by their signatures; empty where they cannot be read."""
    count = int.from_bytes(profile[_HEADER_BYTES : _HEADER_BYTES + 4], "big")
    rows = profile[_HEADER_BYTES + 4 : _HEADER_BYTES + 4 + _TAG_BYTES * min(count, _MOST_TAGS)]
    if len(rows) != count * _TAG_BYTES:
        return {}
    found = {name: profile[at : at + size] for name, at, size in struct.iter_unpack(">4sII", rows)}
    return found if len(found) == count else {}


def _xyz(tag: bytes) -> tuple[float, ...]:
    if len(tag) != 20 or tag[:4] != b"XYZ ":
        return ()
    return tuple(each / 65536 for each in struct.unpack(">3i", tag[8:]))


def _is_near(found: tuple[float, ...], wanted: tuple[float, ...]) -> bool:
    return len(found) == len(wanted) and all(abs(one - other) <= _CLOSE for one, other in zip(found, wanted, strict=True))


def _is_srgb_curve(tag: bytes) -> bool:
    """A table of at least 16 steps that rises as sRGB's curve does."""
    count = int.from_bytes(tag[8:12], "big")
    if tag[:4] != b"curv" or count < 16 or len(tag) < 12 + 2 * count:
        return False
    values = [each / 65535 for each in struct.unpack(f">{count}H", tag[12 : 12 + 2 * count])]
    rises = all(one <= other for one, other in pairwise(values))
    return rises and all(abs(value - _srgb(at / (count - 1))) <= _CLOSE for at, value in enumerate(values))


def _srgb(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)
