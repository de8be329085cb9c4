"""Behind the walls documents look the same, and nothing that a library would load late is missing."""

from __future__ import annotations

import json
import subprocess
import sys

from sealcore.platform.sandbox import PRELOAD, ForkServer, Job
from tests.conftest import REPOSITORY
from tests.sandbox import drawing

JOB = Job("tests.sandbox.drawing:work", PRELOAD)
# What these libraries import late and no document makes them need: pictures, text and keys that are made, and packages that are not installed.
NOT_NEEDED = {
    "PIL",
    "PIL.Image",
    "PIL.ImageCms",
    "PIL.TiffTags",
    "numpy",
    "oscrypto",
    "pyhanko.pdf_utils.font.opentype",
    "pyhanko.pdf_utils.images",
    "pyhanko.pdf_utils.qr",
    "qrcode",
    "sealcore.hsm.private",
    "tabulate",
}
OUTSIDE = """
import json
from tests.sandbox import drawing
print(json.dumps([part.decode() for part in drawing.work([drawing.document()])]))
"""
LATE = """
import ast, json, sys
import sandbox.app as app
from sealcore.platform.sandbox.zygote import load_encodings
for jobs in app.JOBS.values():
    for job in jobs:
        job.load()
forbidden = [each for each in sys.modules if each.split(".")[0] in ("grpc", "pkcs11", "sqlalchemy", "protos", "starlette")]
import longterm.sandbox
longterm.sandbox.JOB.load()  # which the command line forks for alone
load_encodings()
ours = ("pyhanko", "pyhanko_certvalidator", "pikepdf", "pypdfium2", "asn1crypto", "cryptography", "lxml", "signer", "verify", "longterm", "sealcore")
late = set()
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None) or ""
    if name.split(".")[0] not in ours or not file.endswith(".py"):
        continue
    package = (module.__package__ or name).split(".")
    for function in ast.walk(ast.parse(open(file, encoding="utf-8").read())):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    late |= {each.name for each in node.names}
                elif isinstance(node, ast.ImportFrom):
                    above = package[: len(package) - node.level + 1] if node.level else []
                    late.add(".".join([*above, *([node.module] if node.module else [])]))
print(json.dumps([sorted(late - set(sys.modules)), forbidden]))
"""


def test_fonts_of_the_system_are_drawn_as_they_are_outside() -> None:
    # In a process of its own: what PDFium has drawn before changes how it measures later fonts.
    done = subprocess.run([sys.executable, "-c", OUTSIDE], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    outside = [part.encode() for part in json.loads(done.stdout)]
    assert int(outside[1]) > 1000, "something is drawn"
    server = ForkServer(JOB)
    assert server.call(drawing.document()) == outside
    server.close()


def test_what_is_loaded_late_is_loaded_before_the_fork_and_what_does_not_survive_a_fork_never() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True)
    late, forbidden = json.loads(done.stdout)
    assert set(late) - NOT_NEEDED == set()
    assert forbidden == []
