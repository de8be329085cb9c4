"""What the OCSP responder may do with the CA's record: read it, whatever becomes of the responder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from ca.ocsp.record import AnswerRecord, Kept, open_record
from ca.tables import State
from sealcore.errors import Code, VermilionError
from sealcore.platform import db
from tests.accounts import as_account
from tests.ca.harm import HARM
from tests.ca.office import Desk
from tests.ca.standing import seal

pytestmark = pytest.mark.xdist_group("ca acts")  # what they share is slow to make

CA_ACCOUNT, OCSP_ACCOUNT = 64001, 64007


def the_ocsp_account_of(desk: Desk, folder: Path) -> Engine:
    """The record as the responder opens it; on PostgreSQL by an account with the rights of docs/authorities.md."""
    url = desk.engine.url
    if url.get_backend_name() == "sqlite":
        return open_record(url.render_as_string(), folder / "answers.db")
    role = f"ocsp_{os.urandom(8).hex()}"
    with db.write(desk.engine) as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON certificates TO {role}"))
        connection.execute(text(f"GRANT SELECT, INSERT, DELETE ON ocsp_answers TO {role}"))
    return open_record(url.set(username=role).render_as_string(), folder / "answers.db")


def test_the_responder_answers_from_the_record_and_changes_nothing_in_it(replicas: tuple[Desk, Desk], tmp_path: Path) -> None:
    desk = replicas[0]
    engine = the_ocsp_account_of(desk, tmp_path)
    record, certificate, now = AnswerRecord(engine), seal(desk), desk.clock.now()
    due = record.due("seals", keeps_expired=True, lapsing_before=now, now=now, most=10)
    standing = next(one for one in due if one.serial == certificate.serial_number)
    record.keep("seals", [Kept(standing, now, now + timedelta(days=1), (b"sha-1", b"sha-256"))])
    assert record.look_up("seals", certificate.serial_number)[1] is not None
    for statement in HARM:
        with pytest.raises((DBAPIError, VermilionError)), db.write(engine) as connection:
            connection.execute(text(statement))
    desk.revoke("seals", certificate.serial_number, "keyCompromise")
    standing, kept = record.look_up("seals", certificate.serial_number)
    assert (standing.kind, kept) == ("revoked", None), "the answer of before is not handed out, from the very moment on"
    with db.read(desk.engine) as connection:
        state = connection.execute(text("SELECT state FROM certificates WHERE serial = :s"), {"s": f"{certificate.serial_number:x}"})
        assert state.scalar_one() == State.REVOKED
    engine.dispose()


@pytest.fixture
def separated(own_desk: Desk, passable: Path) -> tuple[Path, Path, int]:
    """The CA's database and the responder's folder as `deploy/accounts.sh` leaves them, and the serial of a certificate in the record."""
    assert os.geteuid() == 0, "this test changes accounts and needs root"
    certificate = seal(own_desk)
    database = make_url(own_desk.engine.url.render_as_string()).database
    own_desk.engine.dispose()
    state = passable / "state"
    for name, account, mode in (("ca", CA_ACCOUNT, 0o2750), ("ocsp", OCSP_ACCOUNT, 0o700)):
        (state / name).mkdir(parents=True)
        os.chown(state / name, account, OCSP_ACCOUNT)
        (state / name).chmod(mode)
    file = state / "ca" / "ca.db"
    with closing(sqlite3.connect(str(database))) as source, closing(sqlite3.connect(file)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode=WAL")
    os.chown(file, CA_ACCOUNT, OCSP_ACCOUNT)
    file.chmod(0o640)
    state.chmod(0o711)
    return file, state / "ocsp", certificate.serial_number


def as_responder(work: Callable[[], object]) -> object:
    """What ``work`` returns in a process of the responder's account."""
    return as_account(OCSP_ACCOUNT, work)


def test_an_account_of_its_own_reads_the_record_whether_the_ca_runs_or_not(separated: tuple[Path, Path, int]) -> None:
    file, own, serial = separated

    def standing() -> str:
        engine = open_record(f"sqlite:///{file}", own / "answers.db")
        return AnswerRecord(engine).look_up("seals", serial)[0].kind

    assert as_responder(standing) == "good"
    with closing(sqlite3.connect(file)) as ca:  # the CA comes back, and has not copied its log into the file yet
        ca.execute("UPDATE certificates SET state = 'revoked', revoked_at = '2026-01-01T00:00:00Z', reason = 'keyCompromise'")
        ca.commit()
        assert as_responder(standing) == "revoked"
    assert as_responder(standing) == "revoked"


def test_an_account_of_its_own_cannot_write_the_record(separated: tuple[Path, Path, int]) -> None:
    file, _own, serial = separated

    def tried() -> list[str]:
        """With and without the responder's own code: as whoever has taken its process over."""
        done = []
        for uri in (f"file:{file}", f"file:{file}?mode=rw", f"file:{file}?immutable=1"):
            for statement in HARM:
                try:
                    with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
                        connection.execute(statement)
                        connection.commit()
                    done.append(f"{uri}: {statement}")
                except sqlite3.Error:
                    continue
        for attempt in (
            lambda: file.open("r+b").close(),
            file.unlink,
            lambda: shutil.copy(file, file.with_name("other.db")),
            lambda: Path(f"{file}-wal").open("r+b").close(),
            lambda: Path(f"{file}-journal").touch(),
            lambda: file.rename(file.with_name("gone.db")),
        ):
            try:
                attempt()
                done.append("a file was changed")
            except OSError:
                continue
        return done

    assert as_responder(tried) == []
    with closing(sqlite3.connect(file)) as ca:
        assert as_responder(tried) == []
        assert ca.execute("SELECT state FROM certificates WHERE serial = ?", (f"{serial:x}",)).fetchone() == (State.ISSUED,)


def test_a_record_read_at_rest_is_opened_anew_once_its_owner_is_back(tmp_path: Path) -> None:
    """The file's permissions alone are no matter here: what was attached without a log would never see one."""
    file, own = tmp_path / "ca.db", tmp_path / "own.db"
    with closing(sqlite3.connect(file)) as ca:
        ca.execute("PRAGMA journal_mode=WAL")
        ca.execute("CREATE TABLE told (x)")
    engine = db.connect(f"sqlite:///{own}", reads=file, pool_size=1)

    def count() -> int:
        with db.read(engine) as connection:
            return int(connection.execute(text("SELECT count(*) FROM told")).scalar_one())

    assert count() == 0
    with closing(sqlite3.connect(file)) as ca:
        for number in range(1, 4):
            ca.execute("INSERT INTO told VALUES (1)")
            ca.commit()
            assert count() == number
    with pytest.raises(VermilionError) as refused, db.write(engine) as connection:
        connection.execute(text("INSERT INTO told VALUES (1)"))
    assert refused.value.code is Code.DATABASE_UNAVAILABLE
    engine.dispose()
