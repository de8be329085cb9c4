"""A document that has taken over the process that reads it answers what it likes, and its caller holds that to what may be answered.

It is refused alone, by a typed error that is about documents, with texts that are fit to be shown; its caller goes on.
"""

from __future__ import annotations

import datetime
import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import longterm.sandbox
import signer.pipeline.dry_run
import signer.pipeline.examiner
import signer.pipeline.sandbox
import verify.sandbox
from longterm.certificates import Certificate, Chain, NoPathError, certificate
from longterm.model import Signed
from sealcore.errors import VermilionError
from sealcore.platform.sandbox import TELLABLE, ForkServer, Job
from sealcore.protocol.leaf import Placement
from signer.pdf.plan import ContentPolicy, Plan
from signer.pipeline.dry_run import Candidate, DryRun, Judgement
from signer.pipeline.examiner import Examiner
from tests.attacks.answering import document
from tests.pki import InfrastructureCa
from verify.codes import FindingCode
from verify.trust import TrustMaterial

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
PLAN = Plan("seal", NOW, Placement(), {}, 10_240, ContentPolicy.REPORT, "1", "Office")
DEEP = b"[" * 200_000
PREPARED: dict[str, Any] = {
    "hole_offset": 100,
    "hole_size_bytes": 10,
    "byte_range": [0, 100, 122, 10],
    "digest": "00" * 32,
    "field_name": "seal",
    "warnings": [],
}


def parts(*contents: bytes, count: int | None = None, size: int | None = None) -> bytes:
    """As ``wire`` sends them, or with a count or a size that lies."""
    sizes = [len(each) if size is None else size for each in contents]
    return struct.pack(">I", len(contents) if count is None else count) + struct.pack(f">{len(sizes)}Q", *sizes) + b"".join(contents)


def refused(**told: Any) -> bytes:
    return b"R" + parts(json.dumps({"code": "DOCUMENT_DAMAGED", "reason": "x", "document": "", "rule": ""} | told).encode())


def prepared(**told: Any) -> bytes:
    return b"A" + parts(json.dumps(PREPARED | told).encode(), bytes(132))


ANSWERS = {
    "nothing": b"",
    "an unknown outcome": b"Z",
    "a fault called like orders to a terminal": b"F" + parts(b"\x1b]0;owned\x07\x1b[31m\nred"),
    "a fault of megabytes": b"F" + parts(b"x" * 3_000_000),
    "refused, a list in lists": b"R" + parts(DEEP),
    "refused, an object in objects": b"R" + parts(b'{"a":' * 100_000),
    "refused, infinite": b"R" + parts(b'{"code":Infinity,"reason":1e999,"document":NaN,"rule":""}'),
    "refused, a number without end": b"R" + parts(b'{"code":' + b"9" * 20_000 + b"}"),
    "refused, no object": b"R" + parts(b"[1]"),
    "refused, nothing": b"R" + parts(),
    "refused, in UTF-16": b"R" + parts("{}".encode("utf-16")),
    "refused, twice the same": b"R" + parts(b'{"code":"DOCUMENT_DAMAGED","code":[],"reason":"","document":"","rule":""}'),
    "refused, unshowable": refused(reason="\ud800\u202e\x1b[31m\n", document="\ud800\u202e\x1b", rule="\udc80\x1b"),
    "refused, a list for a reason": refused(reason=[[1] * 10_000], rule={"a": 1}),
    "too many parts": b"A" + struct.pack(">I", 65),
    "parts of nothing": b"A" + parts(*[b""] * 64),
    "one part of nothing": b"A" + parts(b""),
    "two numbers": b"A" + parts(b"-1", b"0"),
    "two large numbers": b"A" + parts(b"9" * 4000, b"9" * 4000),
    "two larger numbers": b"A" + parts(b"9" * 5000, b"9" * 5000),
    "more than there is": b"A" + parts(b"", size=2**64 - 1),
    "less than announced": b"A" + parts(b"", size=1_000_000),
    "a list in lists": b"A" + parts(DEEP),
    "a list in lists, and an update": b"A" + parts(DEEP, b"x"),
    "null": b"A" + parts(b"null"),
    "lists": b"A" + parts(b"[[]]"),
    "text": b"A" + parts(b'"\\ud800\\u001b[31m"'),
    "terminal": b"A" + parts(b"\x1b[31m"),
    "a judgement with a list for a code": b"A" + parts(b'[{"code":[],"reason":[]}]'),
    "a judgement with an object for a code": b"A" + parts(b'[{"code":{},"reason":[]}]'),
    "a judgement without a reason": b"A" + parts(b'[{"code":"DOCUMENT_XFA"}]'),
    "a judgement with warnings": b"A" + parts(json.dumps([{"warnings": ["\ud800\x1b[31m", [[]], {"a": float("inf")}] * 99}]).encode()),
    "an infinite offset": prepared(hole_offset=float("inf")),
    "no offset": prepared(hole_offset=float("nan")),
    "a negative offset": prepared(hole_offset=-1, byte_range=[0, -1, 21, 10]),
    "a large offset": prepared(hole_offset=10**4000),
    "three numbers": prepared(byte_range=[0, 1, 2]),
    "unshowable name": prepared(field_name="\ud800"),
    "unshowable warnings": prepared(warnings=["\ud800", "\x1b"]),
    "warnings that are none": prepared(warnings={"a": 1}),
    "a million warnings": prepared(warnings=["w"] * 1_000_000),
} | {
    f"refused with {code}": refused(code=code)
    for code in (
        "RESOURCES_EXHAUSTED",
        "STORAGE_FULL",
        "INTERNAL",
        "OVERLOADED",
        "SEAL_SUSPENDED",
        "SERVICE_UNAVAILABLE",
        "HSM_PIN_REFUSED",
    )
}


