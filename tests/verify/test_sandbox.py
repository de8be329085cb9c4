"""Hostile files cost one bounded process, never the service."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pyhanko.pdf_utils.generic import ArrayObject, DictionaryObject, StreamObject
from pyhanko.pdf_utils.writer import PageObject, PdfFileWriter
from pyhanko.sign.fields import MDPPerm

from sealcore.clock import FixedClock
from sealcore.errors import VermilionError
from sealcore.platform.sandbox import ForkServer, Job, Limits
from tests.attacks.appended import entries, name, numbers, stream, update
from tests.attacks.repairing import store
from tests.verify.conftest import codes
from tests.verify.office import NOW, Office, Sealed, page_document
from verify.opinion import MOST_SECONDS
from verify.report import Verdict
from verify.sandbox import LIMITS, Sandbox
from verify.verifier import verify

HOSTILE = """
import os, socket, time
from sealcore.errors import Code, VermilionError

def work(parts):
    what = parts[0].decode()
    if what == "echo":
        return parts[1:]
    if what == "spin":
        while True:
            pass
    if what == "sleep":
        time.sleep(600)
    if what == "memory":
        return [bytes(10**11)]
    if what == "hold":
        return [b"%d" % len(bytes(int(parts[1])))]
    if what == "exit":
        os._exit(3)
    if what == "kill":
        os.kill(os.getpid(), 11)
    if what == "recursion":
        return work2(parts)
    if what == "refuse":
        raise VermilionError(Code.DOCUMENT_ENCRYPTED, "it is locked", document="x.pdf")
    if what == "raise":
        raise ValueError("x")
    if what == "connect":
        socket.create_connection(("127.0.0.1", 9))
    if what == "write":
        open(parts[1], "w")
    if what == "huge":
        return [bytes(3 * 1024 * 1024)]
    return []

