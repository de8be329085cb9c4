"""Acts: refused before anybody is asked to approve them, with the files they name, and closed by a person when they failed after all."""

from __future__ import annotations

import hashlib
from functools import partial

import pytest
from sqlalchemy import insert

from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.db import read, write
from sealcore.protocol.canonical import strict_json
from tests.workflow.conftest import Desk
from tests.workflow.deciding import decide, refusal
from tests.workflow.signer_side import Human
from workflow import tables
from workflow.delivery import events, refused
from workflow.directory import store as directory_store
from workflow.directory.model import Client, Person, Role
from workflow.forms import store as form_store
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import ActRequest
from workflow.forms.kinds.performers.signer import MOST_ATTACHED_BYTES
from workflow.forms.model import Form, FormState
from workflow.metrics import WorkflowMetrics

BRICKING = {"change": "seal_quorum", "id": uuid7(), "quorum": ["seal:9"]}
PICTURE = b"%PDF-1.7 a picture"


def ask(desk: Desk, *files: bytes, **parameters: object) -> Form:
    asked = ActRequest({"change": "seal_picture_add", "id": uuid7(), **parameters}, files)
    return desk.submit("", asked=asked, action="register", caller=desk.operator)


def test_what_the_signer_would_refuse_is_not_filed(desk: Desk) -> None:
    desk.signer.state.refuse_checks = VermilionError(Code.QUORUM_UNMEETABLE, "nobody could meet it")
    asked = ActRequest(BRICKING)
    assert refusal(lambda: desk.submit("", asked=asked, action="register", caller=desk.operator)) is Code.QUORUM_UNMEETABLE
    seal = desk.signer.state.add_seal(resume=1)
    assert refusal(lambda: desk.submit(seal, asked=ActRequest({}), action="resume")) is Code.QUORUM_UNMEETABLE
    assert forms.listing(desk.office, desk.operator, state=None, before=None, limit=10) == []
    desk.signer.state.refuse_checks = None
    form = desk.submit("", asked=asked, action="register", caller=desk.operator)
    assert form.number == "OFFICE-2026-000001"
    (checked,) = desk.signer.state.checked
    assert (checked.action, checked.seal, strict_json(checked.parameters.encode(), Code.INTERNAL)) == ("register", "", BRICKING)


def test_what_has_become_impossible_is_not_approved(desk: Desk) -> None:
    desk.signer.state.register_quorum = 1
    form, approver = ask(desk, PICTURE, picture=hashlib.sha256(PICTURE).hexdigest()), desk.human("approver")
    desk.signer.state.refuse_checks = VermilionError(Code.SEAL_RETIRED, "the seal was retired meanwhile")
    desk.client = desk.operator
    assert refusal(lambda: decide(desk, form, approver)) is Code.SEAL_RETIRED
    assert forms.show(desk.office, desk.operator, form.number).form.decisions == ()
    assert decide(desk, form, approver, "reject", "it cannot be done any more").form.state is FormState.REJECTED


def test_the_files_of_an_act_travel_with_its_token(desk: Desk) -> None:
    desk.signer.state.register_quorum, desk.client = 1, desk.operator
    digest = hashlib.sha256(PICTURE).hexdigest()
    form, approver = ask(desk, PICTURE, PICTURE, picture=digest), desk.human("approver")
    assert list(desk.signer.state.checked[0].attachments) == [PICTURE, PICTURE]
    assert forms.attachment(desk.office, desk.operator, form.number, bytes.fromhex(digest)) == PICTURE
    assert refusal(lambda: forms.attachment(desk.office, desk.operator, form.number, bytes(32))) is Code.NOT_FOUND
    decide(desk, form, approver)
    assert list(desk.signer.state.checked[-1].attachments) == [PICTURE]
    desk.outbox.deliver()
    assert desk.signer.state.files == [[PICTURE]]


def test_files_beyond_what_a_message_takes_are_refused(desk: Desk) -> None:
    assert refusal(lambda: ask(desk, bytes(MOST_ATTACHED_BYTES + 1))) is Code.DOCUMENT_TOO_LARGE
    assert desk.signer.state.checked == []
    largest = ask(desk, bytes(MOST_ATTACHED_BYTES))
    assert len(forms.show(desk.office, desk.operator, largest.number).attachments[0]) == MOST_ATTACHED_BYTES


def failed_act(desk: Desk) -> Form:
    desk.signer.state.register_quorum, desk.client = 1, desk.operator
    form = ask(desk, picture="ab" * 32)
    decide(desk, form, desk.human("approver"))
    desk.signer.state.refuse_performs = VermilionError(Code.CONFLICT, "too late")
    desk.outbox.deliver()
    return form


