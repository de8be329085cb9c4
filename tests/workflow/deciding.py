"""People who decide on forms, and how refusals are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from sealcore.errors import Code, VermilionError
from sealcore.ids import service_uri
from sealcore.platform.db import read
from sealcore.protocol import token as tokens
from tests.workflow.conftest import Desk
from tests.workflow.signer_side import Human
from workflow import tables
from workflow.delivery.outbox import Outbox
from workflow.forms import decisions
from workflow.forms import use_cases as forms
from workflow.forms.model import Form, Performance


def refusal(act: Callable[[], Any]) -> Code:
    with pytest.raises(VermilionError) as caught:
        act()
    return caught.value.code


def decide(desk: Desk, form: Form, human: Human, verdict: str = "approve", reason: str = "") -> decisions.Outcome:
    return decisions.decide(desk.office, desk.client, form.number, human.decide(form.context, verdict, desk.now()), reason)


def performance_of(desk: Desk, form: Form) -> Performance:
    """What became of an act, as an operator sees it."""
    performance = forms.show(desk.office, desk.operator, form.number).performance
    assert performance is not None
    return performance


class Ca:
    """Stands where the CA stands, and keeps what it is handed."""

    def __init__(self) -> None:
        self.performed: list[tokens.Claims] = []
        self.checked: list[tuple[str, str, Any, int | None]] = []
        self.earliest: list[int] = []
        self.refuses: VermilionError | None = None
        self.refuses_checks: VermilionError | None = None

    def check_act(self, action: str, seal: str, parameters: Any, approved_since: int | None, earliest: int) -> None:
        if self.refuses_checks is not None:
            raise self.refuses_checks
        self.checked.append((action, seal, dict(parameters), approved_since))
        self.earliest.append(earliest)

    def perform(self, token: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.performed.append(tokens.parse(token).claims)


def with_ca(desk: Desk) -> tuple[Desk, Ca]:
    """A desk whose workflow knows a CA."""
    ca = Ca()
    office = replace(desk.office, bounds=replace(desk.office.bounds, ca_audience=service_uri("ca")), authority=ca)
    return replace(desk, office=office, outbox=Outbox(office.engine, office.register, ca)), ca


REVOKE = {"change": "revoke", "issuer": "seals", "serial": "abc", "reason": "keyCompromise"}


def states(desk: Desk) -> list[str]:
    with read(desk.office.engine) as connection:
        return list(connection.execute(select(tables.outbox.c.state).order_by(tables.outbox.c.id)).scalars())


def claims(desk: Desk, number: str) -> tokens.Claims:
    parsed = tokens.parse(forms.fetch_token(desk.office, desk.client, number))
    tokens.verify_signature(parsed, desk.issuer.key.public_key())
    return parsed.claims
