"""7: what must be refused, tried for real: each attempt goes to the running services and has to come back with its own code."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from vermilion import client
from vermilion.client import jobs
from vermilion.client.jobs import Job
from vermilion.demo.papers import PAPER_BYTES, payment_order
from vermilion.demo.stage import APPLICANT, FIRST, OFFICER, SECOND, Stage
from vermilion.demo.story import heading
from vermilion.messages import text
from vermilion.planning.examples import DEMO_CLIENT
from vermilion.remote.workflow_client import tls_of
from vermilion.terminal import show_outcome
from vermilion.use_cases import acts

TIMEOUT_S = 60.0
SHORT_TERM_S = 3
GRANT_TERM_S = 3600


@dataclass(frozen=True)
class Approved:
    """An approved form over two small documents, with its token; the first of them is sealed."""

    form: client.Form
    token: str
    jobs: list[Job]
    sealed: signer_pb2.Sealed


def all_of_them(stage: Stage, specimens: Path) -> bool:
    """Every attempt; whether each ended as it must."""
    heading("attempts")
    with _Wire(stage, DEMO_CLIENT) as wire, _Wire(stage, "operator") as operator:
        ready = _prepare(stage, wire)
        held = [_replay(wire, ready)]
        held += [_expect(stage, name, code, partial(attempt, stage, wire, ready)) for name, code, attempt in ATTEMPTS]
        held.append(_expect(stage, "operator", Code.PERMISSION_DENIED, lambda: operator.seal(ready.token, _item(ready.jobs[1]))))
        held.append(_grant(stage, wire, specimens))
        held.append(_suspended(stage, wire, ready))
    return all(held)


class _Wire:
    """Single seals straight over gRPC, so that a request can be bent as no client library would."""

    def __init__(self, stage: Stage, identity: str) -> None:
        self._channel = channel(stage.office.listen("signer").target, tls_of(stage.layout, identity))
        self._stub: Any = signer_pb2_grpc.SignerStub(self._channel)  # type: ignore[no-untyped-call]

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._channel.close()

    def seal(self, token: str, item: signer_pb2.Item) -> signer_pb2.Sealed:
        """One document; the signer's refusal comes back typed."""
        try:
            answer: signer_pb2.SealResponse = self._stub.Seal(signer_pb2.SealRequest(token=token, item=item), timeout=TIMEOUT_S)
        except grpc.RpcError as fault:
            raise from_rpc_error(fault) from None
        return answer.sealed


def _item(job: Job, content: bytes | None = None) -> signer_pb2.Item:
    message = job.message()
    message.document = job.document.read(PAPER_BYTES) if content is None else content
    return message


def _prepare(stage: Stage, wire: _Wire) -> Approved:
    documents = [payment_order(1), payment_order(2)]
    seal, applicant = stage.office.seal("contract").id, stage.person(APPLICANT).id
    form = stage.approved(stage.client.apply(seal, documents, title=text("demo.attempts.title"), applicant=applicant))
    token, work = stage.client.token(form.number), jobs.of_manifest(form, documents)
    return Approved(form, token, work, wire.seal(token, _item(work[0])))


def _replay(wire: _Wire, ready: Approved) -> bool:
    """The same request again gives the same bytes; the HSM is not asked."""
    again = wire.seal(ready.token, _item(ready.jobs[0]))
    same = again.repeated and again.suffix == ready.sealed.suffix and again.attempts == ready.sealed.attempts
    key = "demo.attempts.replay" if same else "demo.attempts.replay_failed"
    show_outcome("valid" if same else "undetermined", text(key, attempts=again.attempts))
    return same


