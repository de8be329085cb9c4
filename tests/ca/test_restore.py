"""A restore of the CA's database: what was approved before it does not count again, and no CRL number comes twice."""

from __future__ import annotations

import hashlib

import pytest
from cryptography import x509
from sqlalchemy import delete, select

from ca.restore import record_restore, restored_at
from ca.revocation.change import Kind
from ca.revocation.crl import newest
from ca.tables import acts, outbox
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from tests.ca.office import Desk, Office
from tests.ca.people import WORKFLOW, new_case


def test_release_token_that_the_backup_does_not_know_does_not_release_again(replicas: tuple[Desk, Desk]) -> None:
    """The seal was held, released by a quorum, held again; then the backup from before the release comes back."""
    desk, _other = replicas
    case = new_case(desk)
    desk.hold("seals", case.certificate.serial_number)
    token = case.token(case.change(Kind.RELEASE))
    case.perform(token)
    desk.hold("seals", case.certificate.serial_number)
    with write(desk.engine) as connection:
        connection.execute(delete(acts))  # as the backup has it
    record_restore(desk.engine, clock=desk.clock)
    with pytest.raises(VermilionError) as refused:
        case.perform(token)
    assert refused.value.code is Code.TOKEN_BEFORE_RESTORE and case.is_listed
    desk.clock.advance(2)
    case.perform(case.token(case.change(Kind.RELEASE)))
    assert not case.is_listed, "a new form counts"


@pytest.mark.parametrize("early", ["iat", "nbf", "a decision"])
def test_after_a_restore_everything_in_a_token_is_later(own_desk: Desk, early: str) -> None:
    """The issuer's key alone dates ``iat``; ``nbf`` and the decisions' times are what people signed."""
    case = new_case(own_desk)
    before = int(own_desk.clock.now().timestamp())
    record_restore(own_desk.engine, clock=own_desk.clock)
    own_desk.clock.advance(5)
    after = before + 5
    dates = {"iat": after, "nbf": after, "exp": after + 3600} | ({early: before} if early != "a decision" else {})
    decided = before if early == "a decision" else after  # when the people of this token decide
    token = case.people.token(decided, case.change(), seal=case.seal, iat=dates["iat"], nbf=dates["nbf"], exp=dates["exp"])
    assert case.refused(token) is Code.TOKEN_BEFORE_RESTORE
    case.perform(case.token())


@pytest.mark.parametrize("kind", [Kind.REVOKE, Kind.HOLD])
def test_a_form_from_before_a_restore_is_not_put_before_anybody(own_desk: Desk, kind: Kind) -> None:
    """It took two approvals, and was refused then."""
    case = new_case(own_desk)
    before = int(own_desk.clock.now().timestamp())
    act = case.change(kind).as_json()
    own_desk.clock.advance(5)
    case.acts.check("revoke", case.seal, act, None, before)
    record_restore(own_desk.engine, clock=own_desk.clock)
    for since in (None, before + 7):
        with pytest.raises(VermilionError) as refused:
            case.acts.check("revoke", case.seal, act, since, before)
        assert refused.value.code is Code.TOKEN_BEFORE_RESTORE and "the CA's database" in refused.value.reason
    own_desk.clock.advance(5)
    case.acts.check("revoke", case.seal, act, None, before + 10)
    case.perform(case.token(case.change(kind)))


def test_token_that_the_backup_knows_gets_its_answer_again(replicas: tuple[Desk, Desk]) -> None:
    case = new_case(replicas[0])
    token = case.token()
    number = case.perform(token)
    record_restore(case.desk.engine, clock=case.desk.clock)
    assert case.acts.perform(token, WORKFLOW).crl_number == number


def test_crls_after_a_restore_have_higher_numbers_than_any_before(own_desk: Desk) -> None:
    before = newest(own_desk.engine, "seals")
    assert before is not None
    for _ in range(3):
        lost = own_desk.publisher.publish("seals")  # relying parties have these
    record_restore(own_desk.engine, clock=own_desk.clock)
    own_desk.publisher.publish_due()
    after = newest(own_desk.engine, "seals")
    assert after is not None and after.number > lost + 1000
    number = x509.load_der_x509_crl(after.der).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == after.number
    assert own_desk.publisher.publish("seals") == after.number + 1


def test_restore_is_kept_and_noted_for_the_ledger(own_desk: Desk) -> None:
    assert restored_at(own_desk.engine) is None
    first = record_restore(own_desk.engine, clock=own_desk.clock)
    own_desk.clock.advance(100)
    last = record_restore(own_desk.engine, clock=own_desk.clock)
    assert first < last == restored_at(own_desk.engine)
    with read(own_desk.engine) as connection:
        kept = connection.execute(select(acts)).all()
        notes = {row.idempotency_key: row.subject_sha256 for row in connection.execute(select(outbox))}
    assert len(kept) == 2
    for act in kept:
        assert notes[f"act:{act.id}"] == hashlib.sha256(b"vermilion-act-v1" + act.evidence.encode()).digest()


def test_restore_is_a_step_of_the_ceremony(office: Office, own_desk: Desk) -> None:
    own = Office(office.folder, str(own_desk.engine.url), office.root_token, office.ca_token)
    own_desk.token.close()  # a process opens one token
    done = own.ceremony("restored")
    assert "tokens_count_from" in done.stdout and restored_at(own_desk.engine) is not None
