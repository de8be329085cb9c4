"""`vermilion seal`: documents in, sealed documents out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, Kind, VermilionError
from sealcore.platform.log import request_id
from sealcore.protocol.leaf import Certification, Placement
from vermilion import client, exits
from vermilion.cli.common import DEFAULT, AsJson, Here, State, find_person, find_seal, here
from vermilion.client.people import decide
from vermilion.messages import text
from vermilion.operation.client_renewal import bundle_names
from vermilion.remote.workflow_client import tls_of
from vermilion.terminal import console, duration, emit_json, rate_text, say, show_pairs, show_table
from vermilion.use_cases import ended, placing
from vermilion.use_cases.people_token import PeopleToken
from vermilion.use_cases.progress import Follow
from vermilion.use_cases.sealing import results_of

MOST_NAMES = 5  # of files that are in the way
MOST_WARNINGS = 5  # kinds of warnings in the summary; --json has each document's


class Certified(StrEnum):
    """What may happen to the sealed file (``Certification``)."""

    NONE = "none"
    FINAL = "final"
    FORM_FILL = "form-fill"


def seal(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help=text("argument.files"))],
    *,
    kind: Annotated[str, typer.Option("--seal", help=text("option.seal_kind"))] = "contract",
    title: Annotated[str | None, typer.Option("--title", help=text("option.title"))] = None,
    applicant: Annotated[str | None, typer.Option("--applicant", help=text("option.applicant"))] = None,
    form_number: Annotated[str | None, typer.Option("--form", help=text("option.form"))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=text("option.out"))] = None,
    visible: Annotated[bool, typer.Option("--visible/--invisible", help=text("option.visible"))] = True,
    certification: Annotated[Certified | None, typer.Option("--certification", help=text("option.certification"))] = None,
    again: Annotated[bool, typer.Option("--again", help=text("option.again"))] = False,
    wait_s: Annotated[float, typer.Option("--wait", min=0, help=text("option.wait"))] = 86_400,
    identity: Annotated[str | None, typer.Option("--client", help=text("option.client"))] = None,
    state: State = DEFAULT,
    as_json: AsJson = False,
) -> None:
    office = here(state)
    said = {"--applicant": applicant, "--title": title, "--certification": certification}
    if form_number is not None and (idle := [option for option, value in said.items() if value is not None]):
        raise VermilionError(Code.INVALID_ARGUMENT, text("seal.settled", number=form_number, options=", ".join(idle)))
    out, identity = out or _folder_for(files), identity or _client(office)
    documents = placing.collect(files, without=out)
    with client.Office(
        office.office.url("workflow", scheme="https"), office.office.listen("signer").target, tls_of(office.layout, identity)
    ) as line:
        asked = _Asked(files, documents, kind, title, applicant, visible, certification, out, identity, again)
        unfit: dict[int, client.Outcome] = {}
        work: _Work | client.Earlier
        if form_number is not None:
            work = _Work(line.form(form_number), tuple(range(len(documents))), client.Folder(out), {})
        else:
            unfit = _unfit(office, line, asked, quiet=as_json)
            asked = replace(asked, documents=[one for position, one in enumerate(documents) if position not in unfit])
            documents = asked.documents
            work = _work(office, line, asked, quiet=as_json)
        if isinstance(work, client.Earlier):
            _finished(work, unfit, out, as_json=as_json)
            raise typer.Exit(exits.REFUSED if unfit else exits.DONE)
        form = work.form
        began_s = time.monotonic()
        try:
            form = _wait(line, form.number, wait_s)
            began_s = time.monotonic()
            ended_now, sealed = _seal(line, form, [documents[each] for each in work.positions], work.folder, quiet=as_json)
        except KeyboardInterrupt:
            console(stderr=True).print(text("seal.interrupted", number=form.number, out=out))
            raise typer.Exit(exits.INTERRUPTED) from None
        except VermilionError as fault:
            if fault.kind in (Kind.UNAVAILABLE, Kind.BUSY) and fault.code is not Code.DEADLINE_EXCEEDED:
                console(stderr=True).print(text("seal.goes_on", number=form.number, out=out))
            raise
    elapsed_s = time.monotonic() - began_s
    outcomes = _with(unfit, [one for _, one in sorted((work.done | dict(zip(work.positions, sealed, strict=True))).items())])
    if as_json:
        emit_json({"form": form.number, "request_id": request_id(), "results": [one.as_json() for one in results_of(outcomes)]})
    else:
        _summary(outcomes, form.number, out, elapsed_s=elapsed_s, rate=ended_now / max(elapsed_s, 0.001))
    raise typer.Exit(exits.REFUSED if any(one.outcome == "refused" for one in outcomes) else exits.DONE)


def _folder_for(files: list[Path]) -> Path:
    """Where results go unless it is said: beside what they are made of, by its name. INVALID_ARGUMENT where several things are sealed."""
    if len(files) != 1:
        raise VermilionError(Code.INVALID_ARGUMENT, text("seal.where"), rule=text("seal.where_rule"))
    one = files[0].resolve()
    return one.parent / f"{one.name if one.is_dir() else one.stem}-sealed"


def _client(office: Here) -> str:
    """The client that applies unless it is said: the only one whose bundle lies with the office, or the first of its plan.

    NOT_FOUND where there is none, INVALID_ARGUMENT where there are several and the plan has none.
    """
    names = bundle_names(office.layout)
    planned = [name for name in office.office.clients if name in names]
    if not names:
        raise VermilionError(Code.NOT_FOUND, text("seal.no_client"), rule=text("seal.no_client_rule"))
    if not planned and len(names) > 1:
        raise VermilionError(Code.INVALID_ARGUMENT, text("seal.which_client", names=", ".join(names)))
    return (planned or names)[0]


def _seal(
    line: client.Office, form: client.Form, documents: list[client.Document], out: client.Folder, *, quiet: bool
) -> tuple[int, list[client.Outcome]]:
    """How many documents came to their end in this run, and the outcome of each."""
    if quiet:
        return 0, line.seal(form, documents, out)
    with Follow(text("seal.progress"), len(documents)) as follow:
        outcomes = line.seal(form, documents, out, progress=follow.progress, ended=follow.ended)
    return follow.ended_now, outcomes


@dataclass(frozen=True)
class _Asked:
    """What was typed."""

    files: list[Path]
    documents: list[client.Document]
    kind: str
    title: str | None
    applicant: str | None
    visible: bool
    certification: Certified | None
    out: Path
    identity: str
    again: bool


@dataclass(frozen=True)
class _Work:
    """What is to be sealed under a form: the documents at ``positions``, in its order; ``done`` came of earlier runs."""

    form: client.Form
    positions: tuple[int, ...]
    folder: client.Folder
    done: dict[int, client.Outcome]


def _unfit(office: Here, line: client.Office, asked: _Asked, *, quiet: bool) -> dict[int, client.Outcome]:
    """Position → refusal of what the signer would not seal as it is, asked for what no run is about: before anybody is to approve it."""
    with office.signer() as signer:
        seal = find_seal(signer, asked.kind)
    found = line.earlier(asked.out, asked.documents, seal=seal.id)
    if found.form is not None or not found.others:
        return {}
    left = [asked.documents[each] for each in found.others]
    judged = line.examine(seal.id, left, placement=_placement(line, asked, seal), certification=_certification(asked))
    unfit = {found.others[each]: one for each, one in judged.items()}
    if unfit and not quiet:
        say("seal.unfit", refused=len(unfit), total=len(asked.documents))
        progress = Follow(text("seal.progress"), len(unfit))
        for _, one in sorted(unfit.items()):
            progress.ended(one)
    return unfit


def _with(unfit: dict[int, client.Outcome], others: list[client.Outcome]) -> list[client.Outcome]:
    """All outcomes in the order of the documents."""
    rest = iter(others)
    return [unfit[each] if each in unfit else next(rest) for each in range(len(unfit) + len(others))]


def _work(office: Here, line: client.Office, asked: _Asked, *, quiet: bool) -> _Work | client.Earlier:
    """What is left to do in the folder: under the form of an unfinished run, else under one that is applied for now, for what no run has
    sealed yet. Nothing is applied for whose files could not get their names: CONFLICT. All done: what earlier runs made of it.
    """
    with office.signer() as signer:
        seal = find_seal(signer, asked.kind)
    with client.locked(asked.out):
        found = line.earlier(asked.out, asked.documents, seal=seal.id)
        if not found.others:
            _tell_differences(office, line, asked, seal, found)
            return found
        if found.form is not None:
            state, over = _standing(office, line, asked, found.form.number)
            if over is None:
                if not quiet:
                    done = line.uses(found.form).get("sealed", 0) if state == "approved" else 0
                    say("seal.resuming", number=found.form.number, done=done, total=len(found.others))
                _tell_differences(office, line, asked, seal, found)
                return _Work(found.form, found.others, found.folder(asked.out), found.beside_form)
            if not asked.again:
                raise VermilionError(*over, rule=text("ended.again_rule"))
            line.forget(asked.out, found.form.number)  # rejected, withdrawn or past its term: nothing will come of it
            found = found.without_form()
        work = _applied(office, line, asked, seal, found)
    if not quiet:
        quorum = work.form.context.policy.quorum
        say("seal.applied" if quorum else "seal.approved_alone", number=work.form.number, quorum=quorum, folder=_to_look_at(asked.files))
        if found.done:
            say("seal.partly", numbers=", ".join(found.forms), done=len(found.done), total=len(asked.documents))
    return work


def _to_look_at(files: list[Path]) -> str:
    """The folder that whoever approves compares with, as a shell reads it; a placeholder where the documents lie in several."""
    return quote(str(files[0])) if len(files) == 1 and files[0].is_dir() else "FOLDER"


def _standing(office: Here, line: client.Office, asked: _Asked, number: str) -> tuple[str, tuple[Code, str] | None]:
    """The state of the form that a run into the folder did not finish, and what ended it, if anything did.

    CONFLICT when another client applied for it, NOT_FOUND when the office has it no more.
    """
    with office.workflow() as workflow:
        form = ended.known(workflow, number, client.journal_of(asked.out, number))
        over = ended.why(form, workflow.names())
    try:
        return line.form(number).state, over
    except VermilionError as fault:
        if fault.code is not Code.NOT_FOUND:
            raise
    filed = " ".join(filter(None, (form.get("filed_by"), form["submitted_by"])))
    journal = client.journal_of(asked.out, number)
    reason = text("ended.others", number=number, out=asked.out, client=filed, identity=asked.identity, journal=journal)
    raise VermilionError(Code.CONFLICT, reason, rule=text("ended.others_rule"))


def _applied(office: Here, line: client.Office, asked: _Asked, seal: signer_pb2.SealRecord, found: client.Earlier) -> _Work:
    left = replace(asked, documents=[asked.documents[each] for each in found.others])
    folder = found.folder(asked.out)
    folder.prepare(left.documents)
    if there := folder.in_the_way():
        names = ", ".join(there[:MOST_NAMES]) + (f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else "")
        raise VermilionError(Code.CONFLICT, text("seal.in_the_way", out=asked.out, names=names), rule=text("seal.in_the_way_rule"))
    form = _apply(office, line, left, seal)
    try:
        line.remember(asked.out, form)
    except VermilionError:  # nobody is to decide on what could not be gone on with
        line.withdraw(form.number)
        line.forget(asked.out, form.number)
        raise
    return _Work(form, found.others, folder, found.done)


def _tell_differences(office: Here, line: client.Office, asked: _Asked, seal: signer_pb2.SealRecord, found: client.Earlier) -> None:
    """Which options of this run say something else than the forms that it goes on with: those stand as they were approved."""
    numbers = [found.form.number] if found.form is not None else list(found.forms)
    with office.workflow() as workflow:
        forms = [ended.known(workflow, number, client.journal_of(asked.out, number)) for number in numbers]
        applicant = find_person(workflow, asked.applicant)["id"] if asked.applicant is not None else None
    said = None if asked.certification is None else Certification.of_word(asked.certification)
    place = _placement(line, asked, seal) or (lambda _document: Placement())
    kept = [(asked.documents[position], entry.placement) for position, entry in sorted(found.entries.items())]
    differing = [
        option
        for option, differs in (
            ("--applicant", applicant is not None and any(one["applicant"] != applicant for one in forms)),
            ("--title", asked.title is not None and any(one["title"] != asked.title for one in forms)),
            ("--certification", said is not None and any(one.certification != said for _, one in kept)),
            (text("seal.places"), any(place(document).marks != one.marks for document, one in kept)),
        )
        if differs
    ]
    if differing:
        console(stderr=True).print(text("seal.as_before", numbers=", ".join(numbers), options=", ".join(differing)), style="undetermined")


def _finished(found: client.Earlier, unfit: dict[int, client.Outcome], out: Path, *, as_json: bool) -> None:
    outcomes = [one for _, one in sorted(found.done.items())]
    if as_json:
        results = [one.as_json() for one in results_of(_with(unfit, outcomes))]
        emit_json({"form": found.forms[-1] if found.forms else None, "request_id": request_id(), "results": results})
    elif outcomes:
        say("seal.finished", "valid", count=len(outcomes), numbers=", ".join(found.forms), out=out)


def _wait(line: client.Office, number: str, wait_s: float) -> client.Form:
    try:
        return line.wait_approved(number, timeout_s=wait_s)
    except VermilionError as fault:
        if fault.code is not Code.DEADLINE_EXCEEDED:
            raise
        raise VermilionError(fault.code, text("seal.still_waiting", number=number)) from None


def _placement(line: client.Office, asked: _Asked, seal: signer_pb2.SealRecord) -> Callable[[client.Document], Placement] | None:
    plan = placing.load(asked.files[0]) if len(asked.files) == 1 and asked.files[0].is_dir() else {}
    picture = line.picture(seal.picture_sha256[0]) if asked.visible and seal.picture_sha256 else None
    return placing.place(plan, picture, visible=True) if picture else None


def _certification(asked: _Asked) -> Callable[[client.Document], Certification | None]:
    plan = placing.load(asked.files[0]) if len(asked.files) == 1 and asked.files[0].is_dir() else {}
    return placing.certify(plan, None if asked.certification is None else Certification.of_word(asked.certification))


def _apply(office: Here, line: client.Office, asked: _Asked, seal: signer_pb2.SealRecord) -> client.Form:
    placement = _placement(line, asked, seal)
    person: Any = None
    if asked.applicant is not None:
        with office.workflow() as workflow:
            person = find_person(workflow, asked.applicant)
    form = line.apply(
        seal.id,
        asked.documents,
        title=asked.title or text("seal.title", first=asked.documents[0].name, count=len(asked.documents)),
        applicant=person["id"] if person else None,
        placement=placement,
        certification=_certification(asked),
        examined=True,
    )
    if person is not None:
        with PeopleToken.open(office.layout.token_settings("people")) as token:
            line.decide(form.number, decide(form.context, person["id"], "apply", token.key(person["id"]), now=datetime.now(UTC)))
    return form


def _summary(outcomes: list[client.Outcome], number: str, out: Path, *, elapsed_s: float, rate: float) -> None:
    refused = [one for one in outcomes if one.outcome == "refused"]
    earlier = sum(one.repeated for one in outcomes)
    say("seal.done", "valid" if not refused else "", sealed=len(outcomes) - len(refused), refused=len(refused), out=out)
    rows = [(text("seal.took"), text("seal.rate", time=duration(elapsed_s), rate=rate_text(rate)))]
    if earlier:
        rows.append((text("seal.earlier"), text("seal.from_earlier", count=f"{earlier:,}")))
    warnings = Counter(warning for one in outcomes for warning in one.warnings)
    rows += [(text("seal.warnings"), f"{count:,} × {warning}") for warning, count in warnings.most_common(MOST_WARNINGS)]
    rows += [(text("seal.form"), number), (text("error.request"), request_id() or "")]
    show_pairs(rows)
    if refused:
        counts = Counter((str(one.code), one.rule or "", one.way_out or "") for one in refused)
        table = [[code, f"{count:,}", rule, way_out] for (code, rule, way_out), count in counts.most_common()]
        show_table(["code", "count", "rule", "way_out"], table, empty="blank")