def _one_changed_byte(_stage: Stage, wire: _Wire, ready: Approved) -> None:
    content = bytearray(ready.jobs[1].document.read(PAPER_BYTES))
    content[len(content) // 2] ^= 1
    wire.seal(ready.token, _item(ready.jobs[1], bytes(content)))


def _another_document(_stage: Stage, wire: _Wire, ready: Approved) -> None:
    other = payment_order(3)
    digest, size_bytes = other.measure()
    wire.seal(ready.token, _item(replace(ready.jobs[1], document=other, sha256=digest, size_bytes=size_bytes)))


def _another_place(stage: Stage, wire: _Wire, ready: Approved) -> None:
    mark = Mark((0,), Rectangle(72_000, 72_000, 191_000, 191_000), stage.picture(stage.office.seal("contract")).sha256)
    wire.seal(ready.token, _item(replace(ready.jobs[1], placement=replace(ready.jobs[1].placement, marks=(mark,)))))


def _no_token(_stage: Stage, wire: _Wire, ready: Approved) -> None:
    wire.seal("", _item(ready.jobs[1]))


def _forged_token(_stage: Stage, wire: _Wire, ready: Approved) -> None:
    body, _, signature = ready.token.rpartition(".")
    forged = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    wire.seal(f"{body}.{forged}", _item(ready.jobs[1]))


def _own_request(stage: Stage, _wire: _Wire, _ready: Approved) -> None:
    form = _applied(stage)
    try:
        stage.decide(form.number, form.context, APPLICANT, "approve")
    finally:
        stage.client.withdraw(form.number)


def _too_few(stage: Stage, _wire: _Wire, _ready: Approved) -> None:
    form = _applied(stage)
    stage.decide(form.number, form.context, APPLICANT, "apply")
    stage.decide(form.number, form.context, FIRST, "approve")
    try:
        stage.client.token(form.number)
    finally:
        stage.client.withdraw(form.number)


def _expired(stage: Stage, wire: _Wire, _ready: Approved) -> None:
    form = stage.approved(_applied(stage, valid_s=SHORT_TERM_S))
    token, work = stage.client.token(form.number), jobs.of_manifest(form, [payment_order(4)])
    time.sleep(max(0.0, form.context.exp - stage.clock.now().timestamp()) + 0.1)
    wire.seal(token, _item(work[0]))


def _applied(stage: Stage, valid_s: int | None = None) -> client.Form:
    seal, applicant = stage.office.seal("contract").id, stage.person(APPLICANT).id
    return stage.client.apply(seal, [payment_order(4)], title=text("demo.attempts.title"), applicant=applicant, valid_s=valid_s)


Attempt = Callable[[Stage, _Wire, Approved], None]
ATTEMPTS: tuple[tuple[str, Code, Attempt], ...] = (
    ("one_changed_byte", Code.DOCUMENT_MISMATCH, _one_changed_byte),
    ("another_document", Code.PROOF_INVALID, _another_document),
    ("another_place", Code.PROOF_INVALID, _another_place),
    ("no_token", Code.TOKEN_MISSING, _no_token),
    ("forged_token", Code.TOKEN_SIGNATURE_INVALID, _forged_token),
    ("own_request", Code.OWN_REQUEST, _own_request),
    ("too_few", Code.FORM_STATE, _too_few),
    ("expired", Code.TOKEN_EXPIRED, _expired),
)


def _grant(stage: Stage, wire: _Wire, specimens: Path) -> bool:
    """A standing approval for invoices: its first use seals, the same use for another document is refused."""
    seal, until = stage.office.seal("invoice").id, int(stage.clock.now().timestamp()) + GRANT_TERM_S
    form = stage.client.apply_grant(
        seal, uses=100, until=until, title=text("demo.attempts.grant_title"), applicant=stage.person(APPLICANT).id
    )
    form = stage.approved(form)
    (outcome,) = stage.client.seal(form, [payment_order(5, "under-a-standing-approval.pdf")], specimens)
    if outcome.path is None:
        return _wrong(text("demo.attempts.grant_title"), "sealed", str(outcome.code), outcome.reason or "")
    show_outcome("valid", text("demo.attempts.grant_used", seal="invoice"))
    other = payment_order(6)
    digest, size_bytes = other.measure()
    job = Job(0, outcome.index, other, digest, size_bytes, Placement())
    return _expect(stage, "grant_again", Code.USE_BOUND_TO_OTHER_BYTES, lambda: wire.seal(stage.client.token(form.number), _item(job)))


def _suspended(stage: Stage, wire: _Wire, ready: Approved) -> bool:
    """One officer stops the seal; nothing is sealed with it until its quorum resumes it."""
    seal = stage.office.seal("contract")
    officer, reason = stage.person(OFFICER).id, text("demo.attempts.stop_reason")
    acts.stop(stage.signer, stage.token, "seal", seal.id, officer=officer, reason=reason, now=stage.clock.now())
    held = _expect(stage, "suspended", Code.SEAL_SUSPENDED, lambda: wire.seal(ready.token, _item(ready.jobs[1])))
    form = acts.apply(stage.workflow, "resume", seal=seal.id, title=text("seals.resume_title", kind=seal.kind))
    for name in (FIRST, SECOND):
        acts.approve(stage.workflow, stage.token, form, stage.person(name).id, stage.clock.now())
    acts.await_performed(stage.workflow, form["number"])
    wire.seal(ready.token, _item(ready.jobs[1]))
    show_outcome("valid", text("demo.attempts.resumed", number=form["number"]))
    return held


def _expect(stage: Stage, name: str, code: Code, attempt: Callable[[], object]) -> bool:
    """Shows what came of an attempt; whether it was refused with ``code``."""
    what = text(f"demo.attempts.{name}")
    try:
        attempt()
    except VermilionError as fault:
        if fault.code is code:
            show_outcome("refused", str(code), text("demo.attempts.refused", what=what, reason=stage.named(fault.reason)))
            return True
        return _wrong(what, str(code), str(fault.code), fault.reason)
    return _wrong(what, str(code), "–", text("demo.attempts.not_refused"))


def _wrong(what: str, expected: str, code: str, reason: str) -> bool:
    show_outcome("undetermined", code, text("demo.attempts.wrong", what=what, expected=expected, reason=reason))
    return False
