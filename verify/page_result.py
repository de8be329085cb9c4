"""The page's answer: verdict card, three rows, then details."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from sealcore.errors import VermilionError
from verify import catalogue
from verify.codes import REGISTRY, Row, Weight, heaviest
from verify.page import Office, copy_button, document, upload_page, without_us
from verify.report import Answer, AuthorisedState, Change, Finding, Report, Seal, SealKind, Verdict
from verify.summary import Summary, summarise

_NUMBERS = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|[A-Z0-9]+-\d{4}-\d{6}")
_TONE = {Verdict.VALID: "good", Verdict.INVALID: "bad", Verdict.UNDETERMINED: "warn", Verdict.UNREADABLE: "unknown"}
_ANSWER_TONE = {Answer.YES: "good", Answer.NO: "bad", Answer.UNKNOWN: "unknown"}
_CHANGE_TONE = {Change.NONE: "good", Change.PERMITTED: "warn", Change.FORBIDDEN: "bad", Change.UNKNOWN: "unknown"}
_AUTHORISED_TONE = {
    AuthorisedState.AUTHORISED: "good",
    AuthorisedState.NOT_AUTHORISED: "bad",
    AuthorisedState.UNDETERMINED: "unknown",
    AuthorisedState.NOT_ASKED: "unknown",
}
_SHAPES = {  # a shape of its own for each tone: colour alone says nothing
    "good": '<circle cx="12" cy="12" r="9.5"/><path d="m7.5 12.5 3 3 6-6.5"/>',
    "warn": '<path d="M12 3.2 22 20.5H2Z"/><path d="M12 10v5m0 2.2v.6"/>',
    "bad": '<path d="M8 2.5h8L21.5 8v8L16 21.5H8L2.5 16V8Z"/><path d="m8.5 8.5 7 7m0-7-7 7"/>',
    "unknown": '<circle cx="12" cy="12" r="9.5" stroke-dasharray="4.2 2.3"/><path d="M9.4 9.3c.2-1.6 1.3-2.4 2.7-2.4 1.5 0 2.6.9 2.6 2.3 0 1.9-2.6 2.2-2.6 4.2M12.1 16.8v.5"/>',
}


def result_page(office: Office, language: str, report: Report) -> str:
    """The page that answers for one document."""
    summary = summarise(report)
    parts = [
        _verdict(report, language),
        _rows(summary, language) if summary is not None else "",
        f'<p><a class="button" href="/?lang={language}">{escape(catalogue.text(language, "page", "again"))}</a></p>',
        _details(report, language),
        without_us(office, language),
    ]
    title = f"{catalogue.text(language, 'verdict', report.verdict)}: {report.document}"
    return document(office, language, title=title, body="\n".join(parts))


def refused_page(office: Office, language: str, fault: VermilionError, limit_bytes: int) -> str:
    """The page that takes a document, saying why the last one was not taken."""
    reason, way_out = catalogue.refusal(language, fault.code, limit=f"{limit_bytes / (1024 * 1024):g}")
    message = f"""\
<section class="verdict unknown" role="alert">
<h2 class="verdict-word">{icon("unknown")}{escape(catalogue.text(language, "page", "refused"))}</h2>
<p>{escape(reason)}</p>
<p class="way"><span>{escape(way_out)}</span><span class="chip">{escape(str(fault.code))}</span></p>
</section>"""
    return upload_page(office, language, message=message)


def icon(tone: str) -> str:
    """The sign that goes with a tone."""
    return (
        f'<svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" '
        f'stroke-linejoin="round" aria-hidden="true">{_SHAPES[tone]}</svg>'
    )


def _verdict(report: Report, language: str) -> str:
    tone = _TONE[report.verdict]
    digest = report.sha256
    return f"""\
<section class="verdict {tone}" aria-live="polite">
<p class="verdict-word">{icon(tone)}{escape(catalogue.text(language, "verdict", report.verdict))}</p>
<h1 class="answer">{_unbroken(_answer(report))}</h1>
<p class="small soft">{escape(report.document)} · {escape(_size(report.size_bytes, language))} · {escape(catalogue.shown(report.verified_at))}
<br><span class="copyable"><span>SHA-256 <code title="{digest}">{digest[:8]}…{digest[-8:]}</code></span>{copy_button(digest, language)}</span></p>
{_way(report, language)}
</section>"""


def _answer(report: Report) -> str:
    """The sentence; without the verdict's word, which stands above it."""
    if report.verdict is Verdict.VALID:
        return report.sentence
    return _deciding(report).sentence


def _deciding(report: Report) -> Finding:
    own = [each for seal in report.seals if seal.kind is SealKind.SEAL for each in seal.findings]
    return next(each for each in (*report.findings, *own) if each.weight is Weight(report.verdict))


def _unbroken(sentence: str) -> str:
    """Dates and form numbers stay on one line."""
    return _NUMBERS.sub(r'<span class="unbroken">\g<0></span>', escape(sentence))


def _way(report: Report, language: str) -> str:
    """What to do about the finding that decided."""
    if report.verdict is Verdict.VALID:
        return ""
    deciding = _deciding(report)
    label = escape(catalogue.text(language, "page", "what_to_do"))
    way = escape(catalogue.way_out(language, deciding.code))
    return f'<p class="way"><strong>{label}</strong><span>{way}</span><span class="chip">{deciding.code}</span></p>'


