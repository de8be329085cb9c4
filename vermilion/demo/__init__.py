"""`vermilion demo`: from nothing to sealed and verified PDFs, told in numbered stages, and then what must be refused.

Everything goes through the same interfaces as in earnest; nothing in here seals, approves or verifies by itself.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from vermilion import exits
from vermilion.ceremony import ensure
from vermilion.demo import attempts, endings, report, specimens, story
from vermilion.demo.stage import Stage
from vermilion.operation.configuration import write_all
from vermilion.operation.launcher import Launcher, kept_going, require_ports, running
from vermilion.planning import examples
from vermilion.services import SERVICES
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.terminal import say
from vermilion.use_cases import placing

EXAMPLES = examples.FOLDER / "documents"


def run(layout: Layout, documents: Path | None, out: Path, *, ports_from: int | None = None) -> int:
    """The whole story; the exit code: 0 when all that was sealed is valid and all that must be refused was."""
    began_s = time.monotonic()
    folder = (documents or EXAMPLES).absolute()
    if not folder.is_dir():
        raise VermilionError(Code.FILE_UNUSABLE, f"{folder} is no folder; --documents names the folder of documents to seal")
    given = placing.collect([folder])
    results_folder, specimens_folder = _clear(out.absolute(), folder)
    say("demo.begin", "title")
    office = story.keys(layout, lambda report: ensure(layout, plan=examples.demo(), ports_from=ports_from, report=report))
    with _open(layout, office), Stage.enter(layout, office, SystemClock()) as stage:
        story.authorities(stage)
        story.people(stage)
        form = story.form(stage, given, folder)
        results = story.sealed(stage, form, given, results_folder)
        results = story.verified(stage, results, results_folder)
        tried = attempts.all_of_them(stage, specimens_folder)
        judged = specimens.make(stage, specimens_folder)
        story.log(stage)
    counts = report.write(results, results_folder / "report.json")
    shutil.copyfile(layout.root_certificate, results_folder / "root.pem")
    endings.refusals(results)
    endings.results(counts, layout, folder, out, results, elapsed_s=time.monotonic() - began_s)
    well = counts.valid == counts.sealed and tried and judged
    return exits.DONE if well else exits.REFUSED


@contextmanager
def _open(layout: Layout, office: Office) -> Iterator[None]:
    """The office, running: the one that `vermilion up` runs already, else one of our own, closed at the end."""
    if {one.service for one in running(layout)} == {service.name for service in SERVICES}:
        say("demo.running_already", "quiet")
        yield
        return
    with Launcher(layout) as launcher:
        require_ports(office)
        write_all(layout, office)
        began_s = time.monotonic()
        launcher.start()
        say("demo.started", "quiet", count=len(SERVICES), seconds=f"{time.monotonic() - began_s:.0f}")
        with kept_going(launcher):
            yield


def _clear(out: Path, documents: Path) -> tuple[Path, Path]:
    """Empty folders for results and specimens. Only what an earlier demo left is removed; the documents are never touched."""
    folders = out / "demo", out / "specimens"
    for folder in folders:
        if folder in (documents, *documents.parents) or documents in folder.parents:
            raise VermilionError(
                Code.INVALID_ARGUMENT, f"the documents in {documents} and the results in {folder} would mix; choose another --out"
            )
        if folder.exists() and any(folder.iterdir()) and not (folder / report.MARKER).exists():
            raise VermilionError(Code.CONFLICT, f"{folder} holds files that no demo made; move them or choose another --out")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / report.MARKER).touch()
    return folders
