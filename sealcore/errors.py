"""The one error family and the one registry of stable codes.

Every refusal carries a code from here, the rule that refused, the document (when there is one) and a way out.
The same code appears in gRPC status details, problem+json, the command line and reports; it never changes meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What class of trouble a code belongs to; decides the gRPC and HTTP status, and whether a repeat can help."""

    INVALID = "invalid"  # the request is malformed: repair it
    UNAUTHENTICATED = "unauthenticated"  # we do not know who asks
    FORBIDDEN = "forbidden"  # we know who asks, and the answer is no
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"  # the state of things forbids it
    DOCUMENT = "document"  # this document cannot be sealed or read
    BUSY = "busy"  # the same request later may succeed
    UNAVAILABLE = "unavailable"  # a part that we depend on is away; nothing was lost
    INTERNAL = "internal"


@dataclass(frozen=True)
class CodeEntry:
    """A row of the registry: its kind, the rule it stands for, and what the reader can do about it."""

    kind: Kind
    rule: str
    way_out: str


class Code(StrEnum):
    """Stable error codes."""

    # --- the request and its sender
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    CERTIFICATE_REVOKED = "CERTIFICATE_REVOKED"
    CERTIFICATE_EXPIRED = "CERTIFICATE_EXPIRED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    CONFLICT = "CONFLICT"
    CANCELLED = "CANCELLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    # --- approval token (gate)
    TOKEN_MISSING = "TOKEN_MISSING"
    TOKEN_MALFORMED = "TOKEN_MALFORMED"
    TOKEN_SIGNATURE_INVALID = "TOKEN_SIGNATURE_INVALID"
    ISSUER_NOT_PINNED = "ISSUER_NOT_PINNED"
    AUDIENCE_MISMATCH = "AUDIENCE_MISMATCH"
    SUBJECT_MISMATCH = "SUBJECT_MISMATCH"
    TOKEN_NOT_YET_VALID = "TOKEN_NOT_YET_VALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    TOKEN_BEFORE_RESTORE = "TOKEN_BEFORE_RESTORE"
    DECISION_INVALID = "DECISION_INVALID"
    APPROVER_UNKNOWN = "APPROVER_UNKNOWN"
    OWN_REQUEST = "OWN_REQUEST"
    QUORUM_NOT_MET = "QUORUM_NOT_MET"
    SEAL_UNKNOWN = "SEAL_UNKNOWN"
    SEAL_SUSPENDED = "SEAL_SUSPENDED"
    SEAL_RETIRED = "SEAL_RETIRED"
    SEAL_CERTIFICATE_INVALID = "SEAL_CERTIFICATE_INVALID"
    SEAL_CERTIFICATE_REVOKED = "SEAL_CERTIFICATE_REVOKED"
    ACTION_MISMATCH = "ACTION_MISMATCH"
    ACTION_UNKNOWN = "ACTION_UNKNOWN"
    GRANT_WITHDRAWN = "GRANT_WITHDRAWN"
    GRANT_EXCEEDED = "GRANT_EXCEEDED"
    GRANT_CERTIFICATION = "GRANT_CERTIFICATION"
    TEMPLATE_MISMATCH = "TEMPLATE_MISMATCH"
    PROOF_INVALID = "PROOF_INVALID"
    DOCUMENT_MISMATCH = "DOCUMENT_MISMATCH"
    # --- use
    USE_BOUND_TO_OTHER_BYTES = "USE_BOUND_TO_OTHER_BYTES"
    USE_IN_PROGRESS = "USE_IN_PROGRESS"
    USE_VOIDED = "USE_VOIDED"
    SEALED_BYTES_EXPIRED = "SEALED_BYTES_EXPIRED"
    # --- acts
    QUORUM_UNMEETABLE = "QUORUM_UNMEETABLE"
    EFFECT_UNKNOWN = "EFFECT_UNKNOWN"
    ATTACHMENT_MISSING = "ATTACHMENT_MISSING"
    ATTACHMENT_UNNAMED = "ATTACHMENT_UNNAMED"
    # --- workflow
    TEXT_DECEPTIVE = "TEXT_DECEPTIVE"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    UNIT_NOT_ALLOWED = "UNIT_NOT_ALLOWED"
    APPLICANT_NOT_ALLOWED = "APPLICANT_NOT_ALLOWED"
    FORM_STATE = "FORM_STATE"
    FORM_REJECTED = "FORM_REJECTED"
    # --- document
    DOCUMENT_EMPTY = "DOCUMENT_EMPTY"
    DOCUMENT_NOT_PDF = "DOCUMENT_NOT_PDF"
    DOCUMENT_DAMAGED = "DOCUMENT_DAMAGED"
    DOCUMENT_ENCRYPTED = "DOCUMENT_ENCRYPTED"
    DOCUMENT_NO_PAGES = "DOCUMENT_NO_PAGES"
    DOCUMENT_XFA = "DOCUMENT_XFA"
    DOCUMENT_LOCKED = "DOCUMENT_LOCKED"
    DOCUMENT_SIGNED = "DOCUMENT_SIGNED"
    DOCUMENT_TOO_LARGE = "DOCUMENT_TOO_LARGE"
    DOCUMENT_TOO_COMPLEX = "DOCUMENT_TOO_COMPLEX"
    DOCUMENT_CHANGEABLE = "DOCUMENT_CHANGEABLE"
    DOCUMENT_CONFORMANCE = "DOCUMENT_CONFORMANCE"
    DOCUMENT_READBACK = "DOCUMENT_READBACK"
    DOCUMENT_FORM_UNDRAWN = "DOCUMENT_FORM_UNDRAWN"
    DOCUMENT_PAGE_REPEATED = "DOCUMENT_PAGE_REPEATED"
    MARK_OFF_PAGE = "MARK_OFF_PAGE"
    PICTURE_UNKNOWN = "PICTURE_UNKNOWN"
    # --- long-term proof
    DOCUMENT_UNSIGNED = "DOCUMENT_UNSIGNED"
    SIGNATURE_BROKEN = "SIGNATURE_BROKEN"
    SIGNATURE_UNTRUSTED = "SIGNATURE_UNTRUSTED"
    SIGNATURE_REVOKED = "SIGNATURE_REVOKED"
    EVIDENCE_NOT_YET = "EVIDENCE_NOT_YET"
    FETCH_FORBIDDEN = "FETCH_FORBIDDEN"
    # --- parts we depend on
    HSM_UNAVAILABLE = "HSM_UNAVAILABLE"
    HSM_PIN_REFUSED = "HSM_PIN_REFUSED"
    HSM_KEY_MISSING = "HSM_KEY_MISSING"
    HSM_TIMEOUT = "HSM_TIMEOUT"
    TIMESTAMP_UNAVAILABLE = "TIMESTAMP_UNAVAILABLE"
    TSA_UNREACHABLE = "TSA_UNREACHABLE"
    TSA_SLOW = "TSA_SLOW"
    TSA_REFUSED = "TSA_REFUSED"
    TSA_RESTS = "TSA_RESTS"
    TSA_ANSWER_MALFORMED = "TSA_ANSWER_MALFORMED"
    TSA_ANSWER_TOO_LARGE = "TSA_ANSWER_TOO_LARGE"
    TSA_WRONG_NONCE = "TSA_WRONG_NONCE"
    TSA_WRONG_IMPRINT = "TSA_WRONG_IMPRINT"
    TSA_WRONG_POLICY = "TSA_WRONG_POLICY"
    TSA_WRONG_TIME = "TSA_WRONG_TIME"
    TSA_SIGNATURE_INVALID = "TSA_SIGNATURE_INVALID"
    TSA_UNTRUSTED = "TSA_UNTRUSTED"
    REVOCATION_UNAVAILABLE = "REVOCATION_UNAVAILABLE"
    DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
    DATABASE_NEWER = "DATABASE_NEWER"
    STORAGE_FULL = "STORAGE_FULL"
    RESOURCES_EXHAUSTED = "RESOURCES_EXHAUSTED"
    FILE_UNUSABLE = "FILE_UNUSABLE"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    LEDGER_INCONSISTENT = "LEDGER_INCONSISTENT"
    REGISTER_INCONSISTENT = "REGISTER_INCONSISTENT"
    CONFIGURATION_INVALID = "CONFIGURATION_INVALID"
    # --- certification
    PROFILE_VIOLATION = "PROFILE_VIOLATION"
    LINT_FAILED = "LINT_FAILED"
    INTERNAL = "INTERNAL"


