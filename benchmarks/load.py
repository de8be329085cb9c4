"""Prepares the load: documents, manifests, approvals by people, and the very messages that will go over the wire.

All of it happens before the clock starts, over the same interfaces that a client, an applicant and approvers use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

from benchmarks import strangers
from benchmarks.documents import KINDS, MIX, Kind, Paper, one_of_size, papers
from protos.vermilion.v1 import signer_pb2
from sealcore.protocol.decision import Verdict
from sealcore.protocol.leaf import Mark, Placement, Rectangle
from vermilion import client as clients
from vermilion.client import jobs
from vermilion.client.jobs import Job
from vermilion.client.people import decide
from vermilion.planning.examples import DEMO_CLIENT
from vermilion.remote.workflow_client import tls_of
from vermilion.state.layout import Layout
from vermilion.state.office import Office, PersonPlan
from vermilion.use_cases.people_token import PeopleToken

DOCUMENTS_A_FORM: Final = 5_000  # the workflow takes 10,000
ITEMS_A_MESSAGE: Final = 64
MESSAGE_BYTES: Final = 3 * 1024 * 1024  # below gRPC's 4 MiB
CHUNK_BYTES: Final = 1024 * 1024
MARK: Final = Rectangle(420_000, 40_000, 539_000, 159_000)  # 42 mm, bottom right of an A4 page
_PATTERNS: Final = {"mix": MIX, **{kind.name: (kind,) for kind in KINDS}}


@dataclass(frozen=True)
class Order:
    """What to prepare: so many documents of the mix or of one class, for a seal, under a series that no other load has."""

    seal: str  # its kind in the office
    what: str  # mix, small, medium, large; sandboxed (real documents, the same ones in every load)
    documents: int
    series: str

    @property
    def pattern(self) -> Sequence[Kind]:
        """The kinds in turn."""
        return _PATTERNS[self.what]


@dataclass(frozen=True)
class Message:
    """A serialised request and how many documents end with it."""

    data: bytes
    documents: int


@dataclass(frozen=True)
class Sheaf:
    """One approved form, ready to be sent: its token and the messages of a stream."""

    token: str
    messages: tuple[Message, ...]

    @property
    def documents(self) -> int:
        """How many there are."""
        return sum(message.documents for message in self.messages)

    @property
    def opening(self) -> bytes:
        """The first message of the stream."""
        return signer_pb2.SealStreamRequest(open=signer_pb2.SealStreamRequest.Open(token=self.token, packed=True)).SerializeToString()


@dataclass(frozen=True)
class Approved:
    """One approved form, its documents in memory."""

    token: str
    papers: tuple[Paper, ...]
    jobs: tuple[Job, ...]

    def items(self) -> Iterator[signer_pb2.Item]:
        """The items with their documents."""
        for job, paper in zip(self.jobs, self.papers, strict=True):
            item = job.message()
            item.document = paper.content
            yield item


class Preparer:
    """Client, applicant and approvers of an office, in one process. Context manager."""

    def __init__(self, layout: Layout, office: Office) -> None:
        self._layout, self._office = layout, office
        self._placed: dict[tuple[str, int | None], Placement] = {}

    def __enter__(self) -> Preparer:
        office = self._office
        self._client = clients.Office(
            office.url("workflow", scheme="https"), office.listen("signer").target, tls_of(self._layout, DEMO_CLIENT)
        )
        self._people = PeopleToken.open(self._layout.token_settings("people"))
        self._people.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._people.__exit__(kind, value, trace)
        self._client.close()

    def sheaves(self, order: Order) -> list[Sheaf]:
        """The load as streams, one a form."""
        return [Sheaf(form.token, tuple(_messages(form.items()))) for form in self.forms(order)]

    def forms(self, order: Order) -> Iterator[Approved]:
        """The load as approved forms of at most so many documents each."""
        made = self._papers(order)
        left = order.documents
        while left > 0:
            count = min(DOCUMENTS_A_FORM, left)
            yield self._approved(order.seal, tuple(next(made) for _ in range(count)))
            left -= count

    def huge(self, seal: str, size_bytes: int, series: str) -> Sheaf:
        """One large document, which follows its item in chunks."""
        form = self._approved(seal, (one_of_size(size_bytes, series),))
        (job,), content = form.jobs, form.papers[0].content
        items = signer_pb2.SealStreamRequest(items=signer_pb2.SealStreamRequest.Items(items=[job.message()]))
        messages = [Message(items.SerializeToString(), 0)]
        for offset in range(0, len(content), CHUNK_BYTES):
            data = content[offset : offset + CHUNK_BYTES]
            chunk = signer_pb2.SealStreamRequest(chunk=signer_pb2.SealStreamRequest.Chunk(index=0, offset=offset, data=data))
            messages.append(Message(chunk.SerializeToString(), int(offset + len(data) == len(content))))
        return Sheaf(form.token, tuple(messages))

    def _papers(self, order: Order) -> Iterator[Paper]:
        if order.what != strangers.NAME:
            return papers(order.pattern, order.documents, order.series)
        picture = (self._layout.pki / "pictures" / f"{order.seal}.pdf").read_bytes()
        return strangers.papers(order.documents, Placement((_mark(0, picture),)), picture)

    def _approved(self, kind: str, made: tuple[Paper, ...]) -> Approved:
        """Applies for one form and has it approved by as many people as its seal asks for."""
        seal = self._office.seal(kind)
        documents = [clients.Document(f"{paper.kind.name}-{number}.pdf", paper.content) for number, paper in enumerate(made)]
        placements = {document.name: self._placement(kind, paper) for document, paper in zip(documents, made, strict=True)}
        applicant = next(person for person in self._office.people if "applicant" in person.roles)
        approvers = [person for person in self._office.people if "approver" in person.roles][: seal.quorum]
        form = self._client.apply(
            seal.id,
            documents,
            title="Benchmark",
            applicant=applicant.id,
            placement=lambda document: placements[document.name],
            examined=True,  # they are ours
        )
        deciding: list[tuple[PersonPlan, Verdict]] = [(applicant, "apply"), *((one, "approve") for one in approvers)]
        for person, verdict in deciding:
            signed = decide(form.context, person.id, verdict, self._people.key(person.id), now=datetime.now(UTC))
            self._client.decide(form.number, signed)
        return Approved(self._client.token(form.number), made, tuple(jobs.of_manifest(form, documents)))

    def _placement(self, kind: str, paper: Paper) -> Placement:
        """The seal's picture on the last page, or nowhere; one object for all that are alike."""
        key = kind, paper.last_page if paper.visible else None
        if key not in self._placed:
            picture = (self._layout.pki / "pictures" / f"{kind}.pdf").read_bytes()
            self._placed[key] = Placement((_mark(paper.last_page, picture),) if paper.visible else ())
        return self._placed[key]


def _mark(page: int, picture: bytes) -> Mark:
    return Mark((page,), MARK, hashlib.sha256(picture).digest())


def _messages(items: Iterator[signer_pb2.Item]) -> Iterator[Message]:
    waiting: list[signer_pb2.Item] = []
    size_bytes = 0
    for item in items:
        if waiting and (len(waiting) == ITEMS_A_MESSAGE or size_bytes + len(item.document) > MESSAGE_BYTES):
            yield _message(waiting)
            waiting, size_bytes = [], 0
        waiting.append(item)
        size_bytes += len(item.document) + 1024  # with room for proof and placement
    if waiting:
        yield _message(waiting)


def _message(items: list[signer_pb2.Item]) -> Message:
    request = signer_pb2.SealStreamRequest(items=signer_pb2.SealStreamRequest.Items(items=items))
    return Message(request.SerializeToString(), len(items))
