"""`vermilion extend` over folders: resumable, one bad file leaves the rest going, never a worse file."""

from __future__ import annotations

import contextlib
import json
import random
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from longterm import sources
from longterm.augmenter import Aim
from longterm.certificates import Certificate, Chain, Chains, build, certificate
from longterm.model import Level
from longterm.sandbox import Sandbox
from sealcore.errors import Code, VermilionError
from tests.longterm.later import HOUR_S, later
from tests.longterm.world import World
from tests.support.waiting import WITHIN_S
from vermilion import exits
from vermilion.cli import run
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.use_cases import extending
from vermilion.use_cases.extending import Done, Extender, Means, Word, extender, jobs


@pytest.fixture
def runner(world: World, tmp_path: Path, sandbox: Sandbox) -> Iterator[Callable[..., Extender]]:
    """A function that opens what one run needs, with the world's clock."""
    root = tmp_path / "trusted.pem"
    root.write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    opened = []

    def make(level: Level = Level.B_LTA) -> Extender:
        context = extender(Means((root,), f"{world.url}/tsa", (world.host,)), Aim(level), at_once=4, clock=world.clock, sandbox=sandbox)
        opened.append(context)
        return context.__enter__()

    yield make
    for each in opened:
        each.__exit__(None, None, None)


def _run(runner: Extender, folder: Path, out: Path | None = None) -> dict[str, Done]:
    told: list[Done] = []
    done = runner.run(jobs([folder], out), report=told.append)
    assert sorted(one.job.source for one in told) == [one.job.source for one in done]
    return {one.job.source.name: one for one in done}


