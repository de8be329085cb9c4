"""The report of a verification: what is published as JSON (docs/schemas/verification-report.json) and shown on the page.

Times are RFC 3339 in UTC with ``Z``; digests lower hex. The field names are part of the published schema and do not change.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as member
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from verify.codes import REGISTRY, FindingCode, Row, Weight
from verify.facts import Fact

SCHEMA_ID: Final = "vermilion-verification-report-v1"
Level = Literal["B-B", "B-T", "B-LT", "B-LTA"]  # ETSI EN 319 142-1 §6


class Verdict(StrEnum):
    """The answer in one word."""

    VALID = "valid"
    INVALID = "invalid"
    UNDETERMINED = "undetermined"
    UNREADABLE = "unreadable"


class Answer(StrEnum):
    """A question's answer where "we cannot know" is one."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class SealKind(StrEnum):
    """Whose signature it is."""

    SEAL = "seal"  # its certificate leads to our root
    FOREIGN = "foreign"  # somebody else's; reported, and decides only when it is alone
    DOCUMENT_TIMESTAMP = "document_timestamp"  # proves a time, not a person


class Change(StrEnum):
    """What happened to the document after a seal."""

    NONE = "none"
    PERMITTED = "permitted"
    FORBIDDEN = "forbidden"
    UNKNOWN = "unknown"


class AuthorisedState(StrEnum):
    """What the ledger says of a seal."""

    AUTHORISED = "authorised"
    NOT_AUTHORISED = "not_authorised"
    UNDETERMINED = "undetermined"
    NOT_ASKED = "not_asked"


class Certification(StrEnum):
    """What the seal allows to happen after it (DocMDP, ISO 32000-2 table 257)."""

    NONE = "none"
    FINAL = "final"
    FORM_FILL = "form_fill"
    ANNOTATE = "annotate"


@dataclass(frozen=True)
class Finding:
    """One thing that was found: its code, what it does to the verdict, and a plain sentence.

    ``facts`` are what belongs to this case only: each by its stable key, with names and numbers as values. ``detail`` says them in
    the language of ``sentence``.
    """

    code: FindingCode
    weight: Weight
    sentence: str = ""
    detail: str = ""
    facts: tuple[Fact, ...] = ()

    @property
    def row(self) -> Row:
        """The question it answers."""
        return REGISTRY[self.code].row


def finding(code: FindingCode, /, *facts: Fact) -> Finding:
    """A finding with the weight of its code; sentence and detail are filled in when the report is written."""
    return Finding(code, REGISTRY[code].weight, facts=facts)


@dataclass(frozen=True)
class Timestamp:
    """An RFC 3161 timestamp over the seal's signature; ``token_hash`` is the one that the ledger entry carries."""

    time: str
    authority: str
    trusted: Answer
    serial: str = ""
    token_hash: str = ""


ChangeKind = Literal["seal", "signature", "document_timestamp", "validation_data", "form", "document_information", "content"]


@dataclass(frozen=True)
class Added:
    """One thing that was added after a seal, at one place where it shows.

    ``field`` is its form field, ``signer`` whose signature it is, ``trusted`` whether we know and trust the signer. ``page`` counts
    from 1, ``rectangle`` is left, bottom, right, top in the page's own units; both None where nothing shows.
    """

    kind: ChangeKind
    field: str = ""
    signer: str = ""
    trusted: Answer = Answer.UNKNOWN
    page: int | None = None
    rectangle: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Changed:
    """What changed after sealing: kinds, the names of the form fields concerned, and each addition with its place."""

    state: Change = Change.UNKNOWN
    kinds: tuple[ChangeKind, ...] = ()
    fields: tuple[str, ...] = ()
    additions: tuple[Added, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """The cosigned state of the ledger up to which it was searched."""

    origin: str
    size: int
    root: str
    cosigned_at: str | None = None


@dataclass(frozen=True)
class Authorised:
    """What the ledger says. ``form`` only when its disclosed number opens the entry's commitment; ``warnings`` are the entry's."""

    state: AuthorisedState = AuthorisedState.NOT_ASKED
    ledger_index: int | None = None
    form: str | None = None
    checkpoint: Checkpoint | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Digest:
    """The digest that was signed: over the whole file but the hole for the signature."""

    algorithm: str
    value: str


@dataclass(frozen=True)
class Seal:
    """One signature of the document. ``owner`` is the organisation, ``name`` the seal's own name, both from its certificate.

    ``level`` goes by what the document holds of it; None for a document timestamp, and for a signature that is not whole.
    """

    field: str
    kind: SealKind
    owner: str = ""
    name: str = ""
    subject: str = ""
    issuer: str = ""
    serial: str = ""
    sealed_at: str | None = None
    timestamp: Timestamp | None = None
    valid: Answer = Answer.UNKNOWN
    changed: Changed = member(default_factory=Changed)
    authorised: Authorised = member(default_factory=Authorised)
    findings: tuple[Finding, ...] = ()
    certification: Certification = Certification.NONE
    level: Level | None = None
    digest: Digest | None = None
    signature_hash: str | None = None
    twin_hash: str | None = None
    spki_sha256: str | None = None


@dataclass(frozen=True)
class Report:
    """The whole answer about one document."""

    verdict: Verdict
    sentence: str
    document: str
    sha256: str
    size_bytes: int
    verified_at: str
    seals: tuple[Seal, ...] = ()
    findings: tuple[Finding, ...] = ()
    report: Literal["vermilion-verification-report-v1"] = SCHEMA_ID

    def as_dict(self) -> dict[str, Any]:
        """As published in JSON."""
        result: dict[str, Any] = _REPORT.dump_python(self, mode="json")
        return result

    def as_json(self) -> str:
        """The same as text."""
        return _REPORT.dump_json(self, indent=2).decode()


_REPORT = TypeAdapter(Report)


def schema() -> dict[str, Any]:
    """The JSON schema of a report (draft 2020-12)."""
    body = TypeAdapter(Report).json_schema(mode="serialization")
    body = {**body, "title": "Verification report", "description": "What `vermilion verify --json` and `POST /v1/verify` answer."}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{SCHEMA_ID.replace('vermilion-', 'vermilion:schema:')}",
        **body,
    }


def written(moment: datetime) -> str:
    """RFC 3339 in UTC, whole seconds unless there are milliseconds."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")
