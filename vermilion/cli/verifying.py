"""`vermilion verify`: who sealed, when, what changed since, whether it was authorised."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer
from rich.text import Text

from sealcore.errors import Code, VermilionError
from verify import catalogue
from verify.codes import FindingCode
from verify.report import Answer, AuthorisedState, Change, Finding, Report, SealKind, Verdict
from verify.summary import summarise
from vermilion import exits
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.terminal import console, emit_json, show_error, show_pairs, verdict
from vermilion.use_cases.verifying import examiner

_NOT_OPENED = frozenset({Code.NOT_FOUND, Code.INVALID_ARGUMENT, Code.DOCUMENT_TOO_LARGE})
_TONES = {
    **dict.fromkeys((Answer.YES, Change.NONE, AuthorisedState.AUTHORISED), "valid"),
    **dict.fromkeys((Answer.NO, Change.FORBIDDEN, AuthorisedState.NOT_AUTHORISED), "invalid"),
}


class Language(StrEnum):
    """Of the sentences."""

    EN = "en"
    ZH = "zh"


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=text("argument.files_to_verify"))],
    *,
    language: Annotated[Language, typer.Option("--language", help=text("option.language"))] = Language.EN,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    from verify.files import exit_status  # noqa: PLC0415  (the PDF libraries: a second that other commands need not wait)

    if folder := next((each for each in files if each.is_dir()), None):
        raise VermilionError(Code.INVALID_ARGUMENT, f"{folder} is a folder; name the files: {quote(str(folder))}/*.pdf")
    office = here(state)
    reports: list[Report] = []
    unopened = False
    interrupted = False
    try:
        with examiner(office.layout, office.office, language) as examine:
            for file in files:
                try:
                    reports.append(examine(file))
                except VermilionError as fault:
                    if fault.code not in _NOT_OPENED:
                        raise
                    show_error(fault)
                    unopened = True
                    continue
                if not as_json:
                    show(reports[-1], language)
    except KeyboardInterrupt:
        interrupted = True
        console(stderr=True).print(text("verify.interrupted", done=len(reports), count=len(files)))
    if as_json:
        emit_json(reports[0].as_dict() if len(files) == 1 and reports else [report.as_dict() for report in reports])
    if interrupted:
        raise typer.Exit(exits.INTERRUPTED)
    worst = exit_status(report.verdict for report in reports)
    raise typer.Exit(exits.UNREADABLE if unopened and worst in (exits.DONE, exits.UNDETERMINED) else worst)


def show(report: Report, language: str) -> None:
    """Prints a report for people."""
    out = console()
    out.print(verdict(report.verdict, report.document))
    out.print(f"  {report.sentence}")
    if (summary := summarise(report)) is not None:
        authorised = summary.last.authorised
        key = f"authorised_{summary.authorised}"
        if summary.authorised is AuthorisedState.AUTHORISED and authorised.form is not None:
            key += "_form"
        kinds = catalogue.kinds(summary.changed, language)
        _row("valid", summary.valid, catalogue.text(language, "row", f"valid_{summary.valid}"), language)
        _row("changed", summary.changed.state, catalogue.text(language, "row", f"changed_{summary.changed.state}", kinds=kinds), language)
        answer = catalogue.text(language, "row", key, form=authorised.form, index=authorised.ledger_index)
        _row("authorised", summary.authorised, answer, language)
        if summary.level is not None:
            console().print(Text.assemble("    ", (f"{catalogue.text(language, 'page', 'level')}: ", "quiet"), f"PAdES {summary.level}"))
    _show_findings(report, language)
    if report.verdict is not Verdict.VALID:
        out.print()


def _show_findings(report: Report, language: str) -> None:
    """What was found, each under the signature that it is about; a document with one seal needs no heading for it."""
    ours = [seal for seal in report.seals if seal.kind is SealKind.SEAL]
    if len(report.seals) == len(ours) == 1:
        _list(1, (*report.findings, *ours[0].findings), language)
        return
    _list(1, report.findings, language)
    for seal, title in zip(report.seals, catalogue.titles(report.seals, language), strict=True):
        console().print(Text(f"    {title}", "title"))
        _list(2, seal.findings, language, way=seal.kind is SealKind.SEAL)


def _list(depth: int, found: Sequence[Finding], language: str, *, way: bool = True) -> None:
    """Findings with what to do about them; about others' signatures there is nothing to do but to know."""
    by_code: dict[FindingCode, list[Finding]] = {}
    for one in found:
        by_code.setdefault(one.code, []).append(one)
    show_pairs([("  " * depth + code, _told(same, language, way=way)) for code, same in by_code.items()])


def _told(same: Sequence[Finding], language: str, *, way: bool) -> str:
    """The sentence of findings with one code, what each is about, and the way out."""
    details = "; ".join(dict.fromkeys(one.detail for one in same if one.detail))
    about = f"({details})" if details else ""
    return " ".join(filter(None, (same[0].sentence, about, catalogue.way_out(language, same[0].code) if way else "")))


def _row(name: str, state: Answer | Change | AuthorisedState, answer: str, language: str) -> None:
    label = catalogue.text(language, "row", name)
    console().print(Text.assemble("    ", (f"{label}: ", _TONES.get(state, "quiet")), answer))
