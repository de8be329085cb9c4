"""Policies, and which of them governs a form. No database, no network."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sealcore.protocol import decision


@dataclass(frozen=True)
class Policy:
    """A version of a policy: the least number of approvers for a seal and action (None: any). It raises the register's, never lowers it."""

    id: str
    version: int
    quorum: int
    seal: str | None = None
    action: str | None = None

    def applied(self, least: int) -> decision.Policy:
        """The policy as a form is decided under it; ``least`` is the register's rule, which it never lowers."""
        return decision.Policy(self.id, self.version, max(self.quorum, least))


def newest(policies: Collection[Policy]) -> dict[str, Policy]:
    """The newest version of each policy, by id."""
    found: dict[str, Policy] = {}
    for policy in policies:
        if policy.id not in found or policy.version > found[policy.id].version:
            found[policy.id] = policy
    return found


def governing(policies: Collection[Policy], seal: str, action: str) -> Policy:
    """The policy that governs a form: the strictest among the newest versions of those that apply."""
    applying = [policy for policy in newest(policies).values() if policy.seal in (None, seal) and policy.action in (None, action)]
    return max(applying, key=lambda policy: (policy.quorum, policy.seal is not None, policy.id), default=STANDARD)


STANDARD = Policy("standard", 1, 0)
