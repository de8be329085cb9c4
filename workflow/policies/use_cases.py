"""Policies: an operator raises what is asked; asking less takes an act of the register's own quorum (`register`, `policy_add`).

The signer's register remains the floor below all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read
from sealcore.protocol.canonical import is_integer, is_uuid7, require
from workflow import store
from workflow.delivery import events
from workflow.delivery.signer_link import RegisteredPerson
from workflow.forms.quorum import approvers
from workflow.model import ACT_ACTIONS, SEAL_ACTION, Form, Rule, choose_rule, newest
from workflow.office import Office

POLICY_ADD: Final = "policy_add"
_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_ANOTHER: Final = ""  # a seal or an action that no policy names
_RULE: Final = "An operator adds no policy that asks less than those in force: people approve it (an act `register`, `policy_add`)."


def add(connection: Connection, rule: Rule, people: Mapping[str, RegisteredPerson]) -> None:
    """Adds a version on an operator's word; CONFLICT when it is there, PERMISSION_DENIED when it asks less than those in force.

    QUORUM_UNMEETABLE when it asks for more than the people of the signer's register.
    """
    if (less := lowered(store.rules(connection, lock=True), rule)) is not None:
        seal, action = less
        about = f"{action or 'other actions'} with {seal or 'other seals'}"
        raise VermilionError(Code.PERMISSION_DENIED, f"{rule.id} version {rule.version} would ask less for {about}", rule=_RULE)
    require_meetable(rule, people)
    store.add_rule(connection, rule)


def lowered(present: Collection[Rule], added: Rule) -> tuple[str, str] | None:
    """A seal and an action for which fewer persons would be asked with ``added`` than without; None when there are none.

    A version that is newer and narrower lowers too: what it no longer speaks of, the one before did.
    """
    after = [*present, added]
    for seal in {_ANOTHER, *(rule.seal for rule in after if rule.seal is not None)}:
        for action in {_ANOTHER, *(rule.action for rule in after if rule.action is not None)}:
            if choose_rule(after, seal, action).quorum < choose_rule(present, seal, action).quorum:
                return seal, action
    return None


def rule_of(parameters: Mapping[str, Any]) -> Rule:
    """The policy that an act asks for: `id`, `version`, `quorum`, and `seal` and `action` ("" for any); INVALID_ARGUMENT."""
    require(parameters.keys() == {"change", "id", "version", "quorum", "seal", "action"}, "a policy is id, version, quorum, seal, action")
    identifier, version, quorum, seal, action = (parameters[name] for name in ("id", "version", "quorum", "seal", "action"))
    require(isinstance(identifier, str) and _ID.fullmatch(identifier) is not None, "a policy's id is lower-case letters, digits, hyphens")
    require(is_integer(version, 1, 2**31 - 1) and is_integer(quorum, 0, 64), "version and quorum are whole numbers")
    require(seal == "" or (isinstance(seal, str) and is_uuid7(seal)), "a policy is for one seal, by its id, or for any")
    require(action == "" or action in ACT_ACTIONS | {SEAL_ACTION}, "a policy is for one action of a form, or for any")
    return Rule(identifier, version, quorum, seal or None, action or None)


def check(office: Office, parameters: Mapping[str, Any]) -> None:
    """Raises what ``perform`` would refuse this policy for, were it approved now, and QUORUM_UNMEETABLE; changes nothing."""
    rule = rule_of(parameters)
    require_meetable(rule, office.register.people())
    with read(office.engine) as connection:
        require_told(store.rules(connection), rule)


def require_meetable(rule: Rule, people: Mapping[str, RegisteredPerson]) -> None:
    """QUORUM_UNMEETABLE when a policy asks for more approvers than there are: nothing could lower it again, since that takes approvals."""
    if rule.quorum > (have := len(approvers(people))):
        reason = f"the policy {rule.id} would ask for {rule.quorum} approvers; the signer's register has {have}"
        raise VermilionError(Code.QUORUM_UNMEETABLE, reason)


def check_removal(office: Office, person: str) -> None:
    """QUORUM_UNMEETABLE when a policy in force could no longer be met without this person."""
    present = approvers(office.register.people())
    left = present - {person}
    with read(office.engine) as connection:
        rules = newest(store.rules(connection)).values()
    for rule in rules:
        if len(left) < rule.quorum <= len(present):
            reason = f"the policy {rule.id} asks for {rule.quorum} approvers; without {person} the signer's register has {len(left)}"
            raise VermilionError(Code.QUORUM_UNMEETABLE, reason)


def require_told(present: Collection[Rule], rule: Rule) -> None:
    """CONFLICT unless the version is the policy's newest and speaks of all that the one before spoke of.

    Whoever decides is told what the new version says. What it left out would change unsaid.
    """
    before = newest(present).get(rule.id)
    if before is None:
        return
    if before.version >= rule.version:
        raise VermilionError(Code.CONFLICT, f"the policy {rule.id} has a version {rule.version} or a later one")
    if rule.seal not in (None, before.seal) or rule.action not in (None, before.action):
        reason = f"the policy {rule.id} is about more than this version says; lower it where it stands, and add another policy for the rest"
        raise VermilionError(Code.CONFLICT, reason)


def perform(connection: Connection, form: Form, parameters: Mapping[str, Any], token: str, now: int) -> None:
    """Carries an approved policy out, in the transaction of its approval; refused when another took the version meanwhile."""
    rule = rule_of(parameters)
    try:
        require_told(store.rules(connection), rule)
        store.add_rule(connection, rule)
    except VermilionError as fault:
        events.note_performance(connection, form, token, now, fault)
        return
    events.record(connection, events.AUDIT, "policy.added", now, number=form.number, subject=f"{rule.id}@{rule.version}", by=form.number)
    events.note_performance(connection, form, token, now)
