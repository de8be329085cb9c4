"""Strangers' documents are prepared apart from the signer: same outcome, bounded, several at once, outliving hostile ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sealcore.errors import Code, VermilionError
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from signer.pdf.prepare import prepare
from signer.pipeline.sandbox import Sandbox
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Seal


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox(largest_document_bytes=20_000_000, workers=2)
    box.start()
    yield box
    box.close()


def test_it_gives_what_prepare_gives(sandbox: Sandbox, seal: Seal, picture: bytes, picture_sha256: bytes) -> None:
    mark = Mark((0, 1), Rectangle(100_000, 100_000, 219_000, 219_000), picture_sha256)
    plan = seal.plan(Placement((mark,)), pictures={picture_sha256: picture, b"other": b"unused"})
    document = documents.pages(2)
    assert sandbox.run(document, plan) == prepare(document, plan)


def test_refusals_keep_code_and_reason(sandbox: Sandbox, seal: Seal) -> None:
    with pytest.raises(VermilionError, match="the document is encrypted") as refusal:
        sandbox.run(documents.encrypted(user="secret"), seal.plan())
    assert refusal.value.code == Code.DOCUMENT_ENCRYPTED


def test_an_answer_that_comes_before_the_last_empty_part_was_sent_counts(sandbox: Sandbox, seal: Seal) -> None:
    """A child that has all it was promised answers and is gone, while its caller is about to send the pictures, of which there are none."""

    def code(_number: int) -> Code:
        with pytest.raises(VermilionError) as refusal:
            sandbox.run(b"no PDF", seal.plan())
        return refusal.value.code

    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(code, range(300))) == {Code.DOCUMENT_NOT_PDF}


def test_metadata_that_unfold_beyond_measure_are_no_reason_to_say_that_nothing_is_declared(sandbox: Sandbox, seal: Seal) -> None:
    """A kilobyte that is 300 MB: it may declare PDF/A, which the seal would have to keep."""
    packed = zlib.compress(zlib.compress(b" " * 300_000_000, 1), 9)
    metadata = b"<< /Type /Metadata /Subtype /XML /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n%b\nendstream"
    document = documents.simple(catalog=b"/Metadata 10 0 R /AcroForm 77 0 R", more={10: metadata % (len(packed), packed)})
    with pytest.raises(VermilionError) as refusal:
        sandbox.run(document, seal.plan())
    assert refusal.value.code == Code.DOCUMENT_TOO_COMPLEX


def test_documents_beyond_the_limit_are_refused_unread(seal: Seal) -> None:
    with pytest.raises(VermilionError) as refusal:
        Sandbox(largest_document_bytes=1000, workers=1).run(b"%PDF-" + bytes(1000), seal.plan())
    assert refusal.value.code == Code.DOCUMENT_TOO_LARGE


def test_many_threads_are_served_while_some_send_what_blows_up(sandbox: Sandbox, seal: Seal) -> None:
    bomb = zlib.compress(bytes(400_000_000), 9)
    hostile = documents.assemble(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            5: b"<< /Type /ObjStm /N 1 /First 4 /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream" % (len(bomb), bomb),
        }
    )
    good = documents.simple()
    expected = prepare(good, seal.plan())

    def run(index: int) -> object:
        try:
            return sandbox.run(hostile if index % 4 == 3 else good, seal.plan())
        except VermilionError as refusal:
            return refusal.code

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(run, range(16)))
    assert outcomes.count(expected) == 12
    assert {outcome for outcome in outcomes if outcome != expected} <= {
        Code.DOCUMENT_TOO_COMPLEX,
        Code.DOCUMENT_DAMAGED,
        Code.DOCUMENT_NO_PAGES,
    }


def test_the_signer_itself_never_loads_pdf_libraries() -> None:
    code = "import sys, signer.pipeline.sandbox, signer.pdf.cms, signer.pdf.fill, signer.pdf.readback.locate; print([m for m in sys.modules if m.startswith(('pyhanko', 'pypdfium2'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_is_left_running_when_the_signer_dies(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom signer.pipeline.sandbox import Sandbox\n"
        "box = Sandbox(largest_document_bytes=1000, workers=1)\nbox.start()\n"
        "print(box._server._process.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    zygote = int(done.stdout)
    for _ in range(200):
        if not Path(f"/proc/{zygote}").exists() or " Z " in Path(f"/proc/{zygote}/stat").read_text():
            break
        time.sleep(0.05)
    else:
        os.kill(zygote, 9)
        pytest.fail("the zygote outlives its parent")
