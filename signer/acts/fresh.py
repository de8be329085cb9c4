"""Whether an act is carried out in the state in which it was approved. Pure.

Whoever relays approvals can also delay them. An approval to resume a seal is about the stop of that time, not about one that an officer
orders a week later; and new rules for a seal, which replace the old ones in full, were shown beside the rules of that time.

Required of every new act, not when recorded acts are replayed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sealcore.errors import Code, VermilionError
from signer.register.model import Register

MICROSECONDS = 1_000_000
_RULE = "An act is carried out in the state that its approvers were shown; what has changed since is looked at again."


def require_fresh(before: Register, after: Register, approved_since: int) -> None:
    """CONFLICT when something that the act changes was changed by another act since the first approval (NumericDate) was given."""
    for kind, subject in what_differs(before, after):
        changed_us = before.touched.get((kind, subject))
        if changed_us is not None and changed_us // MICROSECONDS > approved_since:
            what = f"the {kind} {subject}" if subject else "the register's own rule"
            reason = f"{what} was changed by another act after this one was approved: withdraw the form, look again, and apply anew"
            raise VermilionError(Code.CONFLICT, reason, rule=_RULE)


def what_differs(before: Register, after: Register) -> Iterator[tuple[str, str]]:
    """Kind and id of everything that an act changes; another stop of something stopped is a change, too."""
    held: Sequence[tuple[str, Mapping[str, object], Mapping[str, object]]] = (
        ("person", before.people, after.people),
        ("issuer", before.issuers, after.issuers),
        ("seal", before.seals, after.seals),
        ("template", before.templates, after.templates),
    )
    for kind, old, new in held:
        if old is not new:
            yield from ((kind, one) for one in old.keys() | new.keys() if new.get(one) != old.get(one))
    yield from before.stopped ^ after.stopped
    if before.epochs is not after.epochs:
        yield from (key for key, epoch in after.epochs.items() if epoch != before.epoch(*key))
    if before.register_quorum != after.register_quorum:
        yield "office", ""
