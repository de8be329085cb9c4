"""`vermilion verify`: who sealed, when, what changed since, whether it was authorised."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from sealcore.errors import Code, VermilionError
from verify import catalogue
from verify.report import Answer, AuthorisedState, Change, Report, Verdict
from verify.summary import summarise
from vermilion import exits
from vermilion.cli.common import DEFAULT, AsJson, State, here
from vermilion.messages import text
from vermilion.terminal import console, emit_json, show_error, show_pairs, verdict
from vermilion.verifying import examiner

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

    office = here(state)
    reports: list[Report] = []
    unopened = False
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
                _show(reports[-1], language)
    if as_json:
        emit_json(reports[0].as_dict() if len(files) == 1 and reports else [report.as_dict() for report in reports])
    worst = exit_status(report.verdict for report in reports)
    raise typer.Exit(exits.UNREADABLE if unopened and worst in (exits.DONE, exits.UNDETERMINED) else worst)


def _show(report: Report, language: str) -> None:
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
    findings = [*report.findings, *(finding for seal in report.seals for finding in seal.findings)]
    told = dict.fromkeys((one.code, one.sentence) for one in findings)
    show_pairs([(f"  {code}", f"{sentence} {catalogue.way_out(language, code)}".rstrip()) for code, sentence in told])
    if report.verdict is not Verdict.VALID:
        out.print()


def _row(name: str, state: Answer | Change | AuthorisedState, answer: str, language: str) -> None:
    label = catalogue.text(language, "row", name)
    console().print(Text.assemble("    ", (f"{label}: ", _TONES.get(state, "quiet")), answer))