@pytest.fixture
def ca(tmp_path: Path) -> InfrastructureCa:
    return InfrastructureCa(tmp_path)


@pytest.fixture(scope="module")
def answering() -> Iterator[Callable[[Job], ForkServer]]:
    """Servers whose children answer what documents say."""
    made: list[ForkServer] = []

    def server(job: Job) -> ForkServer:
        made.append(ForkServer(replace(job, function="tests.attacks.answering:work", preload=())))
        return made[-1]

    yield server
    for each in made:
        each.close()


def require_harmless(refusal: VermilionError) -> None:
    assert refusal.code in TELLABLE
    for text in (refusal.reason, refusal.document or "", refusal.rule):
        assert text.isprintable() and len(text) <= 2000


def all_refused(call: Callable[[bytes], object]) -> None:
    for name, answer in ANSWERS.items():
        try:
            found = call(document(answer))
        except VermilionError as refusal:
            require_harmless(refusal)
        else:
            pytest.fail(f"{name}: {found!r:.200}")


def test_who_prepares(answering: Callable[[Job], ForkServer]) -> None:
    sandbox = signer.pipeline.sandbox.Sandbox(largest_document_bytes=2**30, workers=1)
    sandbox._server = answering(signer.pipeline.sandbox.JOB)
    all_refused(lambda each: sandbox.run(each, PLAN))


def test_who_tries_without_sealing(answering: Callable[[Job], ForkServer]) -> None:
    """Whatever one of several says, the others are tried each alone."""
    trial = DryRun()
    trial._server = answering(signer.pipeline.dry_run.JOB)
    for name, answer in ANSWERS.items():
        candidate = Candidate(document(answer), PLAN)
        assert trial.together([candidate, candidate]) == [None, None], name
        judgement = trial.alone(candidate)
        if judgement.refusal:
            require_harmless(judgement.refusal)
        else:
            assert name == "a judgement with warnings"
            assert judgement == Judgement(("<U+D800><U+001B>[31m", "[[]]", "{'a': inf}") * 10 + ("<U+D800><U+001B>[31m", "[[]]"))


def test_who_examines_pictures_and_templates(answering: Callable[[Job], ForkServer]) -> None:
    examiner = Examiner()
    examiner._sandbox = answering(signer.pipeline.examiner.JOB)
    all_refused(lambda each: examiner.fingerprint(each, []))
    all_refused(examiner.picture_size)


def test_who_verifies(answering: Callable[[Job], ForkServer], ca: InfrastructureCa) -> None:
    sandbox = verify.sandbox.Sandbox()
    sandbox._server = answering(verify.sandbox.JOB)
    for name, answer in ANSWERS.items():
        reading = sandbox.read(document(answer), TrustMaterial((ca.root,), (ca.certificate,)), NOW)
        assert not reading.seals and {each.code for each in reading.findings} <= {FindingCode.DAMAGED, FindingCode.TOO_COMPLEX}, name
        assert reading.findings, name


def test_who_extends(answering: Callable[[Job], ForkServer]) -> None:
    sandbox = longterm.sandbox.Sandbox()
    sandbox._server = answering(longterm.sandbox.JOB)
    all_refused(sandbox.read)
    odd = Signed("Seal", False, b"nothing that the compiled core understands", (0, 1, 2, 3))
    all_refused(lambda each: sandbox.prove(each, [odd]))


def test_a_chain_is_one(ca: InfrastructureCa) -> None:
    """Said of a path by who was to build it, and may have been taken over by a certificate."""
    leaf = x509.load_pem_x509_certificate(ca.identity("leaf", "urn:leaf").certificate_file.read_bytes())
    under_leaf = ca._sign(x509.Name([]), ca._key.public_key(), leaf.subject, ca._key)
    strange = InfrastructureCa(ca.folder / "strange")
    own, above, root = (certificate(each.public_bytes(Encoding.DER)) for each in (leaf, ca.certificate, ca.root))
    child, other, other_root = (certificate(each.public_bytes(Encoding.DER)) for each in (under_leaf, strange.certificate, strange.root))

    def answered(told: object, leaf: Certificate = own, anchor: Certificate = root) -> Chain:
        return longterm.sandbox._chain(told, leaf, [own, above, other], [anchor])

    def of(*chain: Certificate) -> list[str]:
        return longterm.sandbox._texts(each.der for each in chain)

    assert answered(of(own, above, root)) == (own, above, root)
    for told in ([], of(own), of(root), of(own, root), of(own, other, root), of(own, above, other, root), of(own, above, own, above, root)):
        with pytest.raises(VermilionError, match="is not trusted: its chain is none"):
            answered(told)
    with pytest.raises(VermilionError, match="is not trusted: its chain is none"):
        answered(of(own, above, other_root), anchor=other_root)
    with pytest.raises(VermilionError, match="is not trusted: its chain is none"):
        answered(of(child, own, above, root), leaf=child)  # which was issued by what is no CA
    with pytest.raises(NoPathError, match="<U\\+001B>"):
        answered("\x1b[31m")
