"""What the page says of one document: verdict card, three rows, then details. Values only; the template makes HTML of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verify import catalogue
from verify.codes import REGISTRY, Row, Weight, heaviest
from verify.report import Answer, AuthorisedState, Change, Finding, Report, Seal, SealKind, Verdict
from verify.summary import Summary, summarise

_UNBROKEN = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d UTC|[A-Z0-9]+-\d{4}-\d{6})")
_TONE = {Verdict.VALID: "good", Verdict.INVALID: "bad", Verdict.UNDETERMINED: "warn", Verdict.UNREADABLE: "unknown"}
_ANSWER_TONE = {Answer.YES: "good", Answer.NO: "bad", Answer.UNKNOWN: "unknown"}
_CHANGE_TONE = {Change.NONE: "good", Change.PERMITTED: "warn", Change.FORBIDDEN: "bad", Change.UNKNOWN: "unknown"}
_AUTHORISED_TONE = {
    AuthorisedState.AUTHORISED: "good",
    AuthorisedState.NOT_AUTHORISED: "bad",
    AuthorisedState.UNDETERMINED: "unknown",
    AuthorisedState.NOT_ASKED: "unknown",
}

Pieces = list[tuple[str, bool]]
"""A sentence in pieces, each with whether it stays on one line."""


@dataclass(frozen=True)
class ShownRow:
    """One of the three answers; ``key`` names its question."""

    key: str
    tone: str
    answer: Pieces
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Fact:
    """A line of a signature's details: plain text, and what is copied rather than read."""

    key: str
    text: str = ""
    code: str = ""


@dataclass(frozen=True)
class Tile:
    """One signature. ``verdict`` is of a seal of ours alone; ``findings`` only where the rows above have not said them."""

    title: str
    verdict: str
    tone: str
    findings: Sequence[Finding]
    facts: Sequence[Fact]
    technical: Sequence[Fact]


def shown_result(report: Report, language: str) -> dict[str, Any]:
    """What the template ``result.html`` takes."""
    summary = summarise(report)
    titles = catalogue.titles(report.seals, language)
    return {
        "report": report,
        "tone": _TONE[report.verdict],
        "answer": _pieces(report.sentence if report.verdict is Verdict.VALID else _deciding(report).sentence),
        "size": _size(report.size_bytes, language),
        "verified_at": catalogue.shown(report.verified_at),
        "way": _way(report, language),
        "rows": _rows(summary, language) if summary is not None else [],
        "notes": [each for each in report.findings if REGISTRY[each.code].weight is Weight.NOTE or each.detail],
        "tiles": [_tile(report, seal, title, language) for seal, title in zip(report.seals, titles, strict=True)],
    }


def _pieces(sentence: str) -> Pieces:
    return [(piece, at % 2 == 1) for at, piece in enumerate(_UNBROKEN.split(sentence)) if piece]


def _deciding(report: Report) -> Finding:
    own = [each for seal in report.seals if seal.kind is SealKind.SEAL for each in seal.findings]
    return next(each for each in (*report.findings, *own) if each.weight is Weight(report.verdict))


def _way(report: Report, language: str) -> dict[str, str] | None:
    """What to do about the finding that decided."""
    if report.verdict is Verdict.VALID:
        return None
    code = _deciding(report).code
    return {"text": catalogue.way_out(language, code), "code": str(code)}


def _rows(summary: Summary, language: str) -> list[ShownRow]:
    def row(key: str, tone: str, findings: Sequence[Finding], answer: str, **values: object) -> ShownRow:
        return ShownRow(key, tone, _pieces(catalogue.text(language, "row", answer, **values)), findings)

    changed, authorised = summary.changed, summary.last.authorised
    key = f"authorised_{summary.authorised}"
    if summary.authorised is AuthorisedState.AUTHORISED and authorised.form is not None:
        key += "_form"
    decided = [each for each in summary.findings[Row.AUTHORISED] if each.weight is not Weight.NOTE]
    return [
        row("valid", _ANSWER_TONE[summary.valid], summary.findings[Row.VALID], f"valid_{summary.valid}"),
        row(
            "changed",
            _CHANGE_TONE[changed.state],
            summary.findings[Row.CHANGED],
            f"changed_{changed.state}",
            kinds=catalogue.kinds(changed, language),
        ),
        row("authorised", _AUTHORISED_TONE[summary.authorised], decided, key, form=authorised.form, index=authorised.ledger_index),
    ]


def _tile(report: Report, seal: Seal, title: str, language: str) -> Tile:
    ours = seal.kind is SealKind.SEAL
    weight = heaviest([each.weight for each in seal.findings])
    verdict = Verdict.VALID if weight is Weight.NOTE else Verdict(weight)
    explains = len(report.seals) > 1 or not ours  # of the only seal, the rows above have said it
    return Tile(
        title=title,
        verdict=str(verdict) if ours else "",
        tone=_TONE[verdict],
        findings=seal.findings if explains else (),
        facts=_there(_main_facts(seal, language)),
        technical=_there(_technical_facts(seal, language)),
    )


def _main_facts(seal: Seal, language: str) -> list[Fact]:
    authorised = seal.authorised
    facts = [
        Fact("owner", seal.owner),
        Fact("sealed_at", catalogue.shown(seal.sealed_at)),
        Fact("timestamp_by", seal.timestamp.authority if seal.timestamp else ""),
        Fact("form", authorised.form or ""),
        Fact("ledger_entry", "" if authorised.ledger_index is None else str(authorised.ledger_index)),
    ]
    if (checkpoint := authorised.checkpoint) is not None:
        size = catalogue.text(language, "page", "ledger_size", size=checkpoint.size)
        cosigned = ""
        if checkpoint.cosigned_at:
            cosigned = catalogue.text(language, "page", "ledger_cosigned", date=catalogue.shown(checkpoint.cosigned_at))
        facts.append(Fact("ledger_checkpoint", " · ".join(filter(None, (checkpoint.origin, size, cosigned)))))
    return [*facts, Fact("ledger_warnings", ", ".join(authorised.warnings))]


def _technical_facts(seal: Seal, language: str) -> list[Fact]:
    return [
        Fact("subject", seal.subject),
        Fact("issuer", seal.issuer),
        Fact("serial", code=seal.serial),
        Fact("field", seal.field),
        Fact("level", f"PAdES {seal.level}" if seal.level else ""),
        Fact("certification", catalogue.text(language, "page", f"certification_{seal.certification}")),
        Fact("digest", seal.digest.algorithm.upper(), seal.digest.value) if seal.digest else Fact("digest"),
    ]


def _there(facts: Sequence[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.text or fact.code]


def _size(size_bytes: int, language: str) -> str:
    if size_bytes < 1024:
        return catalogue.text(language, "page", "bytes", count=size_bytes)
    kibibytes = size_bytes / 1024
    return f"{kibibytes:.0f} KiB" if kibibytes < 1024 else f"{kibibytes / 1024:.1f} MiB"
