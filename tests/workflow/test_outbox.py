"""Nothing is lost between the workflow's database and the ledger, whatever the signer does meanwhile."""

from __future__ import annotations

import hashlib
import json
import threading

import pytest
from sqlalchemy import select

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.protocol.canonical import canonical_json
from tests.support.waiting import until
from tests.workflow.conftest import Desk
from tests.workflow.deciding import decide, states
from workflow import tables
from workflow.delivery import events
from workflow.delivery.outbox import Outbox
from workflow.forms import use_cases as forms
from workflow.forms.kinds.act import ActRequest


def test_events_wait_for_a_signer_that_is_away_and_then_arrive_in_order(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=0)
    numbers = [desk.submit(seal).number]
    desk.signer.stop()
    with pytest.raises(VermilionError):
        desk.submit(seal)
    forms_before = forms.listing(desk.office, desk.client, state=None, before=None, limit=10)
    assert not desk.outbox.deliver()
    assert states(desk) == ["pending", "pending"]
    desk.signer.start()
    until(desk.outbox.deliver)  # the connection pauses for a moment before it tries again
    numbers.append(desk.submit(seal).number)
    assert desk.outbox.deliver()
    assert states(desk) == ["done"] * 4
    assert [form.number for form in forms_before] == numbers[:1]
    assert [request.form for request in desk.signer.state.appended.values()] == [n for n in numbers for _ in range(2)]


def test_a_running_outbox_finds_a_signer_that_comes_back(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=0)
    desk.submit(seal)
    desk.signer.stop()
    arrived = threading.Event()
    outbox = Outbox(desk.office.engine, desk.office.register)
    outbox.start()
    try:
        desk.signer.start()
        for _ in range(600):
            if states(desk) == ["done", "done"]:
                arrived.set()
                break
            arrived.wait(0.1)
        assert arrived.is_set()
    finally:
        outbox.stop()


def test_what_is_decided_is_told_when_it_is_committed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when the outbox looks next by itself."""
    outbox = Outbox(desk.office.engine, desk.office.register)
    monkeypatch.setattr(outbox._task, "_interval_s", 3600.0)
    outbox.start()
    try:
        desk.submit(desk.signer.state.add_seal(seal=0))
        until(lambda: states(desk) == ["done", "done"], "both events are delivered")
    finally:
        outbox.stop()


def test_an_event_that_is_sent_twice_is_one_entry(desk: Desk) -> None:
    desk.submit(desk.signer.state.add_seal(seal=0))
    assert desk.outbox.deliver()
    with write(desk.office.engine) as connection:  # as if we had died between the answer and our own commit
        connection.execute(tables.outbox.update().values(state="pending", ledger_index=None))
    assert desk.outbox.deliver()
    assert len(desk.signer.state.appended) == 2


def test_what_the_signer_refuses_for_good_is_kept_with_its_code_and_holds_nobody_up(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=0, resume=1)
    desk.signer.state.refuse_appends = VermilionError(Code.INVALID_ARGUMENT, "no")
    desk.submit(seal)
    assert desk.outbox.deliver()
    assert states(desk) == ["refused", "refused"]
    desk.signer.state.refuse_appends = None
    desk.signer.state.refuse_performs = VermilionError(Code.REVOCATION_UNAVAILABLE, "no CRL")
    decide(desk, desk.submit(seal, asked=ActRequest({}), action="resume"), desk.human("approver"))
    assert not desk.outbox.deliver()
    assert sorted(states(desk)[2:]) == ["done", "done", "done", "pending"]
    desk.signer.state.refuse_performs = None
    assert desk.outbox.deliver()


def test_the_ledger_holds_the_hash_of_the_event_and_no_name(desk: Desk) -> None:
    form = desk.submit(desk.signer.state.add_seal(seal=1))
    desk.outbox.deliver()
    with read(desk.office.engine) as connection:
        told = json.loads(connection.execute(select(tables.outbox.c.body)).scalar_one())["told"]
    (request,) = desk.signer.state.appended.values()
    assert request.subject_sha256 == hashlib.sha256(b"vermilion-event-v1" + canonical_json(told)).digest()
    assert (request.kind, request.form, request.policy) == ("form", form.number, "standard/1")
    assert len(told["salt"]) == 22


def test_the_event_hash_is_the_published_one() -> None:
    """SHA-256 over the label and the RFC 8785 text, written out by hand."""
    told = {"event": "form.applied", "time": 1777896000, "form": "OFFICE-2026-000001", "facts": {"b": 1, "a": "é"}, "salt": "AA"}
    text = '{"event":"form.applied","facts":{"a":"é","b":1},"form":"OFFICE-2026-000001","salt":"AA","time":1777896000}'
    assert events.subject_sha256(told) == hashlib.sha256(b"vermilion-event-v1" + text.encode()).digest()
