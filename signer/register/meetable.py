"""Whether the register can still be governed after an act, and each seal by its own people alone. Pure.

Asked of every new act and of the seed, not when recorded acts are replayed: what a quorum once ordered stays explained by its acts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sealcore.errors import Code, VermilionError
from sealcore.protocol.actions import WITH_SEALS
from signer.register.model import UNTEMPLATED, Register, Seal

_KNOWN = WITH_SEALS | {UNTEMPLATED}
_FAST = frozenset({"seal", UNTEMPLATED})
_KEYS = "A seal's key is its own: what guards and stops the seal guards and stops its key."
_PERSONS = "Only documents are sealed on the workflow's word alone; an act takes at least one person."


def require_meetable(before: Register, after: Register) -> None:
    """QUORUM_UNMEETABLE when an act leaves a quorum with fewer approvers than it asks for, or the office without officer or issuer.

    ACTION_UNKNOWN for a rule that would open nothing, INVALID_ARGUMENT for one that asks nobody.
    A quorum that could not be met before either may stay as it is, so that a register is mended in several steps; it gets no worse.
    """
    _require_persons(before, after)
    _require_carried_out(before, after)
    lacked = _lacking(before)
    for what, lacking in _lacking(after).items():
        if lacking > max(0, lacked.get(what, 0)):
            have = _active(after, "approver")
            raise VermilionError(Code.QUORUM_UNMEETABLE, f"{what} would ask for {have + lacking} approvers; the register has {have}")
    if _active(before, "officer") and not _active(after, "officer"):
        raise VermilionError(Code.QUORUM_UNMEETABLE, "no officer would be left who can stop a seal")
    if _issuers(before) and not _issuers(after):
        raise VermilionError(Code.QUORUM_UNMEETABLE, "no approval issuer would be left; nothing could be approved any more")
    _require_own_keys(before, after)


def require_person(people: Sequence[str]) -> None:
    """QUORUM_NOT_MET for an act that nobody approved: only sealing may rest on the workflow's approval alone."""
    if not people:
        raise VermilionError(Code.QUORUM_NOT_MET, "nobody approved this act; the workflow alone approves no act", rule=_PERSONS)


def _require_carried_out(before: Register, after: Register) -> None:
    """ACTION_UNKNOWN for a new rule about what no office does with a seal: people would approve it as a safeguard, and it would be none.

    One that is there may stay as it is, or go.
    """
    for seal in after.seals.values():
        was = before.seals.get(seal.id)
        new = {action for action, least in seal.quorum.items() if was is None or was.quorum.get(action) != least}
        if unknown := sorted(new - _KNOWN):
            raise VermilionError(
                Code.ACTION_UNKNOWN, f"no office does {unknown[0]!r} with a seal; a quorum is for one of {', '.join(sorted(_KNOWN))}"
            )
        if _opens_nothing(seal) and (was is None or not _opens_nothing(was)):
            raise VermilionError(Code.ACTION_UNKNOWN, f"without a quorum for 'seal', one for {UNTEMPLATED!r} opens nothing")


def _opens_nothing(seal: Seal) -> bool:
    return UNTEMPLATED in seal.quorum and "seal" not in seal.quorum


def _require_persons(before: Register, after: Register) -> None:
    """INVALID_ARGUMENT for a rule that would let anything but sealing happen without an approver."""
    for seal in after.seals.values():
        was = before.seals.get(seal.id)
        for action, least in seal.quorum.items():
            unasked = least == 0 and action not in _FAST
            if unasked and (was is None or was.quorum.get(action) != 0):
                raise VermilionError(Code.INVALID_ARGUMENT, f"{action!r} with the seal {seal.id} takes one person at least", rule=_PERSONS)


def _require_own_keys(before: Register, after: Register) -> None:
    """CONFLICT for a new seal with the key of another, retired ones included.

    It would seal under rules of its own what the other one's people guard, go on when that one is stopped, and bring a retired key back.
    """
    held = {seal.spki_sha256: seal.id for seal in before.seals.values()}
    for seal in after.seals.values():
        # Only new seals are judged: an office from before this rule may have two seals on one key,
        # and must come up.
        if seal.id not in before.seals and (owner := held.get(seal.spki_sha256)) is not None:
            raise VermilionError(
                Code.CONFLICT, f"the seal {owner} has this key; a key has one seal, and a new seal takes a new key", rule=_KEYS
            )
        held[seal.spki_sha256] = seal.id


def _lacking(register: Register) -> Mapping[str, int]:
    """For each quorum, how many approvers are missing; negative when there are more than enough."""
    if not register.office:  # the register before the seed has no quorums, so the seed must meet all of its own
        return {}
    have = _active(register, "approver")
    rules = {
        f"{action!r} with the seal {seal.id}": least
        for seal in register.seals.values()
        if seal.state != "retired"
        for action, least in seal.quorum.items()
    }
    return {what: least - have for what, least in ({"a change of the register": register.register_quorum} | rules).items()}


def _active(register: Register, role: str) -> int:
    return sum(person.active and role in person.roles for person in register.people.values())


def _issuers(register: Register) -> int:
    return sum(issuer.active for issuer in register.issuers.values())
