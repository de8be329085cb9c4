"""The scenes that end with sealed documents: keys, authorities, people, form, sealing, verifying, log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from ledger.check import check
from sealcore.platform.ledger.reader import LogReader
from vermilion import client
from vermilion.demo import independent
from vermilion.demo.stage import APPLICANT, FIRST, SECOND, Stage
from vermilion.messages import text
from vermilion.operation.service_settings import log_keys
from vermilion.state import keyring
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.terminal import progress, say, shortened, show_outcome
from vermilion.use_cases import approving, placing
from vermilion.use_cases.sealing import Result, results_of, seal_with_progress
from vermilion.use_cases.side_by_side import side_by_side
from vermilion.use_cases.verifying import Verifier

VERIFIERS = 2  # the service works on so many at once
SHOWN_VERDICTS = 20
REPORTED = {"unreadable": "undetermined"}  # a report knows three verdicts: what cannot be read cannot be decided
CLOSING_POLLS, CLOSING_POLL_S = 40, 0.5  # the log renews an idle cosignature every few seconds


def keys(layout: Layout, make: Callable[[Callable[[str], None]], Office]) -> Office:
    """1: tokens and keys, made by the ceremony or found from an earlier run."""
    heading("keys")
    began_s, steps = time.monotonic(), list[str]()

    def report(key: str) -> None:
        steps.append(key)
        say(f"ceremony.{key}", "quiet")

    office = make(report)
    declared = keyring.keys(layout)
    values: dict[str, Any] = {"keys": len(declared) + len(office.people), "tokens": len({key.token for key in declared}) + 1}
    say("demo.keys.made" if "keys" in steps else "demo.keys.found", seconds=f"{time.monotonic() - began_s:.0f}", **values)
    return office


def authorities(stage: Stage) -> None:
    """2: root and issuing authorities."""
    heading("authorities")
    root = x509.load_pem_x509_certificate(stage.layout.root_certificate.read_bytes())
    say("demo.authorities.root", subject=root.subject.rfc4514_string(), fingerprint=shortened(root.fingerprint(SHA256()).hex()))
    for seal in stage.signer.seals():
        say("demo.authorities.seal", kind=seal.kind, algorithm=seal.algorithm, owner=seal.name)


def people(stage: Stage) -> None:
    """3: who may do what."""
    heading("people")
    registered = {person.id for person in stage.signer.people()}
    for person in stage.office.people:
        mark = text("demo.people.registered" if person.id in registered else "demo.people.known")
        say("demo.people.person", name=person.name, roles=", ".join(person.roles), mark=mark)


def form(stage: Stage, documents: Sequence[client.Document], folder: Path) -> client.Form:
    """4: one applies, two others look at the very files and approve."""
    heading("form")
    seal = stage.office.seal("contract")
    picture = stage.picture(seal)
    plan = placing.load(folder)
    applied = stage.client.apply(
        seal.id,
        documents,
        title=text("demo.form.title", folder=folder.name),
        applicant=stage.person(APPLICANT).id,
        placement=placing.place(plan, picture),
        certification=placing.certify(plan),
        examined=True,  # the demo shows what becomes of those that the signer would refuse beforehand
    )
    stage.decide(applied.number, applied.context, APPLICANT, "apply")
    say("demo.form.applied", name=APPLICANT, number=applied.number, count=len(documents), root=shortened(applied.manifest.root.hex()))
    for name in (FIRST, SECOND):
        dossier = stage.dossier(applied.number)
        approving.compare(dossier, dossier["documents"], folder)
        state = stage.decide(applied.number, applied.context, name, "approve")
        say("demo.form.approved", name=name, state=state)
    return stage.client.form(applied.number)


def sealed(stage: Stage, approved: client.Form, documents: Sequence[client.Document], folder: Path) -> list[Result]:
    """5: N documents, so many a second."""
    heading("sealing")
    began_s = time.monotonic()
    results = results_of(seal_with_progress(stage.client, approved, documents, folder))
    elapsed_s = time.monotonic() - began_s
    done = sum(one.outcome == "sealed" for one in results)
    say("demo.sealing.done", sealed=done, refused=len(results) - done, rate=f"{len(results) / elapsed_s:,.1f}", seconds=f"{elapsed_s:.1f}")
    return results


def verified(stage: Stage, results: Sequence[Result], folder: Path) -> list[Result]:
    """6: every sealed file as a stranger sees it, and one of them by a program that is not ours."""
    heading("verifying")
    files = [one.path for one in results if one.path is not None]
    verdicts: dict[Path, str] = {}
    sentences: dict[Path, str] = {}
    answers: dict[Path, dict[str, Any]] = {}
    with Verifier(stage.layout, stage.office) as verify, progress(text("demo.verifying.progress"), len(files)) as steps:
        for file, answer in side_by_side(verify.report, files, VERIFIERS):
            answers[file] = answer
            steps.advance()
    for file in files:
        word, sentences[file] = str(answers[file]["verdict"]), str(answers[file]["sentence"])
        verdicts[file] = REPORTED.get(word, word)
        if word != "valid":
            show_outcome(word, file.name, sentences[file])
        elif len(files) <= SHOWN_VERDICTS:
            show_outcome("valid", file.name)
    valid = sum(word == "valid" for word in verdicts.values())
    say("demo.verifying.done", valid=valid, sealed=len(files))
    shown = min((file for file in files if verdicts[file] == "valid"), key=lambda file: len(file.name), default=None)
    if shown is not None:
        say("demo.verifying.sentence", file=shown.name, sentence=sentences[shown])
        independent.judge(stage.layout.root_certificate, shown, folder.parent / "nss")
    return [replace(one, verdict=verdicts.get(one.path)) if one.path else one for one in results]


def log(stage: Stage) -> None:
    """8: the public log, recomputed from its entries to the cosigned checkpoint."""
    heading("log")
    keys_of_log = log_keys(stage.layout, stage.office)
    _await_closing_cosignature(stage)
    found = check(stage.office.url("ledger"), keys_of_log.log, keys_of_log.witness)
    if found.findings:
        for one in found.findings:
            say("ledger.finding", "invalid", place=one.place, problem=one.problem)
    else:
        say("demo.log.whole", size=found.size, root=shortened(found.root.hex()))


def _await_closing_cosignature(stage: Stage) -> None:
    """Until the log covers what is committed by now: a closed office can then still be told what the log does not hold."""
    keys_of_log, began_s = log_keys(stage.layout, stage.office), stage.clock.now().timestamp()
    reader = LogReader(stage.office.url("ledger"), keys_of_log.log, keys_of_log.witness)
    for _ in range(CLOSING_POLLS):
        complete_as_of_s = reader.update().complete_as_of_s
        if complete_as_of_s is not None and complete_as_of_s >= began_s:
            return
        time.sleep(CLOSING_POLL_S)


def heading(name: str) -> None:
    """The number and title of a scene."""
    say("blank")
    say(f"demo.{name}.heading", "title")
