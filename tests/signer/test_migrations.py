"""The signer's schema comes from its migrations, and a database of the first version goes on with everything that is in it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from sealcore.platform import db
from sealcore.platform.ledger import store
from sealcore.platform.migrate import scripts, upgrade
from sealcore.protocol.ledger_entry import Entry, commitment, entry_hash, jti_hash
from sealcore.protocol.merkle import Frontier
from signer.model import ItemRequest, SealedUse
from signer.register import consistency
from signer.tables import metadata
from signer.uses.retention import Retention
from signer.uses.store import Wanted
from tests.signer.desk import Desk
from tests.signer.office import Approved, Office

COUNT = 3
SALTS = {"form": b"f" * 32, "policy": b"p" * 32}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """People and seals without an HSM."""
    return Office.in_software(tmp_path_factory.mktemp("office"))


def test_migrations_make_exactly_the_tables_that_the_code_uses(database_url: str) -> None:
    engine = db.connect(database_url)
    upgrade(engine, scripts("signer"))
    with db.read(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def first_version(engine: Engine) -> None:
    """The tables as they were."""
    config = Config()
    config.set_main_option("script_location", str(scripts("signer")))
    with db.write(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")


def fill(engine: Engine, approved: Approved, bindings: list[bytes]) -> None:
    """Sealed, acknowledged and forgotten uses with their entries, as the first version wrote them; one more is open."""
    jti, frontier = approved.claims.jti, Frontier()
    frozen = json.dumps({"certificate_sha256": "c1", "signing_time_us": 1, "field_name": "F", "hole_size_bytes": 9, "writer_version": "w"})
    with db.write(engine) as connection:
        for index, binding in enumerate(bindings):
            signature = hashlib.sha256(b"%d" % index).digest()
            commitments = {name: commitment(salt, name) for name, salt in SALTS.items()}
            entry = Entry("seal", 1, jti_hash=jti_hash(jti), index=index, attempts=1, leaf_hash=binding, signature_hash=signature,
                          commitments=commitments).encode()  # fmt: skip
            ended = index < COUNT
            connection.execute(
                text(
                    "INSERT INTO uses (jti, use_index, state, binding, salt, leaf_hash, attempt, owner, lease_until_us, frozen, ledger_index,"
                    " ledger_leaf_hash, sealed_sha256, warnings, ended_us, acknowledged) VALUES (:jti, :i, :state, :binding, :salt, :binding, 1,"
                    " 'signer-1/boot/intend', 0, :frozen, :place, :leaf, :leaf, :warnings, :ended, :acknowledged)"
                ),
                {
                    "jti": jti, "i": index, "state": "sealed" if ended else "intended", "binding": binding, "salt": b"", "frozen": frozen,
                    "place": index if ended else None, "leaf": entry_hash(entry), "warnings": '["w"]', "ended": 5 if ended else None,
                    "acknowledged": index in (1, 2),
                },
            )  # fmt: skip
            if not ended:
                continue
            connection.execute(
                text(
                    'INSERT INTO ledger_entries ("index", entry, leaf_hash, kind, form, jti, signature_hash, idempotency_key, salts)'
                    " VALUES (:i, :entry, :leaf, 'seal', 'F-1', :jti, :signature, :key, :salts)"
                ),
                {
                    "i": index, "entry": entry, "leaf": entry_hash(entry), "jti": jti, "signature": signature, "key": f"k{index}",
                    "salts": json.dumps({name: salt.hex() for name, salt in SALTS.items()}),
                },
            )  # fmt: skip
            frontier = frontier.append(entry_hash(entry))
            if index != 2:  # its bytes were let go
                connection.execute(
                    text("INSERT INTO suffixes (jti, use_index, content) VALUES (:jti, :i, :content)"),
                    {"jti": jti, "i": index, "content": b"suffix %d" % index},
                )
        connection.execute(
            text("INSERT INTO ledger_head (id, size, frontier) VALUES (1, :size, :frontier)"),
            {"size": frontier.size, "frontier": frontier.encode()},
        )
        connection.execute(
            text(
                "INSERT INTO tokens (jti, jws, form, seal, sub, kind, first_seen_us) VALUES (:jti, :jws, 'F-1', 's', :sub, 'manifest', 1)"
            ),
            {"jti": jti, "jws": approved.token, "sub": approved.claims.sub},
        )


def test_a_database_of_the_first_version_goes_on_with_everything_in_it(database_url: str, office: Office, tmp_path: Path) -> None:
    beside = Desk(f"sqlite:///{tmp_path / 'beside.db'}", office)  # for what the gate binds
    approved = office.approve([b"%%PDF %d" % number for number in range(COUNT + 1)])
    bindings = [beside.item(approved, request).binding for request in approved.requests]
    engine = db.connect(database_url, by_key=True)
    first_version(engine)
    fill(engine, approved, bindings)
    engine.dispose()

    desk = object.__new__(Desk)
    desk.__dict__.update(beside.__dict__)
    desk.engine = db.connect(database_url, by_key=True)
    upgrade(desk.engine, scripts("signer"))
    assert consistency.check(desk.engine, None) == COUNT
    with db.read(desk.engine) as connection:
        assert [one.index for one in store.find(connection, form="F-1")] == [0, 1, 2]
        (found,) = store.find(connection, signature_hash=hashlib.sha256(b"1").digest())
        assert (found.index, found.salts) == (1, SALTS)
        assert [tuple(row) for row in connection.execute(text("SELECT acknowledged FROM uses ORDER BY use_index"))] == [
            (0,),
            (1,),
            (2,),
            (0,),
        ]

    def wanted(request: ItemRequest) -> Wanted:
        return Wanted(beside.item(approved, request), desk.proposal())

    desk.uses = desk.signer("signer-1")
    first, second, third, last = desk.uses.intend([wanted(request) for request in approved.requests])
    assert isinstance(first, SealedUse) and isinstance(second, SealedUse)
    assert (first.suffix, first.warnings, second.suffix) == (b"suffix 0", ("w",), b"suffix 1")
    assert getattr(third, "code", None) == "SEALED_BYTES_EXPIRED"
    assert getattr(last, "attempt", None) == 2
    assert isinstance(desk.commit(last)[0], SealedUse)  # type: ignore[arg-type]
    assert Retention(desk.engine, desk.clock).delete_due() == 1  # the one that was acknowledged long ago
    assert consistency.check(desk.engine, None) == COUNT + 1
    with db.read(desk.engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    desk.engine.dispose()
    beside.engine.dispose()
