"""`vermilion ledger` and `vermilion witness`: recompute the public log, find an entry, watch over the log."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ledger.check import check as recompute
from sealcore.errors import Code, VermilionError
from sealcore.protocol.ledger_entry import Entry
from vermilion import exits
from vermilion.cli.common import DEFAULT, AsJson, Here, State, here, is_there
from vermilion.messages import text
from vermilion.operation import launcher
from vermilion.operation.service_settings import log_keys
from vermilion.terminal import console, emit_json, say, shortened, show_table
from vermilion.use_cases.verifying import examiner

app = typer.Typer(help=text("help.ledger"))
Where = Annotated[str | None, typer.Option("--log", metavar="URL|FOLDER", help=text("option.log"))]


@app.command("check", help=text("help.ledger_check"))
def check(log: Where = None, state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    keys = log_keys(office.layout, office.office)
    try:
        report = recompute(_source(office, log), keys.log, keys.witness)
    except KeyboardInterrupt:
        console(stderr=True).print(text("ledger.interrupted"))
        raise typer.Exit(exits.INTERRUPTED) from None
    if as_json:
        findings = [{"place": one.place, "problem": one.problem} for one in report.findings]
        emit_json({"size": report.size, "root": report.root.hex(), "cosigned_at": report.cosigned_at_s, "findings": findings})
    elif report.findings:
        for one in report.findings:
            say("ledger.finding", "invalid", place=one.place, problem=one.problem)
        say("ledger.damaged", count=len(report.findings))
    else:
        say("ledger.whole", "valid", size=report.size, root=shortened(report.root.hex()), time=_time(report.cosigned_at_s))
    raise typer.Exit(exits.REFUSED if report.findings else exits.DONE)


@app.command("show", help=text("help.ledger_show"))
def show(
    what: Annotated[str, typer.Argument(metavar="FORM|FILE", help=text("argument.form_or_file"))],
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    with office.signer() as signer:
        if _names_a_file(what):
            hashes = _signature_hashes(office, Path(what))
            found = [entry for one in hashes for entry in signer.find(signature_hash=one)]
        else:
            found = signer.find(form=what)
    entries = [(one.index, Entry.decode(one.entry)) for one in found]
    if as_json:
        emit_json([{"ledger_index": index, **_facts(entry)} for index, entry in entries])
        return
    rows = [
        [str(index), entry.kind, _stamp(entry), str(entry.attempts or "–"), shortened((entry.leaf_hash or b"").hex()) or "–"]
        for index, entry in entries
    ]
    show_table(["ledger_index", "kind", "time", "attempts", "leaf"], rows, empty="ledger.nothing")


def witness(
    config: Annotated[Path | None, typer.Option("--config", help=text("option.witness_config"))] = None, state: State = DEFAULT
) -> None:
    from ledger.settings import WitnessSettings  # noqa: PLC0415  (only this command runs a service itself)
    from ledger.witness import build  # noqa: PLC0415
    from sealcore.platform.service import main  # noqa: PLC0415

    office = None if config else here(state)
    if office is not None and any(one.service == "witness" for one in launcher.running(office.layout)):
        raise VermilionError(Code.CONFLICT, "the witness of this office is running already")
    file = config or here(state).layout.config("witness")
    raise typer.Exit(main("witness", WitnessSettings, build, ["--config", str(file)]))


def _source(office: Here, log: str | None) -> str | Path:
    if log is None:
        return office.office.url("ledger")
    if log.startswith(("http://", "https://")):
        return log
    if not Path(log).is_dir():
        raise VermilionError(Code.FILE_UNUSABLE, f"{log} is neither an address (http://…) nor a folder of a published log")
    return Path(log)


def _names_a_file(what: str) -> bool:
    """A form's number is none of these; so that a file that is not there is not taken for one."""
    return os.sep in what or what.lower().endswith(".pdf") or is_there(Path(what))


def _signature_hashes(office: Here, file: Path) -> list[bytes]:
    with file.open("rb"):
        pass  # what cannot be opened is said at once
    with examiner(office.layout, office.office, "en") as examine:
        hashes = [bytes.fromhex(seal.signature_hash) for seal in examine(file).seals if seal.signature_hash]
    if not hashes:
        raise VermilionError(Code.NOT_FOUND, "the file carries no seal that a ledger could know", document=file.name)
    return hashes


def _facts(entry: Entry) -> dict[str, Any]:
    digests = ("jti_hash", "spki_sha256", "leaf_hash", "signature_hash", "timestamp_hash", "subject_sha256")
    facts: dict[str, Any] = {"kind": entry.kind, "time": _stamp(entry), "index": entry.index, "attempts": entry.attempts}
    facts |= {name: value.hex() for name in digests if (value := getattr(entry, name)) is not None}
    return {**facts, "commitments": {name: value.hex() for name, value in entry.commitments.items()}, "warnings": list(entry.warnings)}


def _stamp(entry: Entry) -> str:
    return entry.time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(seconds: int | None) -> str:
    return "–" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
