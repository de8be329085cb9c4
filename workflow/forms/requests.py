"""What comes in about forms: applications and decisions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, RootModel, StringConstraints, Tag

from sealcore.errors import Code
from sealcore.protocol import leaf
from sealcore.protocol.canonical import MOST_INTEGER, b64url_decode
from sealcore.protocol.covers import MOST_GRANT_USES, MOST_LIST_ITEMS, MOST_PARAMETERS, PARAMETER_CHARACTERS
from sealcore.protocol.json_forms import placement_from_json
from sealcore.protocol.leaf import MOST_MARKS, MOST_PAGES
from sealcore.protocol.manifest import DocumentEntry
from workflow.forms import use_cases as forms
from workflow.web.fields import (
    SINT32,
    Base64,
    Body,
    FileName,
    Millipoints,
    Readable,
    Reason,
    Salt,
    Sha256,
    Signature,
    Time,
    Title,
    UnitCode,
    Uuid,
    bytes_of,
)

MOST_ATTACHMENTS = 16  # of one act
MOST_DOCUMENTS = 10_000  # of one form: its answer stays below some ten megabytes


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


class _Applied(Body):
    title: Title
    unit: UnitCode | None = None
    applicant: Uuid | None = Field(default=None, description="The person who applies; they then sign with the verdict `apply`.")
    valid_s: Annotated[int, Field(ge=1, le=MOST_INTEGER)] | None = Field(default=None, description="Shortens the form's term.")

    def _application(self, seal: str, action: str, asked: forms.Documents | forms.GrantRequest | forms.ActRequest) -> forms.Application:
        return forms.Application(seal, action, self.title, asked, self.unit, self.applicant, self.valid_s)


class DocumentsApplication(_Applied):
    """Seal exactly these documents. With `root`, the workflow refuses documents that do not add up to it."""

    seal: Uuid
    action: Literal["seal"] = "seal"
    documents: Annotated[list[Document], Field(min_length=1, max_length=MOST_DOCUMENTS)]
    root: Sha256 | None = None

    def to_domain(self) -> forms.Application:
        entries = tuple(
            DocumentEntry(one.name, bytes.fromhex(one.sha256), one.size_bytes, one.placement.to_domain()) for one in self.documents
        )
        unsaid = frozenset(at for at, one in enumerate(self.documents) if one.placement.certification is None)
        salts = tuple(b64url_decode(one.salt, Code.INVALID_ARGUMENT) for one in self.documents)
        root = None if self.root is None else bytes.fromhex(self.root)
        return self._application(self.seal, self.action, forms.Documents(entries, salts, root, unsaid))


class GrantTerms(Body):
    """A standing approval: so many uses until a time, on a registered template or on `none`."""

    uses: Annotated[int, Field(ge=1, le=MOST_GRANT_USES)]
    until: Time
    template: Annotated[str, StringConstraints(pattern=r"^(none|[0-9a-f]{64})$")] = "none"


class GrantApplication(_Applied):
    """Let a client seal under a standing approval."""

    seal: Uuid
    action: Literal["seal"] = "seal"
    grant: GrantTerms

    def to_domain(self) -> forms.Application:
        template = None if self.grant.template == "none" else self.grant.template
        return self._application(self.seal, self.action, forms.GrantRequest(self.grant.uses, self.grant.until, template))


_Plain = (
    Annotated[str, StringConstraints(max_length=PARAMETER_CHARACTERS), Readable] | Annotated[int, Field(ge=-MOST_INTEGER, le=MOST_INTEGER)]
)
Parameters = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
        _Plain | Annotated[list[_Plain], Field(max_length=MOST_LIST_ITEMS)],
    ],
    Field(max_length=MOST_PARAMETERS),
]


class ActApplication(_Applied):
    """Have an act carried out once it is approved.

    `resume` a seal; change the `register`, or with `policy_add` the workflow's policies (then `seal` is empty); `revoke` a certificate
    or release it from a hold (`seal` is empty where the certificate is no seal's); `create` an identity: a client's, an operator's, a
    machine's or a person's certificate (`seal` is empty).
    """

    seal: Uuid | Literal[""] = ""
    action: Literal["resume", "register", "revoke", "create"]
    act: Parameters
    attachments: Annotated[list[Base64], Field(max_length=MOST_ATTACHMENTS, description="Files that the act names by SHA-256.")] = Field(
        default_factory=list
    )

    def to_domain(self) -> forms.Application:
        files = tuple(map(bytes_of, self.attachments))
        return self._application(self.seal, self.action, forms.ActRequest(dict(self.act), files))


def _kind_of_application(body: Any) -> str:
    names = body if isinstance(body, dict) else {}
    return next((kind for kind in ("grant", "act") if kind in names), "documents")


class Application(
    RootModel[
        Annotated[
            Annotated[DocumentsApplication, Tag("documents")]
            | Annotated[GrantApplication, Tag("grant")]
            | Annotated[ActApplication, Tag("act")],
            Discriminator(_kind_of_application),
        ]
    ]
):
    """What a form asks for: documents, a grant, or an act."""

    def to_domain(self) -> forms.Application:
        """The use case's input; INVALID_ARGUMENT for what the domain refuses."""
        return self.root.to_domain()


class Decision(Body):
    """A person's decision. `signature`: DER ECDSA over SHA-256 of the decision statement. A rejection needs a reason."""

    person: Uuid
    verdict: Literal["apply", "approve", "reject"]
    time: Time
    signature: Signature
    reason: Reason = ""
