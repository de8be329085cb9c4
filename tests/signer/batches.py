"""Batches that tests send to a running signer, and what must be true of them afterwards."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy import make_url

from protos.vermilion.v1 import ledger_pb2
from sealcore.errors import Code
from sealcore.ids import service_uri
from sealcore.protocol.ledger_entry import Entry, jti_hash
from tests.crash.scene import Scene
from tests.signer.office import Approved, Office, document
from tests.signer.station import TIMEOUT_S, Results, Station, typed

Scenes = Callable[..., Scene]


COUNT = 6


def batch(office: Office, **how: Any) -> Approved:
    """A fresh batch."""
    return office.approve([document(f"Fault {number}") for number in range(COUNT)], **how)


def ledger_of(station: Station) -> list[Entry]:
    """The whole ledger, as the log process reads it."""
    log = station.ledger(service_uri("ledger"))
    head = typed(lambda: log.Head(ledger_pb2.HeadRequest()))
    parts = typed(lambda: list(log.Entries(ledger_pb2.EntriesRequest(start=0, end=head.size))))
    return [Entry.decode(data) for part in parts for data in part.entries]


def entries_of(station: Station, approved: Approved) -> list[Entry]:
    """The ledger's entries of one token."""
    return [entry for entry in ledger_of(station) if entry.jti_hash == jti_hash(approved.claims.jti)]


def everything_sealed_once(station: Station, approved: Approved, results: Results) -> None:
    """Each document has its bytes, and the ledger one entry for each."""
    assert sorted(results.sealed) == list(range(len(approved.documents))), results.refused
    for index, sealed in results.sealed.items():
        file = approved.documents[index] + results.suffixes[index]
        assert hashlib.sha256(file).digest() == sealed.sealed_sha256
    entries = entries_of(station, approved)
    assert sorted(entry.index for entry in entries if entry.index is not None) == list(range(len(approved.documents)))
    assert {entry.kind for entry in entries} == {"seal"}


def in_background(work: Callable[[], Any]) -> Callable[[], Any]:
    """Runs ``work`` beside the test; call the result to wait for its answer."""
    answer: list[Any] = []
    thread = threading.Thread(target=lambda: answer.append(work()), daemon=True)
    thread.start()

    def wait() -> Any:
        thread.join(TIMEOUT_S)
        return answer[0]

    return wait


def refused_codes(results: Results) -> set[Code]:
    """The codes of everything that was refused."""
    return {refused.code for refused in results.refused.values()}


def cut_off(admin: psycopg.Connection[Any], database: str) -> None:
    """The database takes no connection, and ends those that it has."""
    admin.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS false')
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (database,))


def let_in(admin: psycopg.Connection[Any], database: str) -> None:
    """The inverse."""
    admin.execute(f'ALTER DATABASE "{database}" ALLOW_CONNECTIONS true')


def administrator(url: str) -> tuple[psycopg.Connection[Any], str]:
    """A connection beside that database, and its name."""
    told = make_url(url)
    assert told.database is not None
    return psycopg.connect(host=str(told.query["host"]), user="vermilion", dbname="postgres", autocommit=True), told.database
