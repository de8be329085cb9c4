"""What an act takes away, and so whose epoch it raises: nothing that the gate admitted before is committed after it. Pure.

It is read off the register before and after, not off the act, so that no change can be forgotten here: whatever makes the register
allow less than before is found, whichever act brought it about.
"""

from __future__ import annotations

from collections.abc import Iterator

from signer.register.model import UNTEMPLATED, EpochKind, Register, Seal


def raised_where_narrower(before: Register, after: Register) -> Register:
    """``after`` with a raised epoch for everything that allows less than before, unless the act itself has raised it."""
    for kind, subject in sorted(set(_narrower(before, after))):
        if after.epoch(kind, subject) == before.epoch(kind, subject):
            after = after.raised(kind, subject)
    return after


def _narrower(before: Register, after: Register) -> Iterator[tuple[EpochKind, str]]:
    for seal in before.seals.values():
        if _is_narrower_seal(seal, after.seals.get(seal.id)):
            yield "seal", seal.id
    for person in before.people.values():
        now = after.people.get(person.id)
        unchanged = now is not None and now.public_key == person.public_key and now.roles >= person.roles
        if not unchanged or (now is not None and person.active and not now.active):
            yield "person", person.id
    for kid, issuer in before.issuers.items():
        pinned = after.issuers.get(kid)
        if issuer.active and (pinned is None or not pinned.active):
            yield "issuer", kid
    for template in before.templates.values():
        registered = after.templates.get(template.id)
        if registered is None or not set(registered.fields) >= set(template.fields):
            yield "template", template.id
    yield from after.stopped - before.stopped
    if after.restored_at != before.restored_at:  # the restore ends all tokens issued before it, whoever issued them
        yield from (("issuer", kid) for kid in before.issuers)


def _is_narrower_seal(before: Seal, after: Seal | None) -> bool:
    """Whether ``before`` allowed something that ``after`` does not. A renewed certificate for the same key takes nothing away."""
    if after is None or (before.key_label, before.spki_sha256) != (after.key_label, after.spki_sha256):
        return True
    untemplated = (before.quorum.get(UNTEMPLATED, 0), after.quorum.get(UNTEMPLATED, 0))
    leasts = [(least, after.quorum.get(action)) for action, least in before.quorum.items() if action != UNTEMPLATED]
    return (
        (before.state == "active" and after.state != "active")
        or any(now is None or now > least for least, now in [*leasts, untemplated])
        or not set(before.pictures) <= set(after.pictures)
        or (before.content_policy != "strict" and after.content_policy == "strict")
        or before.certifies != after.certifies  # what uses under a grant have to keep to
    )