def _row(kind: Kind, rule: str, way_out: str) -> CodeEntry:
    return CodeEntry(kind, rule, way_out)


_I, _F, _C, _D, _U = Kind.INVALID, Kind.FORBIDDEN, Kind.CONFLICT, Kind.DOCUMENT, Kind.UNAVAILABLE

REGISTRY: dict[Code, CodeEntry] = {
    Code.INVALID_ARGUMENT: _row(_I, "A request must be complete and well formed.", "Correct what the reason names, then try again."),
    Code.UNAUTHENTICATED: _row(
        Kind.UNAUTHENTICATED,
        "Every caller proves who it is by a client certificate.",
        "Use a certificate bundle from `vermilion clients add`.",
    ),
    Code.CERTIFICATE_REVOKED: _row(
        Kind.UNAUTHENTICATED,
        "A revoked certificate opens nothing.",
        "On hold: have it released, `vermilion ca release CERTIFICATE`. Revoked: `vermilion clients add NAME` once more, with its `--out`, asks people for a new one and keeps the old one aside.",
    ),
    Code.CERTIFICATE_EXPIRED: _row(
        Kind.UNAUTHENTICATED,
        "A certificate counts until its end.",
        "Services and operator: start again with `vermilion up`, which issues anew. Clients: `vermilion clients renew FOLDER`.",
    ),
    Code.PERMISSION_DENIED: _row(
        _F,
        "Each method has a list of those who may call it.",
        "Use the identity that it is meant for: people decide by `--as`, business systems have a bundle of `vermilion clients add`, the operator the office's own.",
    ),
    Code.NOT_FOUND: _row(Kind.NOT_FOUND, "What is named must exist.", "Check the identifier; the `list` commands show what exists."),
    Code.CONFLICT: _row(_C, "Two things cannot both be so.", "Look at the present state, then decide again."),
    Code.CANCELLED: _row(Kind.BUSY, "The caller went away.", "Send the same request again; it continues where it stood."),
    Code.DEADLINE_EXCEEDED: _row(Kind.BUSY, "A request ends by its deadline.", "Send the same request again; it continues where it stood."),
    Code.OVERLOADED: _row(Kind.BUSY, "No more work is taken in than can be finished.", "Wait and send the same request again."),
    Code.TOKEN_MISSING: _row(_F, "Nothing is sealed without an approval token.", "Submit a form and have it approved: `vermilion forms`."),
    Code.TOKEN_MALFORMED: _row(_F, "An approval token has exactly the form of the protocol.", "Fetch the token from the workflow again."),
    Code.TOKEN_SIGNATURE_INVALID: _row(
        _F, "A token carries its issuer's valid signature.", "Fetch the token from the workflow; never alter it."
    ),
    Code.ISSUER_NOT_PINNED: _row(
        _F, "Only pinned issuers may approve.", "Have the issuer's key registered by a quorum: `vermilion issuers add`."
    ),
    Code.AUDIENCE_MISMATCH: _row(_F, "A token counts only where it was addressed.", "Send it to the signer named in it."),
    Code.SUBJECT_MISMATCH: _row(_F, "A token counts only for the client it names.", "Use the client that the form was submitted for."),
    Code.TOKEN_NOT_YET_VALID: _row(_F, "A token counts only from its start.", "Wait until the token is valid; check both clocks."),
    Code.TOKEN_EXPIRED: _row(_F, "A token counts only until its end.", "Submit a new form for what is not sealed yet."),
    Code.TOKEN_BEFORE_RESTORE: _row(_F, "After a restore no earlier token counts.", "Submit a new form."),
    Code.DECISION_INVALID: _row(_F, "Each decision is signed over exactly this request.", "Have the approver decide on this form again."),
    Code.APPROVER_UNKNOWN: _row(
        _F,
        "Only registered approvers count.",
        "Register the approver by an act of the quorum: `vermilion people add NAME --role approver`.",
    ),
    Code.OWN_REQUEST: _row(_F, "Nobody approves their own request.", "Ask another registered approver to decide."),
    Code.QUORUM_NOT_MET: _row(
        _F, "The seal's least number of distinct approvers must have decided.", "Collect the missing approvals: `vermilion forms approve`."
    ),
    Code.SEAL_UNKNOWN: _row(_F, "The seal must be in the signer's register.", "Check the seal with `vermilion seals list`."),
    Code.SEAL_SUSPENDED: _row(_F, "A suspended seal seals nothing.", "Have it resumed by its quorum: `vermilion seals resume`."),
    Code.SEAL_RETIRED: _row(_F, "A retired or destroyed seal seals nothing.", "Use the seal's successor."),
    Code.SEAL_CERTIFICATE_INVALID: _row(
        _F,
        "A seal is used only under a valid certificate.",
        "Have its key certified anew, then register the certificate: `vermilion ca issue --label KEY`, `vermilion ca import`.",
    ),
    Code.SEAL_CERTIFICATE_REVOKED: _row(
        _F,
        "Nothing is sealed under a revoked certificate.",
        "Use another seal, or register one with a new key: `vermilion ca issue --label KEY`, `vermilion seals add`.",
    ),
    Code.ACTION_MISMATCH: _row(_F, "A token counts only for its action.", "Submit a form for this action."),
    Code.ACTION_UNKNOWN: _row(
        _I, "A quorum or a policy is for an action that an office carries out.", "Name an action that the reason lists."
    ),
    Code.GRANT_WITHDRAWN: _row(_F, "A withdrawn grant covers nothing.", "Apply for a new grant or a single approval."),
    Code.GRANT_EXCEEDED: _row(_F, "A grant covers only its number of uses.", "Apply for a new grant."),
    Code.GRANT_CERTIFICATION: _row(
        _F,
        "Under a grant a document is certified as its seal is registered.",
        "Leave the certification to the seal, or have this document approved with a form of its own.",
    ),
    Code.TEMPLATE_MISMATCH: _row(
        _F, "Under a grant a document keeps to the registered template.", "Use the template, or have this document approved."
    ),
    Code.PROOF_INVALID: _row(
        _F, "Each document is proven to be in the approved manifest.", "Rebuild the manifest from the approved files."
    ),
    Code.DOCUMENT_MISMATCH: _row(
        _F, "What was approved is what is sealed.", "Send the approved bytes and marks, or have the new ones approved."
    ),
    Code.USE_BOUND_TO_OTHER_BYTES: _row(_C, "Each use counts once, for one document.", "Take another index of the grant."),
    Code.USE_IN_PROGRESS: _row(Kind.BUSY, "A use is worked on once at a time.", "Wait a moment and send the same request again."),
    Code.USE_VOIDED: _row(_C, "A use that was stopped stays stopped.", "Submit a new form."),
    Code.SEALED_BYTES_EXPIRED: _row(_C, "Nothing is sealed twice.", "Take the sealed document from the archive or from who received it."),
    Code.QUORUM_UNMEETABLE: _row(
        _C, "After an act, every quorum can still be met.", "Register more people first, or ask for fewer: `vermilion people list`."
    ),
    Code.EFFECT_UNKNOWN: _row(
        _C, "Who decides sees the whole effect in words.", "Do not approve it; install the version of this program that knows this act."
    ),
    Code.ATTACHMENT_MISSING: _row(_I, "A file that an act names comes with it.", "Send the file whose SHA-256 the act names."),
    Code.ATTACHMENT_UNNAMED: _row(
        _I, "Only files that an act names come with it.", "Leave the file out, or have the act name its SHA-256."
    ),
    Code.TEXT_DECEPTIVE: _row(_I, "What a person reads is what is written.", "Take the named sign out of the text; rename the file."),
    Code.QUOTA_EXCEEDED: _row(
        Kind.BUSY, "Each caller has a share of the service.", "Wait as long as Retry-After says and send the same request again."
    ),
    Code.UNIT_NOT_ALLOWED: _row(
        _F,
        "A client applies for its own units.",
        "Name a unit of this client, or ask for a client of that unit: `vermilion clients add NAME --for-unit UNIT`.",
    ),
    Code.APPLICANT_NOT_ALLOWED: _row(
        _F,
        "Who applies is an active person of the form's unit.",
        "Name an applicant of this unit; `vermilion people list` shows who is where.",
    ),
    Code.FORM_STATE: _row(_C, "A form moves only along its states.", "Look at the form: `vermilion forms show`."),
    Code.FORM_REJECTED: _row(
        _C, "A rejected form yields no token.", "Read the reason, put right what it names, then apply anew: `vermilion seal FILE --again`."
    ),
    Code.DOCUMENT_EMPTY: _row(_D, "A document has content.", "Export the document again; the file is empty."),
    Code.DOCUMENT_NOT_PDF: _row(
        _D, "Only PDF documents are sealed.", "Convert it to PDF: print or export it from the program that made it."
    ),
    Code.DOCUMENT_DAMAGED: _row(
        _D, "A document must be readable by everyone.", "Repair or print it to a new PDF, then have that approved."
    ),
    Code.DOCUMENT_ENCRYPTED: _row(
        _D,
        "An encrypted document is neither sealed nor extended, whether it asks for a password or not.",
        "Save it without password and protection, then have that file approved.",
    ),
    Code.DOCUMENT_NO_PAGES: _row(_D, "A document has at least one page.", "Export the document again."),
    Code.DOCUMENT_XFA: _row(_D, "Dynamic XFA forms have no fixed look.", "Flatten or print the form to a plain PDF."),
    Code.DOCUMENT_LOCKED: _row(
        _D,
        "A certified or locked document stays as its author fixed it.",
        "Seal it without a visible mark where the reason says that this is allowed, or ask the author for a copy that allows signatures.",
    ),
    Code.DOCUMENT_SIGNED: _row(
        _D,
        "Only the first signature of a document can certify it.",
        "Leave `--certification` out, or say none: the seal is then an approval signature beside the others.",
    ),
    Code.DOCUMENT_TOO_LARGE: _row(_D, "Documents keep to the size limit.", "Split it or reduce its pictures."),
    Code.DOCUMENT_TOO_COMPLEX: _row(
        _D, "A document is read within bounded time and memory.", "Print it to a new PDF, then have that approved."
    ),
    Code.DOCUMENT_CHANGEABLE: _row(
        _D,
        "Under `strict`, content that can change its look is refused.",
        "Flatten the document to static content, or have the seal report it instead: `vermilion seals content`.",
    ),
    Code.DOCUMENT_CONFORMANCE: _row(
        _D,
        "Under `strict`, PDF/A and PDF/UA stay what they are.",
        "Register a picture that the standard allows (`vermilion seals picture`), or seal it `--invisible`.",
    ),
    Code.DOCUMENT_READBACK: _row(
        _D, "A seal that no reader finds is not released.", "Repair or print it to a new PDF, then have that approved."
    ),
    Code.DOCUMENT_FORM_UNDRAWN: _row(
        _D, "A form's values are drawn in the document itself.", "Save it with a program that fills forms, or print it to a new PDF."
    ),
    Code.DOCUMENT_PAGE_REPEATED: _row(
        _D, "A mark shows on the approved page alone.", "Print the document to a new PDF, where each page stands once; have that approved."
    ),
    Code.MARK_OFF_PAGE: _row(_D, "A mark lies wholly on an existing page.", "Choose a page and rectangle inside the page."),
    Code.PICTURE_UNKNOWN: _row(
        _D,
        "A mark shows a registered picture of the seal.",
        "Use a picture of `vermilion seals show`, or register one: `vermilion seals picture`.",
    ),
    Code.DOCUMENT_UNSIGNED: _row(_D, "Only signatures are extended.", "Give a signed PDF."),
    Code.SIGNATURE_BROKEN: _row(_D, "Only a whole signature is extended.", "Ask whoever signed for an unharmed copy."),
    Code.SIGNATURE_UNTRUSTED: _row(
        _D, "Each certificate leads to a trust anchor, at the time it was used.", "Name the root by --trust if you trust it."
    ),
    Code.SIGNATURE_REVOKED: _row(
        _D, "A signature counts if it is proven to be older than a revocation.", "Have the document signed again; no later proof mends it."
    ),
    Code.EVIDENCE_NOT_YET: _row(
        Kind.BUSY, "Proof of good standing is younger than the timestamp.", "Run the same command again after that time, or with --wait."
    ),
    Code.FETCH_FORBIDDEN: _row(_F, "Nothing is fetched from a host that nobody allowed.", "If you trust it, allow it by --allow-host."),
    Code.HSM_UNAVAILABLE: _row(_U, "Keys stay in the HSM.", "Check the token with `vermilion doctor`; then send the same request again."),
    Code.HSM_PIN_REFUSED: _row(_U, "A wrong PIN is never tried twice.", "Correct the PIN file, then start anew: `vermilion up`."),
    Code.HSM_KEY_MISSING: _row(_U, "Each declared key is in its token.", "Compare `vermilion keys list` with the inventory."),
    Code.HSM_TIMEOUT: _row(_U, "An HSM call ends in bounded time.", "Check the HSM; then send the same request again."),
    Code.TIMESTAMP_UNAVAILABLE: _row(
        _U, "No seal without a timestamp.", "Mend what the sources name as their reasons; then send the same request again."
    ),
    Code.TSA_UNREACHABLE: _row(_U, "An outside TSA is reached at its configured address.", "Check the network, the address and its TLS."),
    Code.TSA_SLOW: _row(_U, "An outside TSA answers within its deadlines.", "Ask its operator, or name another TSA after it."),
    Code.TSA_REFUSED: _row(_U, "An outside TSA must grant the timestamp.", "Read what it says; check account, secret and policy."),
    Code.TSA_RESTS: _row(_U, "An outside TSA that failed is left alone for a while.", "Wait; it is tried again by itself."),
    Code.TSA_ANSWER_MALFORMED: _row(
        _U, "A TSA answers by a TimeStampResp in DER (RFC 3161).", "Check that the address is that of a TSA; ask its operator."
    ),
    Code.TSA_ANSWER_TOO_LARGE: _row(
        _U,
        "A token fits into the room that documents keep for it.",
        "Raise `largest_token_bytes` of this source, if its tokens are honest.",
    ),
    Code.TSA_WRONG_NONCE: _row(_U, "A token repeats the nonce of its request.", "Distrust this TSA until its operator explains it."),
    Code.TSA_WRONG_IMPRINT: _row(_U, "A token is over the digest that was sent.", "Distrust this TSA until its operator explains it."),
    Code.TSA_WRONG_POLICY: _row(_U, "A token is made under the policy that was asked for.", "Check `policy_oid` of this source."),
    Code.TSA_WRONG_TIME: _row(_U, "A token's time agrees with our clock.", "Check both clocks; one of them is wrong."),
    Code.TSA_SIGNATURE_INVALID: _row(
        _U, "A token is signed by the certificate that it names.", "Distrust this TSA until its operator explains it."
    ),
    Code.TSA_UNTRUSTED: _row(
        _U,
        "A token's signer is for timestamps alone and comes from a configured anchor.",
        "Check `anchors_file` of this source; for `vermilion extend`, name its root by --trust if you trust it.",
    ),
    Code.REVOCATION_UNAVAILABLE: _row(
        _U,
        "In doubt about revocation the answer is no.",
        "Look at the CRLs with `vermilion ca status`, and let the CA publish a new one: `vermilion ca crl NAME --publish`. Then try again.",
    ),
    Code.DATABASE_UNAVAILABLE: _row(_U, "Nothing leaves before it is durable.", "Check the database; then send the same request again."),
    Code.DATABASE_NEWER: _row(
        _U,
        "A release opens databases of its own schema and of earlier ones.",
        "Start the release that wrote it; or go back to the backup from before the upgrade, as docs/upgrading.md says.",
    ),
    Code.STORAGE_FULL: _row(
        _U,
        "Nothing leaves before it is durable, and the last room on the disk is for stops.",
        "Free disk space, or raise the quota; what runs goes on by itself within seconds. Then send the same request, or give the command, again.",
    ),
    Code.RESOURCES_EXHAUSTED: _row(
        _U,
        "No work is begun without the memory, the processes and the file descriptors that it takes.",
        "Raise the limit that the reason names, or lower the load; the service goes on by itself. Then send the same request again.",
    ),
    Code.FILE_UNUSABLE: _row(
        _U,
        "A file or folder that is named can be read, or made without replacing anything.",
        "Look at the path: whether it is there, is a file or a folder as it has to be, and whether you may read it or write there. "
        "Then run the same command again.",
    ),
    Code.SERVICE_UNAVAILABLE: _row(_U, "A part that is needed does not answer.", "Start it with `vermilion up`; see `vermilion doctor`."),
    Code.LEDGER_INCONSISTENT: _row(_U, "The ledger only grows.", "Stop, keep everything as it is, and call the security team."),
    Code.REGISTER_INCONSISTENT: _row(
        _U, "The register is the sum of its signed acts.", "Stop, keep everything as it is, and call the security team."
    ),
    Code.CONFIGURATION_INVALID: _row(_I, "A service starts only with a whole configuration.", "Correct the named setting."),
    Code.PROFILE_VIOLATION: _row(_I, "A certificate keeps to its profile.", "Correct the request as the rule says."),
    Code.LINT_FAILED: _row(_I, "Nothing is signed that the linter faults.", "Correct the request as the finding says."),
    Code.INTERNAL: _row(Kind.INTERNAL, "Unforeseen faults fail closed.", "Report it with the request id; nothing was released."),
}


