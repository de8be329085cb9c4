"""What "not in the ledger" is worth while the log catches up: the real log process and witness over a signer that answers slowly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sealcore.clock import SystemClock
from sealcore.platform.ledger.reader import LogReader
from sealcore.platform.ledger.sources import FolderSource
from tests.ledger.conftest import Books, House, SignerDouble, signature_of
from tests.support.waiting import until
from verify.log_view import Absent, Found, PublicLedger


class Signer:
    """What the signer's service tells of its own database."""

    def __init__(self, books: Books) -> None:
        self._books = books

    def form(self, _signature_hash: bytes, _index: int) -> tuple[str, bytes] | None:
        return None

    def committed_size(self) -> int:
        return self._books.size


def test_an_honest_seal_committed_while_the_log_caught_up_never_reads_not_authorised(
    house: House, books: Books, signer: tuple[SignerDouble, str]
) -> None:
    """The log reads the head, the seal is committed and its document released, the witness stamps the older head: all in this order."""
    source = signer[0]
    books.append(3)
    house.start()
    house.published(3)
    source.answers = 0
    books.append(1)
    until(lambda: source.is_waited)
    sealed_at = datetime.now(UTC) - timedelta(seconds=6)  # signing, timestamp and commit took so long; the log's head is older still
    books.append(1, mark="honest")
    source.answers = 1
    house.published(4)
    honest, forged = signature_of(4, "honest"), signature_of(4, "forged")

    def ledger(disclosure: Signer | None = None) -> PublicLedger:
        reader = LogReader(FolderSource(house.public), house.log_key, house.witness_key)
        return PublicLedger(reader, SystemClock(), disclosure, patience_s=0)

    for view in (ledger(), ledger(Signer(books))):
        for signature in (honest, forged):  # nobody can tell them apart yet
            found = view.look_up(signature, sealed_at)
            assert isinstance(found, Absent) and not found.is_final and found.checkpoint.size == 4
            cosigned_at_s = found.checkpoint.cosigned_at_s
            assert cosigned_at_s is not None and cosigned_at_s > sealed_at.timestamp() + 5
    source.answers = None
    house.published(5)
    assert isinstance(ledger().look_up(honest, sealed_at), Found)
    told = ledger(Signer(books)).look_up(forged, sealed_at)
    assert isinstance(told, Absent) and told.is_final
    long_ago = ledger().look_up(forged, sealed_at - timedelta(hours=25))
    assert isinstance(long_ago, Absent) and long_ago.is_final
    assert not ledger().look_up(forged, None).is_final  # type: ignore[union-attr]


def test_an_idle_log_goes_on_saying_when_it_looked(house: House, books: Books) -> None:
    """So a stranger without the signer learns in the end that nothing came."""
    settings = house.ledger.settings
    settings.write_text(settings.read_text().replace("interval_s = 0.05", "interval_s = 0.05\ncosign_refresh_s = 0.2"))
    books.append(1)
    house.start()
    house.published(1)
    reader = LogReader(FolderSource(house.public), house.log_key, house.witness_key)
    first = reader.update().complete_as_of_s
    assert first is not None
    until(lambda: (reader.update().complete_as_of_s or 0) > first)
    assert reader.update().size == 1
