"""The signer's own timestamp unit is under the clock watch too: no seal while the clock cannot be vouched for."""

from __future__ import annotations

from collections.abc import Callable

from sealcore.errors import Code
from tests.signer.office import document
from tests.signer.station import Station
from tests.support.waiting import until
from tests.timestamp.chrony import Chrony, chrony

__all__ = ["chrony"]


def test_nothing_is_sealed_while_the_clock_is_not_synchronised(sqlite_station: Callable[..., Station], chrony: Chrony) -> None:
    chrony.follow()
    timestamp = {"clock": "require-synchronised", "chrony": chrony.address}
    made = sqlite_station(timestamp=timestamp)
    made.forked = False  # it takes from its environment where chronyc is
    with made.running() as station:
        approved = station.office.approve([document("One")])

        def outcome() -> Code | None:
            refused = station.stream(approved.token, approved.items).refused
            return refused[0].code if refused else None

        assert outcome() is Code.TIMESTAMP_UNAVAILABLE
        chrony.lead()
        until(lambda: outcome() is None, "the same request succeeds once the clock is synchronised")
