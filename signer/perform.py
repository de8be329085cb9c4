"""Acts that a quorum orders by a token: resuming a seal, changing the register."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sealcore.approvals.covers import ActCovers
from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from sealcore.ledger.entry import time_us
from signer.acts import perform_act
from signer.chain import require_seal_chain
from signer.changes import changed, named_attachments
from signer.examiner import Examiner
from signer.gate import admit_act
from signer.register import Seal
from signer.register_store import Recorded, RegisterStore
from signer.revocation import SealRevocations
from signer.status.watch import StatusWatch

CERTIFYING: Final = frozenset({"seal_add", "seal_certificate"})  # changes that put a certificate behind a seal


class Performer:
    """Judges an act, looks at what it brings or what it depends on outside, and has it recorded."""

    def __init__(
        self,
        store: RegisterStore,
        revocations: SealRevocations,
        outside: StatusWatch,
        examiner: Examiner,
        clock: Clock,
        *,
        audience: str,
    ) -> None:
        self._store = store
        self._revocations = revocations
        self._outside = outside
        self._examiner = examiner
        self._clock = clock
        self._audience = audience

    def perform(self, jws: str, files: Sequence[bytes], peer: str) -> Recorded:
        """The act's place in the ledger. Idempotent: a token carried out before gives the same answer."""
        now = self._clock.now()
        register = self._store.current()
        act = perform_act(jws, time_us(now))
        if (known := self._store.recorded(act)) is not None:
            return known
        admission = admit_act(jws, peer=peer, register=register, now=now, audience=self._audience)
        assert isinstance(admission.claims.covers, ActCovers)  # the gate's step action_act
        parameters = admission.claims.covers.parameters
        if admission.claims.action == "resume":
            self._require_good(admission.seal)
            return self._store.record(act, peer=peer)
        after = changed(register, parameters)  # refuses what is malformed before anything else looks at it
        if parameters["change"] in CERTIFYING:
            seal = after.seal(str(parameters["id"]))
            require_seal_chain(seal.certificate, seal.chain, now)
            self._outside.ask_now(seal)
        return self._store.record(act, self._examined(parameters, files), peer=peer)

    def _require_good(self, seal: Seal) -> None:
        """The seal's CA, ours or an outside one, says now that its certificate is good."""
        if self._outside.is_outside(seal):
            self._outside.ask_now(seal)
        else:
            self._revocations.assert_good(seal)

    def _examined(self, parameters: Mapping[str, Any], files: Sequence[bytes]) -> dict[bytes, bytes]:
        """The files that the act names, each there and fit for its purpose."""
        given = {hashlib.sha256(content).digest(): content for content in files}
        named = {digest: given[digest] if digest in given else self._held(digest) for digest in named_attachments(parameters)}
        for content in named.values():
            if parameters["change"] != "template_add":
                self._examiner.picture_size(content)
            elif self._examiner.fingerprint(content, parameters["fields"]) != parameters["template"]:
                raise VermilionError(Code.TEMPLATE_MISMATCH, "the base PDF's fixed content is not what the act calls the template")
        return named

    def _held(self, digest: bytes) -> bytes:
        try:
            return self._store.attachment(digest)
        except VermilionError as fault:
            if fault.code is not Code.NOT_FOUND:
                raise
            raise VermilionError(Code.INVALID_ARGUMENT, f"the file {digest.hex()[:16]}… that the act names was not sent along") from None
