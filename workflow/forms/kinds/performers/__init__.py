"""Who carries an approved act out: the signer, the CA, or the workflow itself. One module each, and one entry of ``PERFORMERS``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sealcore.errors import Code, VermilionError
from sealcore.protocol import actions
from sealcore.protocol.covers import ActCovers
from workflow.forms.kinds.performers.ca import CaActs
from workflow.forms.kinds.performers.performer import Performer
from workflow.forms.kinds.performers.policies import PolicyActs, asks_for_policy
from workflow.forms.kinds.performers.signer import SignerActs

PERFORMERS: Final[tuple[tuple[Callable[[str, ActCovers], bool], Performer], ...]] = (
    (asks_for_policy, PolicyActs()),
    (lambda action, _: action in actions.performed_by(actions.Performer.CA), CaActs()),
    (lambda action, _: action in actions.performed_by(actions.Performer.SIGNER), SignerActs()),
)
"""The first whose condition holds carries an act out."""


def performer_of(action: str, covers: ActCovers) -> Performer:
    """Who carries this act out; ACTION_MISMATCH when nobody does."""
    for concerns, performer in PERFORMERS:
        if concerns(action, covers):
            return performer
    raise VermilionError(Code.ACTION_MISMATCH, f"nobody carries out the action {action[:40]!r}")