def test_a_folder_with_good_and_bad_files(world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path) -> None:
    folder = tmp_path / "released"
    (folder / "deeper").mkdir(parents=True)
    signed = world.signed(invoice)
    contents = {
        "good.pdf": signed,
        "deeper/good.pdf": signed,
        "unsigned.pdf": invoice,
        "changed.pdf": signed.replace(b"ReportLab", b"ReportLob", 1),
        "none.pdf": b"hello",
        "empty.pdf": b"",
        "cut.pdf": signed[: len(signed) // 2],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "good.pdf").chmod(0o640)
    later(world)
    done = {str(one.job.source.relative_to(folder)): one for one in runner().run(jobs([folder], None), report=lambda _done: None)}
    assert done["good.pdf"].word is done["deeper/good.pdf"].word is Word.EXTENDED
    assert done["unsigned.pdf"].word is Word.UNSIGNED
    codes = {name: one.fault.code for name, one in done.items() if one.fault is not None}
    assert codes["changed.pdf"] is Code.SIGNATURE_BROKEN
    assert codes["none.pdf"] is Code.DOCUMENT_NOT_PDF
    assert codes["empty.pdf"] is Code.DOCUMENT_EMPTY
    assert "cut.pdf" in codes
    for name, content in contents.items():
        if name not in ("good.pdf", "deeper/good.pdf"):
            assert (folder / name).read_bytes() == content
    assert (folder / "good.pdf").stat().st_mode & 0o777 == 0o640
    assert not list(folder.rglob(".draft.*"))
    again = _run(runner(), folder)
    assert again["good.pdf"].word is Word.KEPT, again["good.pdf"].fault


def test_a_run_that_was_broken_off_goes_on_where_it_stood(
    world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.pdf").write_bytes(world.signed(invoice, name=f"Seal{index}"))
    later(world)
    work = jobs([folder], out)
    assert runner(Level.B_LT).extend(work[0]).word is Word.EXTENDED
    stamps = world.requests.get("/tsa", 0)
    assert runner(Level.B_LT).extend(work[0]).word is Word.KEPT
    done = _run(runner(Level.B_LT), folder, out)
    assert [done[f"{index}.pdf"].word for index in range(3)] == [Word.KEPT, Word.EXTENDED, Word.EXTENDED]
    assert world.requests.get("/tsa", 0) == stamps == 0
    assert all((out / f"{index}.pdf").read_bytes().startswith((folder / f"{index}.pdf").read_bytes()) for index in range(3))


@pytest.mark.parametrize("together_s", [30.0, 0.0])
def test_a_chain_that_many_files_need_at_once_is_looked_for_once(world: World, monkeypatch: pytest.MonkeyPatch, together_s: float) -> None:
    """And where one file makes the search long, the others do not wait for it."""
    monkeypatch.setattr("longterm.certificates.TOGETHER_S", together_s)
    met, searches = threading.Barrier(2), list[datetime]()

    def search(leaf: Certificate, others: Sequence[Certificate], anchors: Sequence[Certificate], moment: datetime) -> Chain:
        searches.append(moment)
        with contextlib.suppress(threading.BrokenBarrierError):
            met.wait(0.5 if together_s else WITHIN_S)  # for a second one
        return build(leaf, others, anchors, moment)

    chains = Chains([certificate(world.root.der)], lambda _url: b"", search)
    with ThreadPoolExecutor(2) as files:
        asked = [files.submit(chains.chain, certificate(world.seal.der), [certificate(world.ca.der)], world.clock.now()) for _ in range(2)]
        found = [each.result() for each in asked]
    assert found[0] == found[1] and len(found[0]) == 3
    assert len(searches) == (1 if together_s else 2)


def test_threads_that_change_at_every_step_do_not_disturb_each_other(
    world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path
) -> None:
    """The certificates are the same in all files, and asn1crypto reads them when they are looked into."""
    signed = world.signed(invoice)
    for index in range(8):
        (tmp_path / f"{index}.pdf").write_bytes(signed)
    later(world)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for word in (Word.EXTENDED, Word.KEPT):
            certificate.cache_clear()
            done = runner().run(jobs([tmp_path], None), report=lambda _done: None)
            assert [(one.word, one.fault) for one in done] == [(word, None)] * 8
    finally:
        sys.setswitchinterval(usual)


def test_a_run_waits_for_answers_that_are_not_out_yet(
    world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (extending, sources):
        monkeypatch.setattr(module, "REST_S", 0.01)
    world.clock.advance(HOUR_S)  # the CRLs were published before
    file = tmp_path / "sealed.pdf"
    file.write_bytes(world.signed(invoice))
    first = runner().run(jobs([file], None), report=lambda _done: None)
    assert [(one.word, one.fault and one.fault.code) for one in first] == [(Word.WAITING, Code.EVIDENCE_NOT_YET)]
    heard: list[Word] = []

    def told(done: Done) -> None:
        heard.append(done.word)
        later(world)  # while the run waits, the CA publishes

    done = runner().run(jobs([file], None), wait_s=60, report=told)
    assert heard == [Word.WAITING]
    assert [(one.word, one.before, one.level) for one in done] == [(Word.EXTENDED, Level.B_T, Level.B_LTA)]


def test_a_run_waits_no_longer_than_it_was_told(
    world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (extending, sources):
        monkeypatch.setattr(module, "REST_S", 0.01)
    world.clock.advance(HOUR_S)
    file = tmp_path / "sealed.pdf"
    file.write_bytes(world.signed(invoice))
    (done,) = runner().run(jobs([file], None), wait_s=2, report=lambda _done: None)
    assert (done.word, done.level) == (Word.WAITING, Level.B_T)
    assert world.requests["/ca.crl"] > 2  # it asked more than once


def test_mutated_files_end_in_typed_errors_or_whole_files(
    world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path
) -> None:
    folder = tmp_path / "mutated"
    folder.mkdir()
    signed = world.signed(invoice)
    later(world)
    generator = random.Random(4)
    for index in range(60):
        content = bytearray(signed)
        for _count in range(generator.randint(1, 6)):
            content[generator.randrange(len(content))] = generator.randrange(256)
        (folder / f"{index}.pdf").write_bytes(content)
    for name, one in _run(runner(Level.B_LT), folder).items():
        assert one.fault is None or one.fault.code is not Code.INTERNAL, (name, one.fault)


def test_the_command(world: World, invoice: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own clock is the machine's, for which everything in this world has lapsed: it says so, and leaves the file."""
    root, file = tmp_path / "root.pem", tmp_path / "sealed.pdf"
    root.write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    file.write_bytes(world.signed(invoice))
    before = file.read_bytes()
    options = ["--state", str(tmp_path / "none"), "--trust", str(root), "--tsa", f"{world.url}/tsa", "--allow-host", world.host, "--json"]
    assert run(["extend", str(file), *options]) == exits.REFUSED
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["error"]["document"]) == ("refused", "sealed.pdf")
    assert told["error"]["way_out"]
    assert file.read_bytes() == before
    assert run(["extend", str(file), "--state", str(tmp_path / "none")]) == exits.CONFIGURATION


def test_two_files_never_go_to_one_place(tmp_path: Path) -> None:
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "same.pdf").write_bytes(b"")
    with pytest.raises(VermilionError) as refused:
        jobs([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert refused.value.code is Code.CONFLICT
    with pytest.raises(VermilionError):
        jobs([tmp_path / "missing.pdf"], None)


# --- trust, and files of others ---------------------------------------------------------------------------------------------------


def office_of(world: World, state: Path) -> tuple[Layout, Office]:
    """An office whose root is the world's, and whose sites are where the world serves."""
    layout = Layout.at(state)
    layout.pki.mkdir(parents=True)
    layout.root_certificate.write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    ports = dict.fromkeys(("ca_http", "ocsp", "timestamp"), int(world.host.rpartition(":")[2]))
    return layout, Office(name="Office", name_english="Office", slug="office", unit="A", ports=ports)


def test_further_trust_is_added_to_the_offices_own(world: World, invoice: bytes, tmp_path: Path) -> None:
    layout, office = office_of(world, tmp_path / "state")
    stranger = World()
    other = tmp_path / "other.der"
    other.write_bytes(stranger.root.der)
    stranger.close()
    means = Means.of(layout, office, anchors=[other], tsa=f"{world.url}/tsa", hosts=[])
    file = tmp_path / "a.pdf"
    file.write_bytes(world.signed(invoice))
    later(world)
    with extender(means, Aim(Level.B_LTA), at_once=1, clock=world.clock) as runner:
        (done,) = runner.run(jobs([file], None), report=lambda _done: None)
    assert (done.word, done.fault) == (Word.EXTENDED, None)
    (layout.pki / "roots.pem").write_bytes(layout.root_certificate.read_bytes() * 2)  # of every generation
    assert list(Means.of(layout, office, anchors=[other], tsa=None, hosts=[]).anchors) == [layout.pki / "roots.pem", other]
    assert list(Means.of(layout, None, anchors=[other], tsa="http://tsa.example", hosts=[]).anchors) == [other]


def test_a_tsa_that_nobody_trusts_is_named_for_every_file_and_no_clock_is_blamed(world: World, invoice: bytes, tmp_path: Path) -> None:
    layout, office = office_of(world, tmp_path / "state")
    stranger = World(clock=world.clock)
    folder = tmp_path / "released"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.pdf").write_bytes(world.signed(invoice))
    later(world)
    means = Means.of(layout, office, anchors=[], tsa=f"{stranger.url}/tsa", hosts=[])
    with extender(means, Aim(Level.B_LTA), at_once=1, clock=world.clock) as runner:
        done = runner.run(jobs([folder], None), report=lambda _done: None)
    stranger.close()
    for one in done:
        assert one.fault is not None and one.fault.code is Code.TSA_UNTRUSTED
        assert "the token's signer is not trusted" in one.fault.reason and "--trust" in one.fault.way_out
        assert "clock" not in one.fault.reason + one.fault.way_out


def test_a_file_of_another_origin_is_not_replaced(world: World, invoice: bytes, runner: Callable[..., Extender], tmp_path: Path) -> None:
    folder, out = tmp_path / "released", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for name in ("a.pdf", "b.pdf"):
        (folder / name).write_bytes(world.signed(invoice))
    (out / "a.pdf").write_bytes(b"%PDF-1.7 mine")
    later(world)
    done = _run(runner(), folder, out)
    fault = done["a.pdf"].fault
    assert fault is not None and fault.code is Code.CONFLICT and (out / "a.pdf").read_bytes() == b"%PDF-1.7 mine"
    assert done["b.pdf"].word is Word.EXTENDED
    extended = (out / "b.pdf").read_bytes()
    assert _run(runner(), folder, out)["b.pdf"].word is Word.KEPT and (out / "b.pdf").read_bytes() == extended
