"""One database with an office's register, and signers that work on it. No HSM: signatures are stand-ins here.

``office`` and ``desk`` are fixtures: import them where they are used.
"""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform import db
from sealcore.platform.ledger import store as ledger_store
from sealcore.platform.migrate import scripts, upgrade
from sealcore.protocol.ledger_entry import Entry, time_us
from sealcore.protocol.stop import StopStatement, sign
from signer.acts.model import Act, stop_act
from signer.gate import AdmittedItem, admit_item, admit_token
from signer.model import ItemRequest, Result, SealedUse
from signer.pipeline.commit import Finished, commit
from signer.register import consistency
from signer.register.store import RegisterStore
from signer.uses.store import Frozen, Intended, Intent, UseStore, Wanted
from signer.uses.suffixes import Suffixes
from tests.signer.office import AUDIENCE, Approved, Office

LEASE_S = 60


class Desk:
    """One database with the office's register, and signers that work on it."""

    def __init__(self, url: str, office: Office) -> None:
        self.office = office
        self.clock = FixedClock(datetime.datetime.now(datetime.UTC))
        self.engine: Engine = db.connect(url, by_key=True)
        upgrade(self.engine, scripts("signer"))
        self.register = RegisterStore(self.engine, audience=AUDIENCE)
        digest = hashlib.sha256(office.picture).digest()
        self.register.record(Act({**office.seed(), "kind": "seed"}, time_us(self.clock.now())), {digest: office.picture})
        self.uses = self.signer("signer-1")
        self.suffixes = Suffixes()

    def signer(self, instance: str, *, boot: str | None = None, worker: str | None = None) -> UseStore:
        """A signer of this name that has just started, with one worker."""
        return UseStore(self.engine, self.clock, instance=instance, boot=boot or uuid7(), worker=worker or uuid7(), lease_s=LEASE_S)

    def item(self, approved: Approved, request: ItemRequest | None = None) -> AdmittedItem:
        """A document past the gate, as the register stands now."""
        admission = admit_token(
            approved.token, peer=approved.claims.sub, register=self.register.current(), now=self.clock.now(), audience=AUDIENCE
        )
        return admit_item(admission, request or approved.requests[0], largest_document_bytes=10_000)

    def wanted(self, approved: Approved, *places: int) -> list[Wanted]:
        """Several documents past the gate."""
        return [Wanted(self.item(approved, approved.requests[place]), self.proposal()) for place in places or range(len(approved.requests))]

    def proposal(self, certificate: str = "c1") -> Frozen:
        """What would be frozen."""
        return Frozen(certificate, time_us(self.clock.now()), "Vermilion-x-0", 8192, "writer-1")

    def intent(self, approved: Approved, signer: UseStore | None = None) -> Intent:
        """An attempt on the first document."""
        (intended,) = (signer or self.uses).intend(self.wanted(approved, 0))
        assert isinstance(intended, Intent), intended
        return intended

    def refusal(self, approved: Approved, signer: UseStore | None = None, request: ItemRequest | None = None) -> Code:
        """The code with which Intend refuses the first document."""
        (intended,) = (signer or self.uses).intend([Wanted(self.item(approved, request), self.proposal())])
        assert isinstance(intended, VermilionError), intended
        return intended.code

    def commit(self, *intents: Intent, mark: bytes = b"") -> list[Result]:
        """Commits attempts with a made-up signature each."""
        return commit(self.engine, self.clock, self.suffixes, [finished(intent, mark) for intent in intents])

    def stop(self, kind: str, subject: str) -> None:
        """An officer's stop."""
        statement = StopStatement(kind, subject, self.office.dai.id, "drill", self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        self.register.record(stop_act(statement, sign(statement, self.office.dai.sign), time_us(self.clock.now())))

    def entries(self) -> list[str]:
        """Kinds of the ledger's entries but for acts."""
        with db.read(self.engine) as connection:
            found = ledger_store.entries(connection, 0, ledger_store.head(connection).size)
        kinds = [Entry.decode(data).kind for data in found]
        return [kind for kind in kinds if kind != "act"]


def finished(intent: Intent, mark: bytes = b"") -> Finished:
    """An attempt that is whole."""
    suffix = b"suffix %d %d " % (intent.item.index, intent.attempt) + mark
    digest = hashlib.sha256(suffix).digest()
    return Finished(intent, suffix, digest, digest, digest, ())


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """People and seals without an HSM."""
    return Office.in_software(tmp_path_factory.mktemp("office"))


@pytest.fixture
def desk(database_url: str, office: Office) -> Iterator[Desk]:
    """A fresh database with its register; every test leaves it in agreement with its ledger."""
    made = Desk(database_url, office)
    yield made
    made.register.load()
    consistency.check(made.engine, None)
    made.engine.dispose()


def sealed(ended: Intended) -> SealedUse:
    """The use, which must be sealed."""
    assert isinstance(ended, SealedUse), ended
    return ended
