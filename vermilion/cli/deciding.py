"""What a form would bring about, shown to whoever decides, and approvals by people who have seen it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sealcore.errors import Kind, VermilionError
from sealcore.protocol.effect_model import Effect, Known
from vermilion.cli import common
from vermilion.cli.common import Here
from vermilion.messages import text
from vermilion.remote.workflow_client import WorkflowClient
from vermilion.terminal import console, say, show_pairs
from vermilion.use_cases import acts, effects, ended
from vermilion.use_cases.people_token import PeopleToken


def known(office: Here, workflow: WorkflowClient, people: Sequence[Any]) -> Known:
    """The signer's register, asked directly; without old values while it is away. People's names and policies are the workflow's."""
    names = {person["id"]: person["name"] for person in people}
    policies: dict[str, tuple[int, int]] = {}
    for one in workflow.get("/v1/policies")["policies"]:
        policies[one["id"]] = max(policies.get(one["id"], (0, 0)), (one["version"], one["quorum"]))
    try:
        with office.signer() as signer:
            return replace(effects.known(signer, names), policies=policies)
    except VermilionError as fault:
        if fault.kind is not Kind.UNAVAILABLE:
            raise
        say("effect.without_register", "undetermined", reason=fault.reason)
        return Known(names=names, policies=policies)


def show(effect: Effect) -> None:
    """The effect: a sentence, then every fact."""
    say("effect.words", "title", words=effect.words)
    show_pairs([(text("effect.fact"), fact.words) for fact in effect.facts])


def carry_out(office: Here, workflow: WorkflowClient, form: Any, persons: Sequence[str] | None, *, quiet: bool = False) -> Any | None:
    """What came of the act once these people have approved it; None, with a word on what is to be done, while approvals are missing."""
    tell_ended(workflow, form)
    needed = None
    if persons and form["state"] == "applied":
        needed = sign(office, workflow, form, persons, quiet=quiet)
    done = acts.await_performed(workflow, form["number"])
    if done is None and not quiet:
        say_waiting(workflow.form(form["number"]), needed)
    return done


def tell_ended(workflow: WorkflowClient, form: Any) -> None:
    """Says, beside what a program reads, when people or the receiver refused the same act before."""
    if form["state"] == "applied" and (why := ended.before(workflow, form)) is not None:
        console(stderr=True).print(text("ended.told", why=why), style="undetermined", markup=False)


def say_waiting(form: Any, needed: int | None) -> None:
    """What an open form still takes; ``needed`` approvals by the register of now, or None when it has not been asked since the filing."""
    given, quorum = approvals(form), needed or form["context"]["policy"]["quorum"]
    key = "acts.waiting" if given else "acts.applied"
    say(key, number=form["number"], given=len(given), quorum=quorum)


def approvals(form: Any) -> list[str]:
    """The ids of those who have approved a form."""
    return [one["person"] for one in form["decisions"] if one["verdict"] == "approve"]


def register(
    office: Here, title: str, parameters: Mapping[str, Any], persons: Sequence[str] | None, *, files: Sequence[bytes] = ()
) -> tuple[str, int] | None:
    """Asks the register's people for a change of it: the form and the ledger entry, after these people approved.

    None, with a word on what is to be done, while approvals are missing.
    """
    with office.workflow() as workflow:
        form = acts.apply(workflow, "register", title=title, parameters=parameters, files=files)
        done = carry_out(office, workflow, form, persons)
    return None if done is None else (form["number"], done["ledger_index"])


def say_done(key: str, done: tuple[str, int] | None, **words: Any) -> None:
    """Says what has come about; nothing where it waits for people."""
    if done is not None:
        say(key, number=done[0], index=done[1], **words)


def sign(office: Here, workflow: WorkflowClient, form: Any, persons: Sequence[str], *, quiet: bool = False) -> int | None:
    """These people approve what the form would bring about, once there are words for it. ``quiet``: a program reads the answer.

    Who has approved it before is not asked again, and nobody any more once there are enough. Returns how many approvals the register
    and the form's policy ask for now; None when nobody had to be asked.
    """
    needed: int | None = None
    people = workflow.people()
    effect = effects.of_form(form, known(office, workflow, people))
    if not quiet:
        show(effect)
    given = approvals(form)
    with PeopleToken.open(office.layout.token_settings("people")) as token:
        for person in persons:
            if (who := common.among(people, person)["id"]) in given:
                continue
            answer = acts.approve(workflow, token, form, who, datetime.now(UTC))
            needed = answer["needed"]
            if answer["state"] != "applied":
                break
    return needed
