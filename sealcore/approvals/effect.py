"""What an approval would bring about, in words and as data: computed from what is signed, never from a form's title.

Who decides computes it from the very ``DecisionContext`` that they then sign. ``Known`` is the signer's register as far as the
reader knows it; it gives old values beside the new ones, and a reader without it sees the new ones alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from sealcore.approvals.act_effects import of_act
from sealcore.approvals.covers import GrantCovers, ManifestCovers
from sealcore.approvals.decision import DecisionContext
from sealcore.approvals.known import CERTIFICATIONS, UNTEMPLATED, Effect, Fact, Known
from sealcore.approvals.leaf import Mark, Placement
from sealcore.approvals.manifest import DocumentEntry, Manifest
from sealcore.errors import Code, VermilionError


def of(context: DecisionContext, known: Known, documents: Sequence[tuple[DocumentEntry, bytes]] = ()) -> Effect:
    """The effect of a request.

    documents   of a manifest, each with its salt; PROOF_INVALID unless they add up to the very root that is signed

    Raises EFFECT_UNKNOWN for an act that there are no words for: nobody should sign what nobody can tell them.
    """
    match context.covers:
        case ManifestCovers():
            return of_manifest(context, _require_root(context.covers, documents), known)
        case GrantCovers():
            return _grant(context, context.covers, known)
        case act:
            return of_act(context, act.parameters, known)


def of_manifest(context: DecisionContext, entries: Sequence[DocumentEntry], known: Known) -> Effect:
    """The effect of sealing these documents, which the caller has found to be those under the root."""
    count = "one document" if len(entries) == 1 else f"{len(entries):,} documents"
    facts = [Fact("documents", None, len(entries), f"{count}, {sum(entry.size_bytes for entry in entries):,} bytes")]
    for placement, times in Counter(entry.placement for entry in entries).items():
        facts.append(Fact("placement", None, times, f"{times:,} of them: {placement_words(placement)}"))
    return Effect("manifest", f"Seals exactly {count} with the seal {known.seal(context.seal)}, for {context.sub}.", tuple(facts))


def _require_root(covers: ManifestCovers, documents: Sequence[tuple[DocumentEntry, bytes]]) -> list[DocumentEntry]:
    entries = [entry for entry, _ in documents]
    if not entries or Manifest.build(entries, salts=[salt for _, salt in documents]).covers != covers:
        reason = "the documents that are shown do not add up to what would be signed; do not approve this form"
        raise VermilionError(Code.PROOF_INVALID, reason)
    return entries


def placement_words(placement: Placement) -> str:
    """How a document is sealed, in words."""
    texts = [f"{name} “{value}”" for name, value in placement.texts.as_map().items()]
    marks = [_mark(mark) for mark in placement.marks] or ["no visible mark"]
    return "; ".join([CERTIFICATIONS[placement.certification], *marks, *texts])


def _mark(mark: Mark) -> str:
    pages = ", ".join(str(page + 1) for page in mark.pages[:8]) + (f" and {len(mark.pages) - 8} more" if len(mark.pages) > 8 else "")
    x0, y0, x1, y1 = (round(value / 1000) for value in mark.rectangle.as_list())
    return f"{mark.kind} mark on page {pages} at [{x0} {y0} {x1} {y1}], picture {mark.picture_sha256.hex()[:16]}…"


def _grant(context: DecisionContext, covers: GrantCovers, known: Known) -> Effect:
    until = when(min(covers.expires, context.exp))
    facts = [
        Fact("uses", None, covers.most_uses, f"up to {covers.most_uses:,} documents, which nobody looks at one by one"),
        Fact("until", None, until, f"until {until}"),
    ]
    seal = known.seals.get(context.seal)
    if seal is not None and seal.certification is not None:
        words = (
            f"{CERTIFICATIONS[seal.certification]}, as the seal is registered; a document that carries a signature already is not certified"
        )
        facts.append(Fact("certification", None, seal.certification.word, words))
    if covers.template is not None:
        facts.append(Fact("template", None, covers.template, f"only on the registered template {covers.template[:16]}…"))
        return Effect("grant", _granted(context, known, "on a registered template"), tuple(facts))
    facts.append(Fact("template", None, "none", "no template: any document at all"))
    if seal is not None:
        tier = max(seal.quorum.get("seal", 0), seal.quorum.get(UNTEMPLATED, 0))
        facts.append(Fact("tier", None, tier, f"the higher tier, since there is no template: {tier} persons must approve"))
    return Effect("grant", _granted(context, known, "without a template: any document at all"), tuple(facts))


def _granted(context: DecisionContext, known: Known, how: str) -> str:
    return f"Lets {context.sub} use the seal {known.seal(context.seal)} by itself, {how}."


def when(time: int) -> str:
    """A NumericDate for people."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{time} seconds after 1970"
