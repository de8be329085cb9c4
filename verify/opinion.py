"""What the steps of reading make of a document, and what is to be drawn for a second opinion: as data, without the libraries that read it.

The process that serves strangers handles these; what reads and draws runs in its sandbox (``verify.sandbox``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from verify.codes import FindingCode
from verify.facts import Fact
from verify.report import Change, Finding, Seal, finding
from verify.trust import TrustMaterial

MOST_SECONDS: Final = 5.0  # of processor time for drawing one document


@dataclass(frozen=True)
class Spot:
    """A page, from 1, and a rectangle in its coordinates. ``covers`` says whether it must have been blank when sealed."""

    page: int
    rectangle: tuple[float, float, float, float]
    covers: bool = False


@dataclass(frozen=True)
class Comparison:
    """The revision of seal number ``seal`` that ends at ``end`` against the present one, which may differ at ``spots``."""

    seal: int
    end: int
    spots: tuple[Spot, ...] = ()


Doubt = tuple[FindingCode, Fact]
Compare = Callable[[bytes, Sequence[Comparison]], "list[Doubt | None]"]
"""What speaks against each comparison, with the page; None where nothing does."""
DOUBTS: Final = frozenset({FindingCode.LOOKS_CHANGED, FindingCode.LOOKS_NOT_COMPARED, FindingCode.COVERED_LATER})


@dataclass(frozen=True)
class Reading:
    """The outcome of the reading. ``comparisons`` are still to be drawn, by ``second_opinion``."""

    seals: tuple[Seal, ...] = ()
    findings: tuple[Finding, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


Reader = Callable[[bytes, TrustMaterial, datetime], Reading]
"""Runs the steps of reading over (document, trust, now), here or in a sandbox."""


def second_opinion(document: bytes, reading: Reading, compare: Compare) -> Reading:
    """The reading with what the drawn pages say of what was added after our seals; it can only become worse."""
    if not reading.comparisons:
        return reading
    seals = list(reading.seals)
    for each, doubt in zip(reading.comparisons, compare(document, reading.comparisons), strict=True):
        if doubt is not None:
            seal, code = seals[each.seal], doubt[0]
            # A difference that was seen is a change. One that could not be looked for leaves the
            # answer open.
            state = Change.FORBIDDEN if code is FindingCode.LOOKS_CHANGED else Change.UNKNOWN
            changed = replace(seal.changed, state=state)
            seals[each.seal] = replace(seal, changed=changed, findings=(*seal.findings, finding(code, doubt[1])))
    return replace(reading, seals=tuple(seals), comparisons=())
