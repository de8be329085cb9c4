"""The texts of verification, in each language under the same stable keys (``messages/*.toml``), and the one-sentence answer."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from importlib.resources import files
from string import Formatter

from verify.codes import FindingCode, Weight
from verify.facts import Fact, fact
from verify.report import Authorised, AuthorisedState, Change, Changed, Finding, Seal, SealKind, Verdict
from verify.summary import ours, overall_change

LANGUAGES = ("en", "zh")
DEFAULT_LANGUAGE = "en"
MOST_LEVELS = 3  # of facts within facts


@lru_cache(maxsize=len(LANGUAGES))
def messages(language: str) -> dict[str, dict[str, str]]:
    """All texts of a language by section and key."""
    if language not in LANGUAGES:
        raise ValueError(f"there are no texts in {language}")
    return tomllib.loads(files("verify").joinpath("messages", f"{language}.toml").read_text("utf-8"))


def text(language: str, section: str, key: str, **values: object) -> str:
    """One text with its values filled in."""
    return messages(language)[section][key].format(**values)


def way_out(language: str, code: FindingCode) -> str:
    """What the reader can do about a finding; empty when there is nothing to do."""
    return messages(language)["way"].get(code, "")


def refusal(language: str, code: str, **values: object) -> tuple[str, str]:
    """Why the page took no file, and what can be done."""
    key = code if code in messages(language)["refused"] else "OTHER"
    return text(language, "refused", key, **values), text(language, "refused_way", key)


def chosen(wanted: str | None, accept_language: str) -> str:
    """The language of an answer: the one asked for, else the first of Accept-Language that we have, else English."""
    candidates = [wanted or "", *(part.split(";")[0].strip() for part in accept_language.split(",")[:20])]
    return next((primary for each in candidates if (primary := each.lower().split("-")[0]) in LANGUAGES), DEFAULT_LANGUAGE)


def shown(moment: str | None) -> str:
    """A time of the report for people: ISO date, minutes, zone."""
    return "" if moment is None else datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M UTC")


def with_sentences(found: Sequence[Finding], language: str, kind: SealKind = SealKind.SEAL) -> tuple[Finding, ...]:
    """The findings about the document or one of its signatures, each with its sentence."""
    sentences = messages(language)["finding"]
    if kind is not SealKind.SEAL:
        sentences = sentences | messages(language)["finding_of_others"]
    return tuple(replace(each, sentence=_capital(sentences[each.code]), detail=detail(each.facts, language)) for each in found)


def detail(facts: Sequence[Fact], language: str) -> str:
    """What a finding is about, in words."""
    return ("；" if language == "zh" else "; ").join(dict.fromkeys(_said(each, language) for each in facts))


def _said(fact: Fact, language: str) -> str:
    values = {name: _said(each, language) if isinstance(each, Fact) else each for name, each in fact.values.items()}
    return text(language, "fact", fact.key, **values)


def known_facts(facts: Iterable[Fact]) -> list[Fact]:
    """Facts from a process that reads strangers' bytes: those of the catalogue with just the values that they take, made fit to be shown."""
    return [_fit(each) for each in facts if _is_known(each, MOST_LEVELS)]


def _fit(found: Fact) -> Fact:
    return fact(found.key, **{name: _fit(each) if isinstance(each, Fact) else each for name, each in found.values.items()})


def _is_known(found: Fact, levels: int) -> bool:
    wanted = messages(DEFAULT_LANGUAGE)["fact"].get(found.key)
    if wanted is None or levels == 0 or found.values.keys() != {name for _, name, _, _ in Formatter().parse(wanted) if name}:
        return False
    return all(_is_known(each, levels - 1) for each in found.values.values() if isinstance(each, Fact))


def titles(seals: Sequence[Seal], language: str) -> list[str]:
    """What each signature of a document is called: whose it is, and its name."""
    found, number = [], 0
    for seal in seals:
        number += seal.kind is SealKind.SEAL
        kind = text(language, "page", str(seal.kind), number=number)
        found.append(" · ".join(filter(None, (kind, seal.name or seal.owner or seal.field))))
    return found


def who(seal: Seal, language: str) -> str:
    """Owner and seal: ``Example Ltd (Contract Seal)``."""
    if not seal.name or seal.name == seal.owner:
        return seal.owner
    return f"{seal.owner}（{seal.name}）" if language == "zh" else f"{seal.owner} ({seal.name})"


def kinds(changed: Changed, language: str) -> str:
    """The kinds of change, in words."""
    return ("、" if language == "zh" else ", ").join(text(language, "kind", each) for each in changed.kinds)


def answer(verdict: Verdict, seals: Sequence[Seal], deciding: Sequence[Finding], language: str) -> str:
    """The one sentence: who, when, what since, authorised by what; or the reason why not."""
    if verdict is Verdict.VALID:
        return ("" if language == "zh" else " ").join(_valid(seals, language))
    weight = Weight(verdict)
    reason = next(text(language, "finding", each.code) for each in deciding if each.weight is weight)
    return text(language, "sentence", verdict, reason=reason)


def _valid(seals: Sequence[Seal], language: str) -> list[str]:
    own = ours(seals)
    last, changed = own[-1], overall_change(own)
    key = "valid_one" if len(own) == 1 else "valid_many"
    return [
        text(language, "sentence", key, owner=who(last, language), date=shown(last.sealed_at), count=len(own)),
        text(language, "sentence", "unchanged")
        if changed.state is Change.NONE
        else text(language, "sentence", "permitted", kinds=kinds(changed, language)),
        _authorised(last.authorised, language),
    ]


def _authorised(found: Authorised, language: str) -> str:
    if found.state is not AuthorisedState.AUTHORISED:
        return text(language, "sentence", "not_asked")
    if found.form is not None:
        return text(language, "sentence", "authorised_form", form=found.form)
    return text(language, "sentence", "authorised_entry", index=found.ledger_index)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