LONGEST_REASON: Final = 4000  # characters
LONGEST_DOCUMENT: Final = 255  # the longest name that file systems give


def code_named(name: object, otherwise: Code) -> Code:
    """The code of this name; ``otherwise`` for one that this program does not know, since whoever answered may be newer."""
    return Code(name) if isinstance(name, str) and name in Code.__members__ else otherwise


class VermilionError(Exception):
    """A refusal or fault with a stable code.

    reason    one plain sentence about this case, free of secrets
    document  the document it concerns (a display name or index), if any
    rule      the rule that refused; the registry's unless a more exact one is given

    Both may quote what a stranger sent, so they are cut at a length that logs, metadata and people can take.
    ``request_id`` is there on an error that came from another service: the logs of all services name it.
    """

    def __init__(self, code: Code, reason: str, *, document: str | None = None, rule: str | None = None) -> None:
        self.reason = _bounded(reason, LONGEST_REASON)
        super().__init__(f"{code}: {self.reason}")
        self.code = code
        self.document = _bounded(document, LONGEST_DOCUMENT) if document else document
        self.rule = rule or REGISTRY[code].rule
        self.request_id: str | None = None
        self.retry_after_s: int | None = None  # of a refusal that ends by itself

    @property
    def way_out(self) -> str:
        """What the reader can do about it."""
        return REGISTRY[self.code].way_out

    @property
    def kind(self) -> Kind:
        """The class of trouble; decides gRPC and HTTP status."""
        return REGISTRY[self.code].kind

    def as_dict(self) -> dict[str, str | None]:
        """The same four facts for reports and problem+json."""
        return {"code": str(self.code), "reason": self.reason, "rule": self.rule, "document": self.document, "way_out": self.way_out}

    def __reduce__(self) -> tuple[object, ...]:  # crosses process borders whole
        return (_rebuild, (str(self.code), self.reason, self.document, self.rule))


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _rebuild(code: str, reason: str, document: str | None, rule: str | None) -> VermilionError:
    return VermilionError(Code(code), reason, document=document, rule=rule)
