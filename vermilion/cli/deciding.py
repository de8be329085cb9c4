"""What a form would bring about, shown to whoever decides, and approvals by people who have seen it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sealcore.approvals.known import Effect, Known
from sealcore.errors import Kind, VermilionError
from vermilion import acts, effects
from vermilion.cli import common
from vermilion.cli.common import Here
from vermilion.desk import Desk
from vermilion.messages import text
from vermilion.people_token import PeopleToken
from vermilion.terminal import say, show_pairs


def known(office: Here, people: Sequence[Any]) -> Known:
    """The signer's register, asked directly; without old values while it is away."""
    names = {person["id"]: person["name"] for person in people}
    try:
        with office.registry() as registry:
            return effects.known(registry, names)
    except VermilionError as fault:
        if fault.kind is not Kind.UNAVAILABLE:
            raise
        say("effect.without_register", "undetermined", reason=fault.reason)
        return Known(names=names)


def show(effect: Effect) -> None:
    """The effect: a sentence, then every fact."""
    say("effect.words", "title", words=effect.words)
    show_pairs([(text("effect.fact"), fact.words) for fact in effect.facts])


def approve(office: Here, desk: Desk, form: Any, persons: Sequence[str], *, quiet: bool = False) -> Any:
    """These people approve what the form would bring about; what became of the act."""
    sign(office, desk, form, persons, quiet=quiet)
    return acts.await_performed(desk, form["number"])


def sign(office: Here, desk: Desk, form: Any, persons: Sequence[str], *, quiet: bool = False) -> None:
    """These people approve what the form would bring about, once there are words for it. ``quiet``: a program reads the answer."""
    people = common.people(desk)
    effect = effects.of_form(form, known(office, people))
    if not quiet:
        show(effect)
    with PeopleToken.open(office.layout.token_settings("people")) as token:
        for person in persons:
            acts.approve(desk, token, form, common.among(people, person)["id"], datetime.now(UTC))