def _rows(summary: Summary, language: str) -> str:
    def row(name: str, tone: str, answer: str, found: Sequence[Finding]) -> str:
        label = escape(catalogue.text(language, "row", name))
        return f"<div class='row {tone}'>{icon(tone)}<dt>{label}</dt><dd>{_answered(answer, found)}</dd></div>"

    def say(key: str, **values: object) -> str:
        return catalogue.text(language, "row", key, **values)

    changed = summary.changed.state
    authorised = summary.last.authorised
    key = f"authorised_{summary.authorised}"
    if summary.authorised is AuthorisedState.AUTHORISED and authorised.form is not None:
        key += "_form"
    return (
        "<dl class='rows'>"
        + row("valid", _ANSWER_TONE[summary.valid], say(f"valid_{summary.valid}"), summary.findings[Row.VALID])
        + row(
            "changed",
            _CHANGE_TONE[changed],
            say(f"changed_{changed}", kinds=catalogue.kinds(summary.changed, language)),
            summary.findings[Row.CHANGED],
        )
        + row(
            "authorised",
            _AUTHORISED_TONE[summary.authorised],
            say(key, form=authorised.form, index=authorised.ledger_index),
            [each for each in summary.findings[Row.AUTHORISED] if each.weight is not Weight.NOTE],
        )
        + "</dl>"
    )


def _answered(answer: str, found: Sequence[Finding]) -> str:
    """An answer with its reason on the same line, or several reasons below."""
    if len(found) == 1:
        return f"<p>{_unbroken(answer)} {_note(found[0])}</p>"
    return f"<p>{_unbroken(answer)}</p>{_notes(found)}"


def _note(found: Finding) -> str:
    detail = f' <span class="soft">({escape(found.detail)})</span>' if found.detail else ""
    return f'{escape(found.sentence)}{detail} <span class="chip">{found.code}</span>'


def _notes(found: Sequence[Finding]) -> str:
    if not found:
        return ""
    items = "".join(f"<li>{_note(each)}</li>" for each in found)
    return f'<ul class="notes">{items}</ul>'


def _details(report: Report, language: str) -> str:
    titles = catalogue.titles(report.seals, language)
    tiles = [_tile(seal, title, language, explain=_explains(report, seal)) for seal, title in zip(report.seals, titles, strict=True)]
    document_findings = [each for each in report.findings if REGISTRY[each.code].weight is Weight.NOTE or each.detail]
    if not tiles and not document_findings:
        return ""
    heading = escape(catalogue.text(language, "page", "details"))
    return f'<section class="section"><h2>{heading}</h2>{_notes(document_findings)}{"".join(tiles)}</section>'


def _explains(report: Report, seal: Seal) -> bool:
    """Whether what was found stands with the signature: of the only seal, the rows above have said it."""
    return len(report.seals) > 1 or seal.kind is not SealKind.SEAL


def _tile(seal: Seal, title: str, language: str, *, explain: bool) -> str:
    state = ""
    if seal.kind is SealKind.SEAL:
        weight = heaviest([each.weight for each in seal.findings])
        verdict = Verdict.VALID if weight is Weight.NOTE else Verdict(weight)
        tone = _TONE[verdict]
        state = f'<span class="state {tone}">{icon(tone)}{escape(catalogue.text(language, "verdict", verdict))}</span>'
    return f"""\
<article class="tile">
<div class="tile-head"><h3>{escape(title)}</h3>{state}</div>
{_notes(seal.findings) if explain else ""}
{_facts(_main_facts(seal, language))}
<details><summary>{escape(catalogue.text(language, "page", "technical"))}</summary>{_facts(_technical_facts(seal, language))}</details>
</article>"""


def _main_facts(seal: Seal, language: str) -> list[tuple[str, str]]:
    authorised = seal.authorised
    checkpoint = authorised.checkpoint
    facts = [
        ("owner", escape(seal.owner)),
        ("sealed_at", escape(catalogue.shown(seal.sealed_at))),
        ("timestamp_by", escape(seal.timestamp.authority) if seal.timestamp else ""),
        ("form", escape(authorised.form or "")),
        ("ledger_entry", "" if authorised.ledger_index is None else str(authorised.ledger_index)),
    ]
    if checkpoint is not None:
        size = catalogue.text(language, "page", "ledger_size", size=checkpoint.size)
        cosigned = (
            catalogue.text(language, "page", "ledger_cosigned", date=catalogue.shown(checkpoint.cosigned_at))
            if checkpoint.cosigned_at
            else ""
        )
        facts.append(("ledger_checkpoint", escape(" · ".join(filter(None, (checkpoint.origin, size, cosigned))))))
    facts.append(("ledger_warnings", escape(", ".join(authorised.warnings))))
    return _labelled(facts, language)


def _technical_facts(seal: Seal, language: str) -> list[tuple[str, str]]:
    facts = [
        ("subject", escape(seal.subject)),
        ("issuer", escape(seal.issuer)),
        ("serial", _mono(seal.serial, language)),
        ("field", escape(seal.field)),
        ("level", escape(f"PAdES {seal.level}") if seal.level else ""),
        ("certification", escape(catalogue.text(language, "page", f"certification_{seal.certification}"))),
        ("digest", f"{escape(seal.digest.algorithm.upper())} {_mono(seal.digest.value, language)}" if seal.digest else ""),
    ]
    return _labelled(facts, language)


def _labelled(facts: Sequence[tuple[str, str]], language: str) -> list[tuple[str, str]]:
    return [(escape(catalogue.text(language, "page", key)), value) for key, value in facts if value]


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    return f'<dl class="facts">{"".join(f"<dt>{label}</dt><dd>{value}</dd>" for label, value in facts)}</dl>'


def _mono(value: str, language: str) -> str:
    return f"<code>{escape(value)}</code> {copy_button(value, language)}" if value else ""


def _size(size_bytes: int, language: str) -> str:
    if size_bytes < 1024:
        return catalogue.text(language, "page", "bytes", count=size_bytes)
    kibibytes = size_bytes / 1024
    return f"{kibibytes:.0f} KiB" if kibibytes < 1024 else f"{kibibytes / 1024:.1f} MiB"
