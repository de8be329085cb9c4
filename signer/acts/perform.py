"""Acts that a quorum orders with a token: resuming a seal, changing the register."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from sealcore.clock import Clock
from sealcore.errors import Code, Kind, VermilionError
from sealcore.platform.storage import Storage
from sealcore.protocol.canonical import require
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.ledger_entry import time_us
from sealcore.text import require_readable
from signer.acts.changes import named_attachments
from signer.acts.effective import require_effect
from signer.acts.fresh import require_fresh
from signer.acts.model import ordered, perform_act
from signer.gate import ACTS, admit_act
from signer.register.chain import require_seal_chain
from signer.register.meetable import require_meetable
from signer.register.model import Register, Seal
from signer.register.store import Recorded, RegisterStore
from signer.status.revocation import SealRevocations
from signer.status.watch import StatusWatch

CERTIFYING: Final = frozenset({"seal_add", "seal_certificate"})  # changes that put a certificate behind a seal


class FileExaminer(Protocol):
    """Looks into the PDFs that come with an act, away from the process that carries it out; DOCUMENT_*."""

    def picture_size(self, picture: bytes) -> tuple[int, int]:
        """Width and height in millipoints; refuses anything that is not a picture."""

    def fingerprint(self, document: bytes, fields: Sequence[str]) -> str:
        """Lower hex SHA-256 of what a base PDF shows beside these fields."""


class Performer:
    """Judges an act, examines its files and the certificates that it depends on, and records it."""

    def __init__(
        self,
        store: RegisterStore,
        revocations: SealRevocations,
        outside: StatusWatch,
        files: FileExaminer,
        clock: Clock,
        *,
        storage: Storage,
        audience: str,
    ) -> None:
        self._store = store
        self._revocations = revocations
        self._outside = outside
        self._files = files
        self._storage = storage
        self._clock = clock
        self._audience = audience

    def perform(self, jws: str, files: Sequence[bytes], peer: str) -> Recorded:
        """The act's place in the ledger. Idempotent: a token carried out before gives the same answer."""
        now = self._clock.now()
        register = self._store.current()
        act = perform_act(jws, time_us(now))
        # Before the gate: a repeat after the token's end, or after a person has left, must get the
        # answer that the first call was owed.
        if (known := self._store.recorded(act)) is not None:
            return known
        self._storage.require_room()
        admitted = admit_act(jws, peer=peer, register=register, now=now, audience=self._audience)
        named = self._judged(register, admitted.claims.action, admitted.claims.seal, admitted.parameters, files)
        return self._store.record(act, named, peer=peer)

    def check(self, action: str, seal: str, parameters: Mapping[str, Any], files: Sequence[bytes], approved_since: int | None) -> Register:
        """Raises what ``perform`` would raise for this act, were it approved, and CONFLICT for one that would change nothing.

        approved_since  NumericDate of the first approval that was given so far

        Returns the register as it would be. That a CA cannot be asked now is no reason to refuse an act.
        """
        if action not in ACTS or (action == "register") == bool(seal):
            raise VermilionError(
                Code.ACTION_MISMATCH, f"the acts here are {', '.join(sorted(ACTS))}; a change of the register names no seal"
            )
        register = self._store.current()
        register.least_persons(action, seal)  # raises when nobody may order it
        parameters = ActCovers(parameters).parameters
        try:
            self._judged(register, action, seal, parameters, files)
        except VermilionError as fault:
            if fault.kind is not Kind.UNAVAILABLE:
                raise
        after = ordered(register, action, seal, parameters)
        require_effect(register, after, parameters)
        if approved_since is not None:
            require_fresh(register, after, approved_since)
        return after

    def _judged(
        self, register: Register, action: str, seal_id: str, parameters: Mapping[str, Any], files: Sequence[bytes]
    ) -> dict[bytes, bytes]:
        """The files of the act, once everything about it is judged."""
        require(action != "resume" or parameters.keys() <= {"seal"}, "resuming a seal takes no parameters")
        for name, value in parameters.items():
            for one in value if isinstance(value, list) else (value,):
                if isinstance(one, str):
                    require_readable(one, f"the parameter {name}")
        # Before any file is opened: the examination costs a sandbox, and malformed parameters are
        # refused without one.
        after = ordered(register, action, seal_id, parameters)  # first of all refuses what is malformed
        require_meetable(register, after)
        named = self._examined(parameters, files)
        if action == "resume":
            self._require_good(after.seal(seal_id))
        elif parameters["change"] in CERTIFYING:
            seal = after.seal(str(parameters["id"]))
            require_seal_chain(seal.certificate, seal.chain, self._clock.now())
            self._outside.ask_now(seal)
        return named

    def _require_good(self, seal: Seal) -> None:
        """The seal's CA, ours or an outside one, confirms now that the certificate is good."""
        if self._outside.is_outside(seal):
            self._outside.ask_now(seal)
        else:
            self._revocations.assert_good(seal)

    def _examined(self, parameters: Mapping[str, Any], files: Sequence[bytes]) -> dict[bytes, bytes]:
        """The files that the act names: each must be there and be fit for its purpose."""
        given = {hashlib.sha256(content).digest(): content for content in files}
        wanted = named_attachments(parameters)
        # What no approver has seen by its hash is not taken in, not even to lie unused in the
        # database.
        for digest in given.keys() - wanted:
            raise VermilionError(Code.ATTACHMENT_UNNAMED, f"the act names no file {digest.hex()}")
        named = {digest: given[digest] if digest in given else self._held(digest) for digest in sorted(wanted)}
        for content in named.values():
            if parameters["change"] != "template_add":
                self._files.picture_size(content)
            elif self._files.fingerprint(content, parameters["fields"]) != parameters["template"]:
                raise VermilionError(Code.TEMPLATE_MISMATCH, "the base PDF's fixed content is not what the act calls the template")
        return named

    def _held(self, digest: bytes) -> bytes:
        try:
            return self._store.attachment(digest)
        except VermilionError as fault:
            if fault.code is not Code.NOT_FOUND:
                raise
            raise VermilionError(Code.ATTACHMENT_MISSING, f"the file {digest.hex()} that the act names was not sent along") from None