def waiting(desk: Desk, state: str) -> float:
    value = WorkflowMetrics(desk.office.engine).registry.get_sample_value("vermilion_workflow_outbox", {"state": state})
    assert value is not None
    return value


def test_a_refused_act_is_closed_by_a_person_with_a_reason(desk: Desk) -> None:
    form = failed_act(desk)
    assert waiting(desk, "refused") == 1
    (one,) = refused.listing(desk.office, closed=False, after=0, limit=10)
    assert (one.form, one.code, one.reason, one.state) == (form.number, "CONFLICT", "too late", "refused")
    custodian = desk.human("operator")
    for person, reason, code in (
        (custodian.id, "  ", Code.INVALID_ARGUMENT),
        (uuid7(), "filed again", Code.NOT_FOUND),
        (left(desk).id, "filed again", Code.PERMISSION_DENIED),
        (desk.human("applicant").id, "not now", Code.PERMISSION_DENIED),
        (desk.human("auditor").id, "seen", Code.PERMISSION_DENIED),
    ):
        assert refusal(partial(refused.close, desk.office, desk.operator.uri, one.id, person, reason)) is code
    assert refusal(lambda: refused.close(desk.office, desk.operator.uri, one.id + 100, custodian.id, "x")) is Code.NOT_FOUND
    pending = one.id + 1
    desk.signer.stop()
    closed = refused.close(desk.office, desk.operator.uri, one.id, custodian.id, "filed again as another form")
    assert (closed.state, closed.closed_by, closed.closed_reason) == ("closed", custodian.id, "filed again as another form")
    assert refusal(lambda: refused.close(desk.office, desk.operator.uri, one.id, custodian.id, "again")) is Code.CONFLICT
    assert refusal(lambda: refused.close(desk.office, desk.operator.uri, pending, custodian.id, "waits")) is Code.CONFLICT
    assert waiting(desk, "refused") == 0
    assert refused.listing(desk.office, closed=False, after=0, limit=10) == []
    assert [each.id for each in refused.listing(desk.office, closed=True, after=0, limit=10)] == [one.id]
    with read(desk.office.engine) as connection:
        performance = events.performance(connection, form.number)
        assert "refusal.closed" in [each.event for each in events.of_form(connection, form.number)]
    assert performance is not None
    assert (performance.state, performance.code, performance.closed_by) == ("closed", "CONFLICT", custodian.id)


def left(desk: Desk) -> Human:
    human = Human("operator")
    with write(desk.office.engine) as connection:
        directory_store.add_person(connection, Person(human.id, "Gone", "OFFICE", frozenset({Role.OPERATOR}), human.spki, active=False))
    return human


def test_an_unknown_reference_is_not_taken_for_a_duplicate(desk: Desk) -> None:
    """On SQLite and PostgreSQL alike, a missing unit is NOT_FOUND and a taken key is CONFLICT."""
    human, twin = Human("approver"), Human("approver")
    with write(desk.office.engine) as connection:
        for person, code in (
            (Person(human.id, "A", "NOWHERE", frozenset({Role.APPROVER}), human.spki), Code.NOT_FOUND),
            (Person(human.id, "A", "OFFICE", frozenset({Role.APPROVER}), human.spki), None),
            (Person(human.id, "A", "OFFICE", frozenset({Role.APPROVER}), twin.spki), Code.CONFLICT),
            (Person(twin.id, "A", "OFFICE", frozenset({Role.APPROVER}), human.spki), Code.CONFLICT),
        ):
            if code is None:
                directory_store.add_person(connection, person)
            else:
                assert refusal(partial(directory_store.add_person, connection, person)) is code
        for client, code in (
            (Client(uuid7(), "A", "https://vermilion.internal/client/a", "NOWHERE"), Code.NOT_FOUND),
            (Client(uuid7(), "A", "https://vermilion.internal/client/a", "OFFICE", units=frozenset({"NOWHERE"})), Code.NOT_FOUND),
        ):
            with connection.begin_nested() as savepoint:
                assert refusal(partial(directory_store.add_client, connection, client)) is code
                savepoint.rollback()
        assert refusal(lambda: form_store.next_number(connection, "NOWHERE", 2026)) is Code.NOT_FOUND
        with pytest.raises(Exception, match=r"(?i)null"), connection.begin_nested():  # neither: it stays what it is
            connection.execute(insert(tables.units).values(code="X", name=None))
