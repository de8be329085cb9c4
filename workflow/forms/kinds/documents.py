"""Seal exactly these documents: the approval covers the root of their manifest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field

from sealcore.errors import Code, VermilionError
from sealcore.protocol import actions, leaf
from sealcore.protocol.canonical import MOST_INTEGER, b64url_decode
from sealcore.protocol.covers import ManifestCovers
from sealcore.protocol.json_objects import placement_from_json
from sealcore.protocol.leaf import MOST_MARKS, MOST_PAGES
from sealcore.protocol.manifest import DocumentEntry, Manifest
from workflow import access
from workflow.forms.kinds.kind import Application, Kind, KindBody, Plan
from workflow.office import Office
from workflow.principal import Principal
from workflow.web.fields import SINT32, Body, FileName, Millipoints, Reason, Salt, Sha256, Uuid

MOST_DOCUMENTS = 10_000  # of one form: its answer stays below some ten megabytes


@dataclass(frozen=True)
class Documents:
    """A batch to be sealed; ``root`` is what the client computed over it.

    unsaid  positions of documents of which the caller does not say how they are certified: as their seal is registered
    """

    entries: tuple[DocumentEntry, ...]
    salts: tuple[bytes, ...]
    root: bytes | None = None
    unsaid: frozenset[int] = frozenset()


class Mark(Body):
    """A visible seal: the picture with this digest at one rectangle [x0, y0, x1, y1] (1/1000 PDF units) on some pages (0-based, ascending)."""

    pages: Annotated[list[Annotated[int, Field(ge=0, le=SINT32)]], Field(min_length=1, max_length=MOST_PAGES)]
    rect: Annotated[list[Millipoints], Field(min_length=4, max_length=4)]
    picture: Sha256
    kind: Literal["plain", "riding"] = "plain"


class Texts(Body):
    """Texts of the signature; empty or missing means absent."""

    name: Reason = ""
    reason: Reason = ""
    location: Reason = ""
    contact: Reason = ""


class Placement(Body):
    """How a document is sealed. `certification`: 0 none, 1 final, 2 others may sign and fill in; null, as the seal is registered."""

    marks: Annotated[list[Mark], Field(max_length=MOST_MARKS)] = Field(default_factory=list)
    texts: Texts = Texts()
    certification: Literal[0, 1, 2] | None = None
    level: Literal["B-T"] = "B-T"

    def to_domain(self) -> leaf.Placement:
        """The placement; INVALID_ARGUMENT. What is not said of the certification is for the use case to fill in."""
        return placement_from_json({**self.model_dump(), "certification": self.certification or 0})


class Document(Body):
    """One document of a batch; `name` is for people, the digest and the size are what counts."""

    name: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0, le=MOST_INTEGER)]
    salt: Salt
    placement: Placement = Placement()


class DocumentsApplication(KindBody):
    """Seal exactly these documents. With `root`, the workflow refuses documents that do not add up to it."""

    seal: Uuid
    action: Literal["seal"] = "seal"
    documents: Annotated[list[Document], Field(min_length=1, max_length=MOST_DOCUMENTS)]
    root: Sha256 | None = None

    def to_domain(self) -> Application:
        entries = tuple(
            DocumentEntry(one.name, bytes.fromhex(one.sha256), one.size_bytes, one.placement.to_domain()) for one in self.documents
        )
        unsaid = frozenset(at for at, one in enumerate(self.documents) if one.placement.certification is None)
        salts = tuple(b64url_decode(one.salt, Code.INVALID_ARGUMENT) for one in self.documents)
        root = None if self.root is None else bytes.fromhex(self.root)
        return self._application(self.seal, self.action, Documents(entries, salts, root, unsaid))


class DocumentsKind(Kind):
    """A batch of documents."""

    tag, body, request, covers = "documents", DocumentsApplication, Documents, ManifestCovers

    def require_allowed(self, caller: Principal, application: Application) -> None:
        require_sealing(caller, application)

    def plan(self, office: Office, application: Application, now: int) -> Plan:
        asked: Documents = application.asked
        entries = _certified(office, application.seal, asked)
        manifest = Manifest.build(entries, salts=asked.salts)
        if asked.root is not None and asked.root != manifest.root:
            raise VermilionError(Code.PROOF_INVALID, "the documents do not add up to the root that was sent with them")
        return Plan(manifest.covers, now, self.ends(office, application, now), entries, manifest.leaves)


def require_sealing(caller: Principal, application: Application) -> None:
    """ACTION_MISMATCH unless the form is for sealing, PERMISSION_DENIED for a caller who does not use seals."""
    if application.action != actions.SEAL:
        raise VermilionError(Code.ACTION_MISMATCH, "documents and grants are for the action seal")
    access.require_may_use_seals(caller)


def _certified(office: Office, seal: str, asked: Documents) -> tuple[DocumentEntry, ...]:
    """The documents with the seal's own certification where the caller does not say: decisions are signed over what results."""
    if not asked.unsaid:
        return asked.entries
    default = office.register.seal(seal).certification
    return tuple(
        replace(entry, placement=replace(entry.placement, certification=default)) if at in asked.unsaid else entry
        for at, entry in enumerate(asked.entries)
    )
