"""Policies: an operator raises what is asked; asking less takes an act of the register's own quorum (`register`, `policy_add`).

The signer's register remains the floor below all of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection

from sealcore.errors import Code, VermilionError
from sealcore.platform.db import read, write
from sealcore.protocol import actions
from sealcore.protocol.canonical import is_integer, is_uuid7, require
from workflow.delivery import events
from workflow.delivery.signer_link import Register, RegisteredPerson
from workflow.forms.model import Form
from workflow.forms.quorum import approvers
from workflow.office import Office
from workflow.policies import store as policy_store
from workflow.policies.model import Policy, governing, newest

POLICY_ADD: Final = "policy_add"
_ID: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_ANOTHER: Final = ""  # a seal or an action that no policy names
_RULE: Final = "An operator adds no policy that asks less than those in force: people approve it (an act `register`, `policy_add`)."


def add(office: Office, by: str, policy: Policy) -> Policy:
    """Adds a version of a policy that asks no less than those in force, and no more than can be met.

    Forms that are open keep the version they were submitted under. Raises CONFLICT when the version is there,
    PERMISSION_DENIED when it asks less than those in force, QUORUM_UNMEETABLE, and what ``require_applies`` does.
    """
    require_applies(policy, office.register)
    people, now = office.register.people(), office.now()
    with write(office.engine) as connection:
        _add_by_operator(connection, policy, people)
        events.record(connection, events.AUDIT, "policy.added", now, subject=f"{policy.id}@{policy.version}", by=by)
    return policy


def listing(office: Office) -> list[Policy]:
    """All versions of all policies."""
    with read(office.engine) as connection:
        return policy_store.policies(connection)


def _add_by_operator(connection: Connection, policy: Policy, people: Mapping[str, RegisteredPerson]) -> None:
    if (less := lowered(policy_store.policies(connection, lock=True), policy)) is not None:
        seal, action = less
        about = f"{action or 'other actions'} with {seal or 'other seals'}"
        raise VermilionError(Code.PERMISSION_DENIED, f"{policy.id} version {policy.version} would ask less for {about}", rule=_RULE)
    require_meetable(policy, people)
    policy_store.add(connection, policy)


def lowered(present: Collection[Policy], added: Policy) -> tuple[str, str] | None:
    """A seal and an action for which fewer persons would be asked with ``added`` than without; None when there are none.

    A version that is newer and narrower lowers too: what it no longer speaks of, the one before did.
    """
    after = [*present, added]
    for seal in {_ANOTHER, *(policy.seal for policy in after if policy.seal is not None)}:
        for action in {_ANOTHER, *(policy.action for policy in after if policy.action is not None)}:
            if governing(after, seal, action).quorum < governing(present, seal, action).quorum:
                return seal, action
    return None


def policy_of(parameters: Mapping[str, Any]) -> Policy:
    """The policy that an act asks for: `id`, `version`, `quorum`, and `seal` and `action` ("" for any); INVALID_ARGUMENT."""
    require(parameters.keys() == {"change", "id", "version", "quorum", "seal", "action"}, "a policy is id, version, quorum, seal, action")
    identifier, version, quorum, seal, action = (parameters[name] for name in ("id", "version", "quorum", "seal", "action"))
    require(isinstance(identifier, str) and _ID.fullmatch(identifier) is not None, "a policy's id is lower-case letters, digits, hyphens")
    require(is_integer(version, 1, 2**31 - 1) and is_integer(quorum, 0, 64), "version and quorum are whole numbers")
    require(seal == "" or (isinstance(seal, str) and is_uuid7(seal)), "a policy is for one seal, by its id, or for any")
    known = actions.ACTS | {actions.SEAL}
    reason = f"a policy is for any action of a form, or for one of {', '.join(sorted(known))}"
    require(action == "" or action in known, reason, Code.ACTION_UNKNOWN)
    return Policy(identifier, version, quorum, seal or None, action or None)


def check(office: Office, parameters: Mapping[str, Any]) -> None:
    """Raises what ``perform`` would refuse this policy for, were it approved now, and QUORUM_UNMEETABLE; changes nothing."""
    policy = policy_of(parameters)
    require_applies(policy, office.register)
    require_meetable(policy, office.register.people())
    with read(office.engine) as connection:
        present = policy_store.policies(connection)
    require_told(present, policy)
    if (before := newest(present).get(policy.id)) is not None and replace(before, version=policy.version) == policy:
        raise VermilionError(Code.CONFLICT, f"the policy {policy.id} says so already; the act would change nothing")


def require_applies(policy: Policy, register: Register) -> None:
    """Refuses a policy under which no form could ever come: SEAL_UNKNOWN, SEAL_RETIRED, and ACTION_UNKNOWN for what is done with no seal."""
    if policy.seal is None:
        return
    if policy.action is not None and policy.action not in actions.WITH_SEALS:
        reason = f"{policy.action!r} names no seal, so a policy for it names none; with a seal go {', '.join(sorted(actions.WITH_SEALS))}"
        raise VermilionError(Code.ACTION_UNKNOWN, reason)
    if register.seal(policy.seal).state == "retired" and policy.action not in (None, actions.REVOKE):
        raise VermilionError(Code.SEAL_RETIRED, f"the seal {policy.seal} is retired; it never seals again")


def require_meetable(policy: Policy, people: Mapping[str, RegisteredPerson]) -> None:
    """QUORUM_UNMEETABLE when a policy asks for more approvers than there are: nothing could lower it again, since that takes approvals."""
    if policy.quorum > (have := len(approvers(people))):
        reason = f"the policy {policy.id} would ask for {policy.quorum} approvers; the signer's register has {have}"
        raise VermilionError(Code.QUORUM_UNMEETABLE, reason)


def check_removal(office: Office, person: str) -> None:
    """QUORUM_UNMEETABLE when a policy in force could no longer be met without this person."""
    present = approvers(office.register.people())
    left = present - {person}
    with read(office.engine) as connection:
        in_force = newest(policy_store.policies(connection)).values()
    for policy in in_force:
        if len(left) < policy.quorum <= len(present):
            reason = f"the policy {policy.id} asks for {policy.quorum} approvers; without {person} the signer's register has {len(left)}"
            raise VermilionError(Code.QUORUM_UNMEETABLE, reason)


def require_told(present: Collection[Policy], policy: Policy) -> None:
    """CONFLICT unless the version is the policy's newest and speaks of all that the one before spoke of.

    Whoever decides is told what the new version says. What it left out would change unsaid.
    """
    before = newest(present).get(policy.id)
    if before is None:
        return
    if before.version >= policy.version:
        raise VermilionError(Code.CONFLICT, f"the policy {policy.id} has a version {policy.version} or a later one")
    if policy.seal not in (None, before.seal) or policy.action not in (None, before.action):
        reason = (
            f"the policy {policy.id} is about more than this version says; lower it where it stands, and add another policy for the rest"
        )
        raise VermilionError(Code.CONFLICT, reason)


def perform(connection: Connection, form: Form, parameters: Mapping[str, Any], token: str, now: int) -> None:
    """Carries an approved policy out, in the transaction of its approval; refused when another took the version meanwhile."""
    policy = policy_of(parameters)
    try:
        require_told(policy_store.policies(connection), policy)
        policy_store.add(connection, policy)
    except VermilionError as fault:
        events.note_performance(connection, form, token, now, fault)
        return
    events.record(
        connection, events.AUDIT, "policy.added", now, number=form.number, subject=f"{policy.id}@{policy.version}", by=form.number
    )
    events.note_performance(connection, form, token, now)
