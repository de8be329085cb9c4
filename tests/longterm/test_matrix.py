"""{revoked before, after} × {timestamp, none, TSA revoked}: what is extended is exactly what pyHanko finds valid two years on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pyhanko.sign.ades.report import AdESPassed

from longterm.augmenter import Augmenter
from longterm.model import Level
from sealcore.errors import Code, VermilionError
from tests.longterm.conftest import past_valid
from tests.longterm.later import HOUR_S, later
from tests.longterm.world import YEAR, World


@pytest.mark.parametrize("moment", ["never", "before", "after"])
@pytest.mark.parametrize("stamp", ["timestamp", "none", "TSA revoked"])
@pytest.mark.parametrize("source", ["CRL", "OCSP"])
def test_revocation_and_timestamp(  # noqa: PLR0917
    moment: str, stamp: str, source: str, invoice: bytes, augmenter: Callable[..., Augmenter], judged: Callable[..., Any]
) -> None:
    world = World(has_ocsp=source == "OCSP")
    try:
        world.clock.advance(10 * HOUR_S)
        signing = world.clock.now()
        document = world.signed(invoice, stamped=stamp != "none")
        world.clock.advance(2 * HOUR_S)
        if moment != "never":
            world.revoke(world.seal, signing.replace(hour=9 if moment == "before" else 11))
        if stamp == "TSA revoked":
            world.revoke(world.tsa, world.clock.now())
            world.tsa = world.new_tsa("TSU 2", 3 * YEAR)  # another unit makes the archive timestamp
        later(world)
        expected = (moment, stamp) in {("never", "timestamp"), ("after", "timestamp"), ("never", "none")}
        if not expected:
            with pytest.raises(VermilionError) as refused:
                augmenter(world).augment(document)
            assert refused.value.code is Code.SIGNATURE_REVOKED
            assert _judged_by_force(world, document, judged) is not AdESPassed.OK
            return
        outcome = augmenter(world).augment(document)
        if stamp == "none":  # the first pass proves the time, the second the standing
            assert outcome.level is (Level.B_LTA if source == "OCSP" and outcome.waiting is None else Level.B_T)
            later(world)
            outcome = augmenter(world).augment(outcome.document)
        assert outcome.level is Level.B_LTA
        if stamp == "none":
            assert source == "CRL" or past_valid(world, outcome.document)  # pyHanko 0.38 finds no CRLs there
            return
        result = judged(world, outcome.document, world.clock.now() + 2 * YEAR)
        assert result.ades_subindic is AdESPassed.OK, result.failure_msg
    finally:
        world.close()


def _judged_by_force(world: World, document: bytes, judged: Callable[..., Any]) -> Any:
    """What pyHanko would have said of the file with all that there is: nothing was refused that could have been saved."""
    return judged(world, document, world.clock.now(), archived=False).ades_subindic


def test_an_invalidity_date_before_the_timestamp_counts(world: World, invoice: bytes, augmenter: Callable[..., Augmenter]) -> None:
    world.clock.advance(10 * HOUR_S)
    document = world.signed(invoice)
    signing = world.clock.now()
    world.clock.advance(2 * HOUR_S)
    world.revoke(world.seal, world.clock.now(), signing.replace(hour=8))
    later(world)
    with pytest.raises(VermilionError) as refused:
        augmenter(world).augment(document)
    assert refused.value.code is Code.SIGNATURE_REVOKED


def test_a_unit_revoked_after_the_archive_timestamp_leaves_it_standing(
    world: World, invoice: bytes, augmenter: Callable[..., Augmenter]
) -> None:
    """TSU 1 stamped the signature; an archive timestamp of TSU 2 covers it; then TSU 1 is revoked. (pyHanko judges no such token.)"""
    document = world.signed(invoice)
    first = world.tsa
    world.tsa = world.new_tsa("TSU 2", YEAR)
    later(world)
    document = augmenter(world).augment(document).document
    later(world)
    world.revoke(first, world.clock.now())
    world.clock.advance(YEAR.total_seconds() - 30 * 24 * HOUR_S)
    later(world)
    world.tsa = world.new_tsa("TSU 3", YEAR)
    renewed = augmenter(world).augment(document)
    assert (renewed.renewed, renewed.level) == (True, Level.B_LTA)
