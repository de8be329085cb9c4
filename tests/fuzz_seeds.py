"""What the fuzz targets of the core start from: ``python -m tests.fuzz_seeds PROGRAM OUT``, with the program that makes inputs of documents.

The examples, the corpus where it is there, a document of each structure that the tests know, and seals of throwaway keys.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding

from sealcore.hsm.algorithm import Algorithm
from signer.pdf.readback.cms import check_cms
from signer.pdf.readback.known_cms import Constants, KnownCms
from tests.conftest import CORPUS, EXAMPLES
from tests.signer.pdf import documents
from tests.signer.pdf.kit import Authority, Seal, sign_with

KINDS = ("rsa", "p-256", "p-384")  # in the order of crates/fuzz
ALGORITHMS = (Algorithm.RSA_2048, Algorithm.P256, Algorithm.P384)


class _Noted(KnownCms):
    """Lets one see what it is to remember."""

    def remember(self, spki_sha256: bytes, hash_name: str, known: Constants) -> None:
        super().remember(spki_sha256, hash_name, known)
        self.noted = known


def seal_input(seal: Seal) -> bytes:
    """An input of the target ``seal`` that it finds valid."""
    digest, seen = hashlib.new(seal.template.hash_name, b"a document").digest(), _Noted()
    cms = seal.cms(digest)
    check_cms(cms, digest, seal.template.hash_name, seal.spki_sha256, seen)
    known = seen.noted
    before = (known.public, known.head, known.signer_head, known.attributes_before, known.attributes_after, known.algorithm, digest)
    return _joined(KINDS.index(known.kind), before, cms)


def cms_input(seal: Seal) -> bytes:
    """An input of the target ``cms``."""
    digest = hashlib.new(seal.template.hash_name, b"a document").digest()
    certificate, issuing = (each.public_bytes(Encoding.DER) for each in (seal.certificate, seal.authority.issuing))
    signature = sign_with(seal.key, seal.template.signed_attributes(digest), seal.template.hash_name)
    return _joined(ALGORITHMS.index(seal.algorithm), (certificate, issuing, digest, signature), seal.authority.stamp(signature))


def proofs_inputs(seal: Seal) -> dict[str, bytes]:
    """Inputs of the target ``proofs``: an answer of a TSA, a signature, a document timestamp."""
    covered = b"a document"
    token = tsp.ContentInfo.load(seal.authority.stamp(covered))
    answer = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token}).dump()
    signature = seal.cms(hashlib.new(seal.template.hash_name, covered).digest())
    return {"answer": b"\0" + answer, "signature": _joined(1, [covered], signature), "stamp": _joined(2, [covered], token.dump())}


def _joined(first: int, parts: Sequence[bytes], rest: bytes) -> bytes:
    """As crates/fuzz takes it apart: each part but the last has its length before it."""
    return bytes([first]) + b"".join(len(part).to_bytes(4, "big") + part for part in parts) + rest


def main(program: str, out: str) -> None:
    """Writes OUT/reader, OUT/readback, OUT/cms, OUT/proofs and OUT/seal; what is there stays."""
    for target in ("cms", "proofs", "seal"):
        (Path(out) / target).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder)
        for algorithm in ALGORITHMS:
            seal = Seal(authority, algorithm)
            (Path(out) / "cms" / f"0000-{algorithm.value}").write_bytes(cms_input(seal))
            for kind, made in proofs_inputs(seal).items():
                (Path(out) / "proofs" / f"0000-{kind}-{algorithm.value}").write_bytes(made)
            (Path(out) / "seal" / f"0000-{algorithm.value}").write_bytes(seal_input(seal))
        for kind, make in documents.STRUCTURES.items():
            (folder / f"{kind}.pdf").write_bytes(make())
        files = [file for place in (folder, EXAMPLES, CORPUS) if place.is_dir() for file in sorted(place.glob("*.pdf"))]
        subprocess.run([program, out, *files], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
