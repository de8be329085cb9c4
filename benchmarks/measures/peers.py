"""Ours beside other programs with the same keys: PDFBox, iText, pyHanko; all on every core, ours with its client."""

from __future__ import annotations

import hashlib
import io
import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from pyhanko.pdf_utils.reader import PdfFileReader

from benchmarks import processes
from benchmarks.bench import Bench
from benchmarks.documents import MIX, papers
from benchmarks.figure import PER_S, Figure
from benchmarks.peers.token_copy import TokenCopy
from benchmarks.peers.with_java import PROGRAMS, JavaPeers, Work, compiled, write_documents
from benchmarks.peers.with_pyhanko import PyHanko
from benchmarks.remote import Remote
from vermilion.operation.service_settings import SIGNER_TSA

KEYS = {"rsa2048": "rsa", "p256": "ec"}
DOCUMENTS = 200  # gone through again and again; no peer remembers a document
WARM_UP_S, QUICK_WARM_UP_S = 20.0, 3.0  # until Java's compiler has done its work


class Peers:
    """``peers.rsa2048`` and ``peers.p256``: ours over the fastest of them."""

    name = "peers"

    def measure(self, bench: Bench) -> list[Figure]:
        """The mix of the load for all. The others' seals are invisible, to their advantage."""
        class_path = compiled()
        figures: list[Figure] = []
        for algorithm in KEYS:
            figures += self._measure(bench, algorithm, class_path)
        return figures

    def _measure(self, bench: Bench, algorithm: str, class_path: str) -> list[Figure]:
        options, office, cores = bench.options, bench.office, processes.cores()
        labels, pki = (office.seal(algorithm).label, SIGNER_TSA), office.layout.pki
        rates: dict[str, list[float]] = {"ours": [], **{name: [] for name in (*PROGRAMS, "pyhanko")}}
        with ExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            documents = folder / "documents"
            documents.mkdir()
            write_documents([paper.content for paper in papers(MIX, DOCUMENTS, bench.series())], documents)
            copy = stack.enter_context(Remote(TokenCopy, office.settings.token, labels, pki)).call("folder")
            work = Work(class_path, copy, office.settings.token.pin_file, labels, pki / "seals-chain.pem", documents)
            java = {name: stack.enter_context(JavaPeers(name, work, cores)) for name in PROGRAMS}
            picture = pki / "pictures" / f"{office.seal(algorithm).kind}.pdf"
            pyhanko = [stack.enter_context(Remote(PyHanko, office.settings.token, labels, pki, picture)) for _ in range(cores)]
            client = stack.enter_context(bench.client(office))
            for one in pyhanko:
                one.call("prepare", client.order(algorithm, "mix", DOCUMENTS), False)
            (folder / "pyhanko.pdf").write_bytes(pyhanko[0].call("sample")[0])
            _assert_sealed(folder / "pyhanko.pdf", algorithm)
            for name, program in java.items():
                program.sample(folder / f"{name}.pdf")
                _assert_sealed(folder / f"{name}.pdf", algorithm)
                program.documents_per_s(QUICK_WARM_UP_S if options.quick else WARM_UP_S)
            for number in range(options.runs):
                rates["ours"].append(client.run(algorithm, "mix", seconds=options.seconds).sent.per_s)
                office.quiet()
                for name, program in java.items():
                    rates[name].append(program.documents_per_s(options.seconds))
                for one in pyhanko:
                    one.begin("sign_for", options.seconds)
                rates["pyhanko"].append(sum(one.result().per_s for one in pyhanko))
                said = ", ".join(f"{name} {done[-1]:,.0f}/s" for name, done in rates.items())
                bench.say(f"{algorithm} peers {number + 1}/{options.runs}: {said}")
        fastest = [max(done[number] for name, done in rates.items() if name != "ours") for number in range(options.runs)]
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], fastest, strict=True)]
        return [
            Figure.of(f"peers.{algorithm}", ratios),
            *(Figure.of(f"peers.{algorithm}.{name}", done, PER_S) for name, done in rates.items()),
        ]


def _assert_sealed(file: Path, algorithm: str) -> None:
    """RuntimeError unless the peer did the same work: pdfsig finds its signature valid, it is of that kind of key, and a timestamp is over it.

    Its certificates are not asked about, they are ours.
    """
    said = subprocess.run(["pdfsig", "-nocert", str(file)], capture_output=True, text=True, check=False).stdout
    if "ETSI.CAdES.detached" not in said or "Signature is Valid." not in said:
        raise RuntimeError(f"{file.name}: pdfsig does not find what the peer signed valid:\n{said}")
    (signature,) = PdfFileReader(io.BytesIO(file.read_bytes())).embedded_regular_signatures
    signer = signature.signer_info
    stamps = [value for each in signer["unsigned_attrs"] if each["type"].native == "signature_time_stamp_token" for value in each["values"]]
    if signature.signer_cert.public_key.algorithm != KEYS[algorithm] or not stamps:
        raise RuntimeError(f"{file.name}: the peer signed with another kind of key, or made no timestamp")
    imprint = stamps[0]["content"]["encap_content_info"]["content"].parsed["message_imprint"]["hashed_message"].native
    if imprint != hashlib.sha256(signer["signature"].native).digest():
        raise RuntimeError(f"{file.name}: the peer's timestamp is over something else")
