"""What an approval would bring about, in words and as data: computed from what is signed, never from a form's title.

Who decides computes it from the very ``DecisionContext`` that they then sign. ``Known`` is the signer's register as far as the
reader knows it; it gives old values beside the new ones, and a reader without it sees the new ones alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from sealcore.errors import Code, VermilionError
from sealcore.protocol.act_effects import of_act
from sealcore.protocol.covers import GrantCovers, ManifestCovers
from sealcore.protocol.decision import DecisionContext
from sealcore.protocol.effect_model import CERTIFICATIONS, UNTEMPLATED, Effect, Fact, Known
from sealcore.protocol.leaf import Mark, Placement
from sealcore.protocol.manifest import DocumentEntry, Manifest


def of(context: DecisionContext, known: Known, documents: Sequence[tuple[DocumentEntry, bytes]] = ()) -> Effect:
    """The effect of a request.

    documents   of a manifest, each with its salt; PROOF_INVALID unless they add up to the very root that is signed

    Raises EFFECT_UNKNOWN for an act that there are no words for: nobody should sign what nobody can tell them.
    """
    match context.covers:
        case ManifestCovers():
            return of_manifest(context, _require_root(context.covers, documents), known)
        case GrantCovers():
            return _of_request(_grant(context, context.covers, known), context)
        case act:
            return _of_request(of_act(context, act.parameters, known), context)


def _of_request(one: Effect, context: DecisionContext) -> Effect:
    """The effect with what is the same for all kinds: for whom the approval is, when it counts, and what was asked for."""
    policy = context.policy
    asked = (
        f"{policy.quorum} persons are asked for by the policy {policy.id}, version {policy.version}; the signer's register may ask for more"
    )
    facts = (
        Fact("form", None, context.form, f"form {context.form} ({context.jti}), handed over by {context.sub} to {context.aud}"),
        Fact("term", None, context.exp, f"the approval counts from {when(context.nbf)} until {when(context.exp)}"),
        Fact("persons", None, policy.quorum, asked),
    )
    return Effect(one.kind, one.words, (*one.facts, *facts))


def of_manifest(context: DecisionContext, entries: Sequence[DocumentEntry], known: Known) -> Effect:
    """The effect of sealing these documents, which the caller has found to be those under the root."""
    count = "one document" if len(entries) == 1 else f"{len(entries):,} documents"
    facts = [Fact("documents", None, len(entries), f"{count}, {sum(entry.size_bytes for entry in entries):,} bytes")]
    for placement, times in Counter(entry.placement for entry in entries).items():
        facts.append(Fact("placement", None, times, f"{times:,} of them: {placement_words(placement)}"))
    if isinstance(context.covers, ManifestCovers):
        facts.append(Fact("root", None, context.covers.root.hex(), f"all of them together are the root {context.covers.root.hex()}"))
    words = f"Seals exactly {count} with the seal {known.seal(context.seal)}, for {context.sub}."
    return _of_request(Effect("manifest", words, tuple(facts)), context)


def _require_root(covers: ManifestCovers, documents: Sequence[tuple[DocumentEntry, bytes]]) -> list[DocumentEntry]:
    entries = [entry for entry, _ in documents]
    # From the files at hand, never from a root that a service sends: this is what closes a
    # workflow that shows one document and has another signed.
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
    box = " ".join(f"{value / 1000:.3f}".rstrip("0").rstrip(".") for value in mark.rectangle.as_list())
    return f"{mark.kind} mark on page {_pages(mark.pages)} at [{box}], picture {mark.picture_sha256.hex()}"


def _pages(pages: Sequence[int]) -> str:
    """Page numbers as people count, in full, with runs of neighbours as ranges."""
    runs: list[list[int]] = []
    for page in pages:
        if runs and page == runs[-1][1] + 1:
            runs[-1][1] = page
        else:
            runs.append([page, page])
    return ", ".join(f"{first + 1}" if first == last else f"{first + 1}–{last + 1}" for first, last in runs)


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
        facts.append(Fact("template", None, covers.template, f"only on the registered template {covers.template}"))
        return Effect("grant", _granted(context, known, "on a registered template"), tuple(facts))
    facts.append(Fact("template", None, "none", "no template: any document at all"))
    if seal is not None:
        # As the gate computes it (``Register.least_persons``).
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
