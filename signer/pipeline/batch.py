"""A document on its way through the engine: what each stage made for the next, and what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sealcore.errors import Code, VermilionError
from sealcore.protocol.ledger_entry import signature_hash, timestamp_hash
from signer.api.messages import Outcome
from signer.pdf.plan import Document, Plan, Prepared
from signer.pdf.readback.objects import require_accounted
from signer.pdf.readback.signature import read_back
from signer.pipeline.commit import Finished
from signer.pipeline.gate import AdmittedItem, ItemRequest
from signer.pipeline.keys import SealKey
from signer.uses.store import Intent, SealedUse


class Asked(Protocol):
    """Documents of one client under one token. ``answer`` is called with each outcome once, some now, some later, by any thread."""

    @property
    def jws(self) -> str: ...
    @property
    def peer(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def deadline_ns(self) -> int | None: ...
    @property
    def traceparent(self) -> str: ...
    @property
    def requests(self) -> Sequence[ItemRequest]: ...
    def answer(self, outcomes: Sequence[Outcome]) -> None: ...
    def answer_later(self, outcomes: Sequence[Outcome]) -> None: ...


@dataclass(slots=True)
class Underway:
    """A document on its way: what each stage made for the next, and in the end its result. ``apart``: it left the batch."""

    asked: Asked
    request: ItemRequest
    item: AdmittedItem | None = None
    intent: Intent | None = None
    key: SealKey | None = None
    prepared: Prepared | None = None
    signature: bytes = b""
    token: bytes = b""
    finished: Finished | None = None
    result: SealedUse | VermilionError | None = None
    apart: bool = False

    @property
    def content(self) -> Document:
        """The document itself."""
        return self.request.document

    def refuse(self, refusal: VermilionError) -> None:
        """Ends it, naming the document."""
        name = refusal.document or self.request.name or str(self.request.index)
        self.result = VermilionError(refusal.code, refusal.reason, document=name, rule=refusal.rule)

    # What an earlier stage made. A stage sees only documents for which the earlier ones succeeded.

    @property
    def admitted(self) -> AdmittedItem:
        """Made by the gate."""
        assert self.item is not None
        return self.item

    @property
    def seal_key(self) -> SealKey:
        """Found by the gate."""
        assert self.key is not None
        return self.key

    @property
    def attempt(self) -> Intent:
        """Begun by Intend."""
        assert self.intent is not None
        return self.intent

    @property
    def update(self) -> Prepared:
        """Made by prepare."""
        assert self.prepared is not None
        return self.prepared

    def digest(self) -> hashlib._Hash:
        """The state of the signature's hash after the whole document; never to be updated itself."""
        hash_name = self.seal_key.template.hash_name
        return self.admitted.digest if hash_name == "sha256" else hashlib.new(hash_name, self.content)

    def require_honest(self, prepared: Prepared, plan: Plan) -> None:
        """Holds what a writer made to the bytes and to the plan, before anything is signed: who took it over gets no other digest

        signed (I2), and no update that holds more than the approved marks (I4). DOCUMENT_READBACK.
        """
        size_bytes, (_, first, second, _) = len(self.content), prepared.byte_range
        digest = self.digest().copy()
        digest.update(prepared.suffix[: first - size_bytes])
        digest.update(prepared.suffix[second - size_bytes :])
        if prepared.document_size_bytes != size_bytes or digest.digest() != prepared.digest:
            raise VermilionError(Code.DOCUMENT_READBACK, "what was prepared is not an update of this document")
        require_accounted(self.content, prepared.suffix, plan, prepared.field_name)

    def read_back(self, suffix: bytes) -> Finished:
        """What Commit stores, once the reader that shares no code with the writer has agreed; DOCUMENT_READBACK."""
        prepared, key = self.update, self.seal_key
        read_back(
            self.content,
            suffix,
            document_digest=self.digest(),
            field_name=prepared.field_name,
            expected_spki_sha256=key.key.spki_sha256,
            expected_digest=prepared.digest,
            hash_name=key.template.hash_name,
        )
        sealed = self.admitted.digest.copy()
        sealed.update(suffix)
        return Finished(
            intent=self.attempt,
            suffix=suffix,
            sealed_sha256=sealed.digest(),
            signature_hash=signature_hash(self.signature),
            timestamp_hash=timestamp_hash(self.token),
            warnings=(*self.admitted.admission.warnings, *prepared.warnings),
        )


Documents = Sequence[Underway]


def going(documents: Documents) -> list[Underway]:
    """Those that go on in this batch."""
    return [document for document in documents if document.result is None and not document.apart]


def end(documents: Documents, fault: VermilionError) -> None:
    """The same refusal for all that are still going."""
    for document in going(documents):
        document.result = fault


def outcomes(documents: Documents) -> list[Outcome]:
    """Of those that have ended."""
    return [Outcome(document.request.index, document.result) for document in documents if document.result is not None]


def label(result: SealedUse | VermilionError | None) -> str:
    """How the metrics call it."""
    if isinstance(result, SealedUse):
        return "repeated" if result.repeated else "sealed"
    return str(result.code) if result else "none"