def work2(parts):
    return work2(parts)
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "hostile_work.py").write_text(HOSTILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        limits = Limits(cpu_s=1, wall_s=2.0, memory_bytes=64 * 1024 * 1024, memory_per_byte=8, answer_bytes=1024 * 1024)
        server = ForkServer(Job("hostile_work:work", limits=limits))
        server.start()
        yield server
        server.close()


def test_parts_come_back_whole(hostile: ForkServer) -> None:
    assert hostile.call(b"echo", b"", b"x" * 500_000) == [b"", b"x" * 500_000]


@pytest.mark.parametrize("what", ["spin", "sleep", "memory", "exit", "kill", "recursion", "huge"])
def test_every_limit_ends_the_child_and_leaves_the_sandbox_working(hostile: ForkServer, what: str) -> None:
    with pytest.raises(VermilionError) as refused:
        hostile.call(what.encode())
    assert refused.value.code == "DOCUMENT_TOO_COMPLEX"
    assert hostile.call(b"echo", b"still here") == [b"still here"]


def test_memory_goes_with_the_size_of_what_is_read(hostile: ForkServer) -> None:
    """However large documents may be: what a small one unfolds to costs little."""
    with pytest.raises(VermilionError) as refused:
        hostile.call(b"hold", b"200000000")
    assert refused.value.code == "DOCUMENT_TOO_COMPLEX"
    assert hostile.call(b"hold", b"200000000", bytes(20_000_000)) == [b"200000000"]


def test_a_refusal_crosses_whole_and_a_fault_as_damage(hostile: ForkServer) -> None:
    with pytest.raises(VermilionError) as refused:
        hostile.call(b"refuse")
    assert (refused.value.code, refused.value.reason, refused.value.document) == ("DOCUMENT_ENCRYPTED", "it is locked", "x.pdf")
    with pytest.raises(VermilionError) as faulted:
        hostile.call(b"raise")
    assert faulted.value.code == "DOCUMENT_DAMAGED"


def test_a_child_reaches_neither_network_nor_disk(hostile: ForkServer, tmp_path: Path) -> None:
    for parts in ([b"connect"], [b"write", str(tmp_path / "written").encode()]):
        with pytest.raises(VermilionError) as refused:
            hostile.call(*parts)
        assert "PermissionError" in refused.value.reason
    assert not (tmp_path / "written").exists()


def test_a_dead_zygote_is_replaced(hostile: ForkServer) -> None:
    process = hostile._process
    assert process is not None
    process.kill()
    process.wait()
    assert hostile.call(b"echo", b"again") == [b"again"]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox(Limits(cpu_s=5, wall_s=10.0, memory_bytes=512 * 1024 * 1024))
    made.start()
    yield made
    made.close()


def test_the_sandbox_gives_the_same_report(office: Office, sealed: Sealed, sandbox: Sandbox) -> None:
    for document in (sealed.data, page_document(), b"no pdf", office.sign(sealed.data, field_name="Two").data):
        here, there = (verify(document, office.trust(), None, clock=FixedClock(NOW), reader=reader) for reader in (None, sandbox.read))
        assert here == there


@pytest.mark.parametrize("name", ["bomb", "self-referencing pages", "looping kids", "endless xref", "deep arrays", "stream of itself"])
def test_a_malicious_file_is_unreadable_or_undecided(office: Office, sandbox: Sandbox, name: str) -> None:
    report = verify(MALICIOUS[name](), office.trust(), None, clock=FixedClock(NOW), reader=sandbox.read)
    assert report.verdict in (Verdict.UNREADABLE, Verdict.UNDETERMINED)
    assert codes(report) <= {"DAMAGED", "TOO_COMPLEX", "NO_SEAL", "READ_LENIENTLY", "SIGNATURE_UNREADABLE", "FOREIGN_SEAL"}


def _file(*objects: bytes, trailer: bytes = b"") -> bytes:
    """A PDF of these objects, numbered from 1, the first being the catalog."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % at for at in offsets))
    out.write(b"trailer\n<< /Root 1 0 R /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, trailer, start))
    return out.getvalue()


def _stream(dictionary: bytes, data: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (dictionary, len(data), data)


def _bomb() -> bytes:
    """A cross-reference stream that unpacks to a gigabyte, twice compressed."""
    packed = zlib.compress(zlib.compress(bytes(400 * 1024 * 1024), 9), 9)
    body = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
    xref = _stream(b"/Type /XRef /W [1 4 2] /Size 9 /Root 1 0 R /Filter [/FlateDecode /FlateDecode]", packed)
    return body + b"3 0 obj\n" + xref + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(body)


_CATALOG = b"<< /Type /Catalog /Pages 2 0 R /AcroForm << /Fields [3 0 R] /SigFlags 3 >> >>"
_PAGES = b"<< /Type /Pages /Kids [] /Count 0 >>"
MALICIOUS = {
    "bomb": _bomb,
    "self-referencing pages": lambda: _file(b"<< /Type /Catalog /Pages 1 0 R /AcroForm 1 0 R /Fields [1 0 R] >>"),
    "looping kids": lambda: _file(_CATALOG, _PAGES, b"<< /FT /Sig /T (a) /Kids [3 0 R 3 0 R] /Parent 3 0 R /V 3 0 R >>"),
    "endless xref": lambda: _file(_CATALOG, _PAGES, b"<< >>").replace(b"/Size 4 ", b"/Size 4 /Prev 9 "),
    "deep arrays": lambda: _file(_CATALOG, _PAGES, b"[" * 200_000 + b"]" * 200_000),
    "stream of itself": lambda: _file(b"<< /Type /Catalog /Pages 3 0 R >>", _PAGES, b"3 0 R"),
}


def test_drawing_ends_by_its_processor_time_and_hurts_nobody(office: Office) -> None:
    """What is drawn may take as long as it likes between two looks at the clock: forms within forms, pages of a million rows."""
    limit = "import resource; from verify.sandbox import work; work([b'', b'', b'[]']); print(resource.getrlimit(resource.RLIMIT_CPU)[0])"
    done = subprocess.run([sys.executable, "-c", limit], capture_output=True, text=True, check=True)
    assert int(done.stdout) == MOST_SECONDS + 1
    plain = office.sign(page_document(), certify=MDPPerm.FILL_FORMS).data
    documents = [update(each, store(each)) for each in (plain, *(office.sign(bomb).data for bomb in (nested(), tall())))]
    sandbox = Sandbox(replace(LIMITS, cpu_s=4))  # the tall page takes one, on a busy machine two
    try:
        with ThreadPoolExecutor(len(documents)) as pool:
            honest, *bombs = pool.map(
                lambda each: verify(each, office.trust(), None, clock=FixedClock(NOW), reader=sandbox.read), documents
            )
    finally:
        sandbox.close()
    assert honest.verdict is Verdict.VALID
    assert [each.verdict for each in bombs] == [Verdict.UNDETERMINED, Verdict.VALID]
    assert "LOOKS_NOT_COMPARED" in codes(bombs[0])


def nested() -> bytes:
    """Twelve forms, each of which draws the next one ten times."""
    writer = PdfFileWriter()
    form = writer.add_object(stream(b"0 0 5 5 re f", Subtype=name("Form"), BBox=numbers(0, 0, 600, 800)))
    for _ in range(12):
        resources = entries(XObject=entries(F=form))
        form = writer.add_object(stream(b"/F Do " * 10, Subtype=name("Form"), BBox=numbers(0, 0, 600, 800), Resources=resources))
    return paged(writer, stream(b"/F Do"), numbers(0, 0, 600, 800), XObject=entries(F=form))


def tall() -> bytes:
    return paged(PdfFileWriter(), stream(b"0 0 1 1 re f"), numbers(0, 0, 1, 400_000_000))


def paged(writer: PdfFileWriter, content: StreamObject, box: ArrayObject, **resources: DictionaryObject) -> bytes:
    page = PageObject(contents=writer.add_object(content), media_box=box, resources=entries(**resources))
    writer.insert_page(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
