"""Units are renamed and end, clients are removed, and forms lapse by themselves at the end of their term; each with an event for the ledger."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from sealcore.errors import Code
from sealcore.ids import client_uri, uuid7
from sealcore.platform.db import read
from tests.workflow.conftest import Desk
from tests.workflow.deciding import decide, refusal
from workflow import tables
from workflow.directory import use_cases as directory
from workflow.directory.model import Client, Person, Role, Unit
from workflow.forms import use_cases as forms
from workflow.forms.lapse import Lapse
from workflow.forms.model import FormState
from workflow.principal import principal_of

BY = "https://vermilion.internal/operator/desk"


def recorded(desk: Desk, event: str) -> int:
    with read(desk.office.engine) as connection:
        return len(connection.execute(select(tables.outbox.c.id).where(tables.outbox.c.event == event)).all())


def test_a_unit_is_renamed_and_keeps_its_code(desk: Desk) -> None:
    directory.add_unit(desk.office, BY, Unit("SALES", "Sales"))
    assert directory.rename_unit(desk.office, BY, "SALES", "Sales and service") == Unit("SALES", "Sales and service")
    directory.rename_unit(desk.office, BY, "SALES", "Sales and service")
    assert Unit("SALES", "Sales and service") in directory.units(desk.office)
    assert recorded(desk, "unit.renamed") == 1, "the same name again is no event"
    assert refusal(lambda: directory.rename_unit(desk.office, BY, "NONE", "None")) is Code.NOT_FOUND


def test_a_unit_that_has_ended_takes_nothing_new_and_what_is_open_is_decided_on(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    directory.add_unit(desk.office, BY, Unit("SALES", "Sales"))
    client = Client(uuid7(), "Shop", client_uri("shop"), "SALES")
    directory.add_client(desk.office, BY, client)
    caller = principal_of(client.uri)
    form, approver = desk.submit(seal, caller=caller), desk.human("approver")
    assert form.number.startswith("SALES-")
    assert not directory.end_unit(desk.office, BY, "SALES").active
    directory.end_unit(desk.office, BY, "SALES")
    assert recorded(desk, "unit.ended") == 1

    assert refusal(lambda: desk.submit(seal, caller=caller)) is Code.UNIT_NOT_ALLOWED
    person = Person(uuid7(), "Late", "SALES", frozenset({Role.APPROVER}), desk.issuer.spki)
    assert refusal(lambda: directory.add_person(desk.office, BY, person)) is Code.UNIT_NOT_ALLOWED
    late = Client(uuid7(), "Late", client_uri("late"), "OFFICE", units=frozenset({"SALES"}))
    assert refusal(lambda: directory.add_client(desk.office, BY, late)) is Code.UNIT_NOT_ALLOWED
    assert refusal(lambda: directory.add_unit(desk.office, BY, Unit("SALES", "Again"))) is Code.CONFLICT, "its numbers are taken"

    assert decide(desk, form, approver).form.state is FormState.APPROVED


def test_the_offices_own_unit_does_not_end(desk: Desk) -> None:
    assert refusal(lambda: directory.end_unit(desk.office, BY, "OFFICE")) is Code.CONFLICT


def test_a_removed_client_applies_for_nothing_and_its_name_is_free(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    client = Client(uuid7(), "Shop", client_uri("shop"), "OFFICE")
    directory.add_client(desk.office, BY, client)
    caller = principal_of(client.uri)
    waiting, done = desk.submit(seal, caller=caller), desk.submit(seal, caller=caller)
    forms.withdraw(desk.office, caller, done.number)
    other = desk.submit(seal)

    assert not directory.remove_client(desk.office, BY, client.id).active
    directory.remove_client(desk.office, BY, client.id)
    assert recorded(desk, "client.removed") == 1
    assert forms.show(desk.office, desk.operator, waiting.number).form.state is FormState.WITHDRAWN
    assert [one.event for one in forms.show(desk.office, desk.operator, waiting.number).events] == ["form.applied", "form.withdrawn"]
    assert forms.show(desk.office, desk.operator, other.number).form.state is FormState.APPLIED
    assert refusal(lambda: desk.submit(seal, caller=caller)) is Code.PERMISSION_DENIED
    assert refusal(lambda: directory.remove_client(desk.office, BY, uuid7())) is Code.NOT_FOUND

    again = Client(uuid7(), "SHOP", client_uri("shop-2"), "OFFICE")
    directory.add_client(desk.office, BY, again)
    assert refusal(lambda: directory.add_client(desk.office, BY, Client(uuid7(), "Shop", client_uri("shop-3"), "OFFICE"))) is Code.CONFLICT


def test_a_form_lapses_by_itself_at_the_end_of_its_term_and_not_before(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    lapse, approver = Lapse(desk.office), desk.human("approver")
    left, approved = desk.submit(seal), desk.submit(seal)
    decide(desk, approved, approver)
    desk.clock.advance(left.context.exp - desk.now() - 1)
    assert lapse.round() == []
    later = desk.submit(seal)
    desk.clock.advance(1)
    assert lapse.round() == [left.number]
    assert lapse.round() == []

    dossier = forms.show(desk.office, desk.client, left.number)
    assert (dossier.form.state, dossier.form.settled) == (FormState.LAPSED, desk.now())
    assert [one.event for one in dossier.events] == ["form.applied", "form.lapsed"]
    assert forms.show(desk.office, desk.client, approved.number).form.state is FormState.APPROVED
    assert forms.show(desk.office, desk.client, later.number).form.state is FormState.APPLIED
    assert [one.number for one in forms.listing(desk.office, desk.client, state=FormState.LAPSED, before=None, limit=9)] == [left.number]


def test_nothing_can_be_done_with_a_form_that_has_lapsed(desk: Desk) -> None:
    seal = desk.signer.state.add_seal(seal=1)
    approver, form = desk.human("approver"), desk.submit(seal)
    desk.clock.advance(form.context.exp - desk.now())
    Lapse(desk.office).round()
    assert refusal(lambda: decide(desk, form, approver)) is Code.TOKEN_EXPIRED
    assert refusal(lambda: forms.withdraw(desk.office, desk.client, form.number)) is Code.FORM_STATE
    assert refusal(lambda: forms.fetch_token(desk.office, desk.client, form.number)) is Code.TOKEN_EXPIRED


def test_a_round_takes_so_many_forms_and_the_next_one_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflow.forms.lapse.AT_ONCE", 2)
    seal = desk.signer.state.add_seal(seal=1)
    numbers = [desk.submit(seal).number for _ in range(3)]
    desk.clock.advance(8 * 86_400)
    lapse = Lapse(desk.office)
    assert sorted(lapse.round() + lapse.round()) == numbers
