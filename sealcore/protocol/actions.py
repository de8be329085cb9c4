"""The actions that people approve, in one table: who carries each out, and whether it is about a seal. Pure; see docs/protocol.md, "Approval token".

Whatever lists actions (decisions, the gates of signer and CA, the workflow's forms and policies) asks this table, so that a new action
is one entry here and a kind of form in the workflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Performer(StrEnum):
    """Who carries an approved action out."""

    SEALING = "sealing"  # the signer, at each use of the token by the client that it names
    SIGNER = "signer"  # the signer, once: the workflow hands the act on
    CA = "ca"  # the CA, once: likewise
    NOBODY = "nobody"  # an approval may name it, but nothing carries it out by a token (a stop is an officer's own order)


class Names(StrEnum):
    """Whether an act names a seal."""

    SEAL = "seal"
    NONE = "none"
    EITHER = "either"  # a certificate may be a seal's or another's


@dataclass(frozen=True)
class ActionKind:
    """An action of the protocol."""

    name: str
    performer: Performer
    names: Names

    @property
    def is_act(self) -> bool:
        """Whether it is carried out once, when it is approved, rather than at each use of a token."""
        return self.performer in (Performer.SIGNER, Performer.CA)


SEAL: Final = "seal"
RESUME: Final = "resume"
REGISTER: Final = "register"
REVOKE: Final = "revoke"
CREATE: Final = "create"

KINDS: Final[Mapping[str, ActionKind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            ActionKind(SEAL, Performer.SEALING, Names.SEAL),
            ActionKind(RESUME, Performer.SIGNER, Names.SEAL),
            ActionKind(REGISTER, Performer.SIGNER, Names.NONE),
            ActionKind(REVOKE, Performer.CA, Names.EITHER),
            ActionKind(CREATE, Performer.CA, Names.NONE),
            ActionKind("suspend", Performer.NOBODY, Names.SEAL),
            ActionKind("replace", Performer.NOBODY, Names.EITHER),
            ActionKind("destroy", Performer.NOBODY, Names.EITHER),
            ActionKind("rotate", Performer.NOBODY, Names.EITHER),
            ActionKind("unlock", Performer.NOBODY, Names.EITHER),
        )
    }
)

ACTIONS: Final = frozenset(KINDS)
"""Every action that an approval may name."""


def performed_by(performer: Performer) -> frozenset[str]:
    """The actions that ``performer`` carries out."""
    return frozenset(kind.name for kind in KINDS.values() if kind.performer is performer)


WITH_SEALS: Final = frozenset(
    kind.name for kind in KINDS.values() if kind.names is not Names.NONE and kind.performer is not Performer.NOBODY
)
"""What an office does with a seal on its people's word: a quorum or a policy for anything else with one would open nothing."""

ACTS: Final = performed_by(Performer.SIGNER) | performed_by(Performer.CA)
"""Actions that are carried out once, when they are approved."""
