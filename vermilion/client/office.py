"""The office as a business system meets it: apply, wait for people, seal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from protos.vermilion.v1 import signer_pb2, signer_pb2_grpc
from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.log import get as get_log
from sealcore.platform.log import request
from sealcore.platform.rpc.client import call, channel
from sealcore.protocol.canonical import b64url
from sealcore.protocol.covers import GrantCovers
from sealcore.protocol.decision import Decision
from sealcore.protocol.leaf import Certification, Placement
from sealcore.protocol.manifest import Manifest
from sealcore.protocol.stop import StopStatement
from vermilion.client import documents as documents_of
from vermilion.client import earlier, examining, forms, jobs, journal
from vermilion.client.certifying import Certify, certified
from vermilion.client.documents import Document
from vermilion.client.earlier import Earlier
from vermilion.client.forms import Form, Place
from vermilion.client.outcomes import Outcome, Progress
from vermilion.client.placement import MILLIPOINTS, Picture
from vermilion.client.rest import Rest
from vermilion.client.sealing import PATIENCE_S, Run
from vermilion.client.sink import Folder

CALL_TIMEOUT_S = 30.0
POLL_S = 0.3
ACKNOWLEDGED_A_CALL = 5_000

Documents = Iterable[Document | Path | str]


class Office:
    """A connection to workflow and signer as the holder of ``tls``. Use it as a context manager, or ``close`` it."""

    def __init__(self, workflow_url: str, signer_target: str, tls: TlsSettings) -> None:
        self._rest = Rest(workflow_url, tls)
        self._target, self._tls = signer_target, tls
        self._channel = channel(signer_target, tls)
        self._signer = signer_pb2_grpc.SignerStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._register = signer_pb2_grpc.RegisterStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._log = get_log("client")

    def __enter__(self) -> Office:
        return self

    def __exit__(self, *_fault: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._rest.close()
        self._channel.close()

    # --- looking

    def seals(self) -> list[dict[str, Any]]:
        """The seals of the signer's register, as ``GET /v1/seals`` gives them."""
        answer: list[dict[str, Any]] = self._rest.get("/v1/seals")["seals"]
        return answer

    def picture(self, sha256: bytes) -> Picture:
        """A registered seal picture, to make marks with; PICTURE_UNKNOWN."""
        answer = self._call(self._register.GetPicture, signer_pb2.GetPictureRequest(picture_sha256=sha256))
        return Picture(sha256, answer.width_millipoints / MILLIPOINTS, answer.height_millipoints / MILLIPOINTS)

    def _certifies(self, seal: str) -> Certification:
        """What the seal certifies where a form says nothing; SEAL_UNKNOWN."""
        record = self._call(self._register.GetSeal, signer_pb2.GetSealRequest(id=seal))
        return Certification.of_word(record.certification or "form-fill")  # of a signer from before it said so

    def form(self, number: str) -> Form:
        """A form with its documents; NOT_FOUND."""
        return forms.from_json(self._rest.get(f"/v1/forms/{number}"))

    def forms(self, state: str | None = None) -> list[Form]:
        """Our forms, newest first, without their documents."""
        found: list[Form] = []
        query: dict[str, str | int] = {"limit": 200} | ({"state": state} if state else {})
        while True:
            page = self._rest.get("/v1/forms", **query)
            found += [forms.from_json(one) for one in page["forms"]]
            if page["next"] is None:
                return found
            query["before"] = page["next"]

    # --- applying

    def apply(
        self,
        seal: str,
        documents: Documents,
        *,
        title: str,
        unit: str | None = None,
        applicant: str | None = None,
        placement: Place | None = None,
        certification: Certify = None,
        valid_s: int | None = None,
        examined: bool = False,
    ) -> Form:
        """Applies for sealing exactly these documents, where ``placement`` says (nowhere visible by default).

        What may happen to a sealed document is ``certification``, else what its placement certifies, else what the seal is registered
        with; a document that carries a signature gets an approval signature. Raises DOCUMENT_SIGNED where a certification is asked for
        such a document, DOCUMENT_LOCKED for one that is certified against this seal, and whatever else the signer would refuse for a
        document's own sake: before anybody is asked to approve it, and nothing is filed then. Leave such documents out by ``examine``,
        after which ``examined`` says that the signer need not be asked again.
        A person named as ``applicant`` must also sign, with the verdict ``apply``. ``valid_s`` shortens the form's term.
        """
        given = documents_of.of(documents)
        place = certified(Placement() if placement is None else placement, certification, self._certifies(seal), refuse=not examined)
        entries = forms.describe(given, place)
        if not examined:
            examining.require_none(examining.examine(self._target, self._tls, seal, jobs.of_entries(given, entries), patience_s=PATIENCE_S))
        manifest = Manifest.build(entries)
        salts = tuple(leaf.salt for leaf in manifest.leaves)
        asked = {"seal": seal, "documents": forms.documents_to_json(entries, salts), "root": manifest.root.hex()}
        answer = self._apply(asked, title=title, unit=unit, applicant=applicant, valid_s=valid_s)
        form = forms.from_json(answer, documents=asked["documents"])
        _ = form.manifest  # what people will approve is what we asked for
        return form

    def examine(
        self,
        seal: str,
        documents: Documents,
        *,
        placement: Place | None = None,
        certification: Certify = None,
        patience_s: float = PATIENCE_S,
    ) -> dict[int, Outcome]:
        """Position → the refusal that sealing would give each of these documents for its own sake; nothing for those that it would seal.

        Needs no form, and writes nothing anywhere.
        """
        given = documents_of.of(documents)
        place = certified(Placement() if placement is None else placement, certification, self._certifies(seal), refuse=False)
        entries = forms.describe(given, place)
        return examining.examine(self._target, self._tls, seal, jobs.of_entries(given, entries), patience_s=patience_s)

    def apply_grant(
        self,
        seal: str,
        *,
        uses: int,
        until: int,
        title: str,
        template: str | None = None,
        unit: str | None = None,
        applicant: str | None = None,
    ) -> Form:
        """Applies for a standing approval of so many uses until ``until`` (NumericDate), on a registered template or on none."""
        asked = {"seal": seal, "grant": {"uses": uses, "until": until, "template": template or "none"}}
        return forms.from_json(self._apply(asked, title=title, unit=unit, applicant=applicant))

    def apply_act(
        self,
        action: str,
        parameters: Mapping[str, Any],
        *,
        title: str,
        seal: str = "",
        unit: str | None = None,
        applicant: str | None = None,
    ) -> Form:
        """Applies for an act (``resume`` a seal, change the ``register``), which is carried out once it is approved."""
        asked = {"seal": seal, "action": action, "act": dict(parameters)}
        return forms.from_json(self._apply(asked, title=title, unit=unit, applicant=applicant))

    def _apply(self, asked: Mapping[str, Any], **about: str | int | None) -> Any:
        return self._rest.post("/v1/forms", {**asked, **{name: value for name, value in about.items() if value is not None}})

    def decide(self, number: str, decision: Decision, reason: str = "") -> str:
        """Hands a person's signed decision in; returns the form's state."""
        body = {
            "person": decision.person,
            "verdict": decision.verdict,
            "time": decision.time,
            "signature": b64url(decision.signature),
            "reason": reason,
        }
        return str(self._rest.post(f"/v1/forms/{number}/decisions", body)["state"])

    def withdraw(self, number: str) -> None:
        """Takes one of our open forms back."""
        self._rest.post(f"/v1/forms/{number}/withdraw")

    def stop(self, statement: StopStatement, signature: bytes) -> None:
        """Hands an officer's signed stop of a seal or a grant to the signer, through the workflow."""
        path = f"/v1/{'seals' if statement.subject_kind == 'seal' else 'grants'}/{statement.subject}"
        body = {"officer": statement.officer, "reason": statement.reason, "time": statement.time, "signature": b64url(signature)}
        self._rest.post(f"{path}/{'suspend' if statement.subject_kind == 'seal' else 'withdraw'}", body)

    def wait_approved(self, number: str, *, timeout_s: float | None = None) -> Form:
        """Waits for people; the approved form. Raises FORM_REJECTED with their reason, FORM_STATE, or DEADLINE_EXCEEDED."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            form = self.form(number)
            match form.state:
                case "approved":
                    return form
                case "rejected":
                    raise VermilionError(Code.FORM_REJECTED, f"form {number} was rejected: {form.reason}")
                case "withdrawn" | "lapsed":
                    raise VermilionError(Code.FORM_STATE, f"form {number} is {form.state}")
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise VermilionError(Code.DEADLINE_EXCEEDED, f"form {number} is not approved yet")
            time.sleep(POLL_S)

    def token(self, number: str) -> str:
        """The approval token of one of our approved forms."""
        return str(self._rest.get(f"/v1/forms/{number}/token")["token"])

    # --- sealing

    def seal(
        self,
        form: Form,
        documents: Documents,
        folder: Folder | Path,
        *,
        placement: Place | None = None,
        progress: Callable[[Progress], None] | None = None,
        ended: Callable[[Outcome], None] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> list[Outcome]:
        """Seals the documents of an approved form into a folder; an outcome for each, in order. ``placement`` counts under a grant only,
        and does not say what is certified: under a grant that is what the seal is registered with.

        A refused document never stops the others. Broken connections are mended; when the signer stays away longer than
        ``patience_s`` (SERVICE_UNAVAILABLE) or the disk is full (STORAGE_FULL), calling again goes on where this call stood.
        ``ended`` is told each outcome of this run as it comes about, ``progress`` how far the batch is. Everything that is logged
        anywhere about this run carries one request id: the one bound by ``sealcore.platform.log.request``, or one of its own.
        """
        with request():
            return self._seal(form, documents, folder, placement=placement, progress=progress, ended=ended, patience_s=patience_s)

    def _seal(
        self,
        form: Form,
        documents: Documents,
        folder: Folder | Path,
        *,
        placement: Place | None,
        progress: Callable[[Progress], None] | None,
        ended: Callable[[Outcome], None] | None,
        patience_s: float,
    ) -> list[Outcome]:
        sink = folder if isinstance(folder, Folder) else Folder(folder)
        given = documents_of.of(documents)
        sink.prepare(given)
        notes = journal.Journal(sink.path, form)
        token, was_settled = cache(lambda: self.token(form.number)), notes.is_settled
        if not was_settled:
            token()  # a form that is not approved, or past its term, begins no journal
        notes.open()
        finished = False
        try:
            run = Run(self._target, self._tls, token, folder=sink, journal=notes, progress=progress, ended=ended, patience_s=patience_s)
            outcomes = run.complete(self._jobs(form, given, placement, notes))
            finished = all(outcome.outcome == "sealed" for outcome in outcomes) and (
                (was_settled and all(outcome.repeated for outcome in outcomes)) or self._acknowledge(form, outcomes)
            )
        finally:
            notes.close(finished=finished)
        return outcomes

    def remember(self, folder: Path, form: Form) -> None:
        """Begins the journal of a form that is applied for, so that ``earlier`` finds it again whatever happens meanwhile."""
        Folder(folder).prepare(())
        notes = journal.Journal(folder, form)
        notes.open()
        notes.close(finished=False)

    def forget(self, folder: Path, number: str) -> None:
        """Ends the journal of a form that will not be gone on with; sealed files and their record stay."""
        journal.retire(folder, number)

    def resumable(self, folder: Path, documents: Documents, *, seal: str) -> Form | None:
        """The form of an unfinished run in ``folder`` over exactly these documents and this seal, if there is one."""
        found = self.earlier(folder, given := documents_of.of(documents), seal=seal)
        return found.form if found.form is not None and found.others == tuple(range(len(given))) else None

    def earlier(self, folder: Path, documents: Documents, *, seal: str) -> Earlier:
        """What earlier runs with this seal into ``folder`` have made of these documents."""
        return earlier.find(folder, documents_of.of(documents), seal=seal)

    def uses(self, form: Form) -> dict[str, int]:
        """How many uses of a form's token are in each state at the signer: intended, sealed, voided."""
        found = self._call(self._signer.ListUses, signer_pb2.ListUsesRequest(jti=form.context.jti)).uses
        return dict(Counter(use.state for use in found))

    def unfinished(self, folder: Path, number: str) -> Form:
        """The form of a run that did not come to its end in ``folder``, with the manifest's salts; NOT_FOUND."""
        return journal.form_of(folder, number)

    def _jobs(self, form: Form, documents: list[Document], placement: Place | None, notes: journal.Journal) -> list[jobs.Job]:
        covers = form.context.covers
        if not isinstance(covers, GrantCovers):
            return jobs.of_manifest(form, documents)
        uses = self._call(self._signer.ListUses, signer_pb2.ListUsesRequest(jti=form.context.jti)).uses
        default = self._certifies(form.context.seal)
        place = certified(Placement() if placement is None else placement, None, default, refuse=False)
        return jobs.of_grant(covers, documents, place, used=[use.index for use in uses], done=notes.done)

    def _acknowledge(self, form: Form, outcomes: list[Outcome]) -> bool:
        """Tells the signer what is safe with us. That it cannot be told is no fault of the batch: it then keeps the bytes longer."""
        indexes = [outcome.index for outcome in outcomes if outcome.outcome == "sealed"]
        try:
            for start in range(0, len(indexes), ACKNOWLEDGED_A_CALL):
                part = indexes[start : start + ACKNOWLEDGED_A_CALL]
                self._call(self._signer.Acknowledge, signer_pb2.AcknowledgeRequest(jti=form.context.jti, indexes=part))
        except VermilionError as fault:
            self._log.warning("the sealed documents could not be acknowledged", code=str(fault.code))
            return False
        return True

    def _call(self, method: Any, message: Any) -> Any:
        return call(self._channel, method, message, timeout_s=CALL_TIMEOUT_S)
