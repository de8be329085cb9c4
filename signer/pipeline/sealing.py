"""Assemble and read back: the CMS goes into the hole, and what was sealed is read before it is released.

Whole batches at once in the compiled core. One by one, with the same outcome: where there is none, the first document of a key, and whatever the
core does not recognise, which it never refuses by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from sealcore import compiled
from sealcore.errors import VermilionError
from sealcore.exhaustion import typed
from sealcore.platform.log import get as get_log
from sealcore.protocol.ledger_entry import signature_hash, timestamp_hash
from signer.pdf.fill import fill
from signer.pdf.readback.known_cms import KnownCms
from signer.pdf.readback.sealed import read_back
from signer.pipeline.batch import Batch, Filled, Timestamped, Verified
from signer.pipeline.commit import Finished
from signer.pipeline.preparation import InProgress

if compiled.AVAILABLE:
    from sealcore.compiled import core


class Sealing:
    """Assembles and reads back. Thread-safe."""

    def __init__(self, in_progress: InProgress) -> None:
        self._in_progress = in_progress
        self._known = KnownCms()
        self._log = get_log("engine")

    # --- assemble --------------------------------------------------------------------------------------------------------------

    def fill(self, batch: Batch, timestamped: Sequence[Timestamped]) -> list[Filled]:
        """The sealed update of each document."""
        filled: list[Filled] = []
        for one, suffix in zip(timestamped, self._fill_at_once(timestamped), strict=True):
            try:
                filled.append(Filled(one, _filled(one) if suffix is None else suffix))
            except Exception as fault:  # noqa: BLE001  (the others go on)
                self._refuse(batch, one, fault)
        return filled

    def _fill_at_once(self, timestamped: Sequence[Timestamped]) -> Sequence[bytes | None]:
        """None for what is to be done alone."""
        answers: list[bytes | None] = [None] * len(timestamped)
        if not compiled.AVAILABLE:
            return answers
        jobs, places = [], []
        for place, one in enumerate(timestamped):
            (intended, accounted, _), signature = one.signed
            template = intended.admitted.key.template.compiled
            if template is not None and isinstance(accounted, core.Accounted):
                jobs.append((accounted, template, signature, one.token))
                places.append(place)
        for place, answer in zip(places, core.fill_all(jobs), strict=True):
            answers[place] = answer
        return answers

    # --- read back -------------------------------------------------------------------------------------------------------------

    def read_back(self, batch: Batch, filled: Sequence[Filled]) -> list[Verified]:
        """Those whose sealed update is the accounted one with a valid seal in its hole; DOCUMENT_READBACK for the others."""
        verified: list[Verified] = []
        known: list[Filled] = []
        jobs = []
        for one in filled:
            (intended, accounted, _), signature = one.timestamped.signed
            item, key = intended.admitted.item, intended.admitted.key.key
            constants = self._known.constants(key.spki_sha256, accounted.hash_name)
            # The first seal of a key is judged in full, which gets to know the key for all others.
            if constants is None or not isinstance(accounted, core.Accounted) or not isinstance(item.digest, core.Hash):
                self._alone(batch, one, verified)
                continue
            known.append(one)
            jobs.append((accounted, one.suffix, constants, item.digest, signature, one.timestamped.token, item.request.document_sha256))
        if jobs:
            # Each is noted there, so that, if this process dies over a document, the front knows over which (ADR 18).
            for one, found in zip(known, core.read_back_all(jobs, *self._in_progress.note()), strict=True):
                if found is None:
                    self._alone(batch, one, verified)
                else:
                    self._verified(batch, one, found, verified)
        self._in_progress.end()
        return verified

    def _alone(self, batch: Batch, one: Filled, verified: list[Verified]) -> None:
        (intended, accounted, _), signature = one.timestamped.signed
        item, key = intended.admitted.item, intended.admitted.key.key
        self._in_progress.begin(item.request.document_sha256)
        try:
            read_back(accounted, one.suffix, spki_sha256=key.spki_sha256, known=self._known)
        except VermilionError as refusal:
            batch.refuse(intended.admitted.received, refusal)
            return
        # Hashing on from the gate's state: the document's bytes are not read a second time.
        hashes = item.digest.digest(one.suffix), signature_hash(signature), timestamp_hash(one.timestamped.token)
        self._verified(batch, one, hashes, verified)

    @staticmethod
    def _verified(batch: Batch, one: Filled, hashes: tuple[bytes, bytes, bytes], verified: list[Verified]) -> None:
        (admitted, intent), _, warnings = one.timestamped.signed.prepared
        try:
            finished = Finished(intent, one.suffix, *hashes, (*admitted.item.admission.warnings, *warnings))
        except VermilionError as refusal:
            batch.refuse(admitted.received, refusal)
        else:
            verified.append(Verified(admitted.received, finished))

    def _refuse(self, batch: Batch, one: Timestamped, fault: Exception) -> None:
        refusal = typed(fault)
        if refusal is not fault:
            self._log.error("fault", exc_info=fault)
        batch.refuse(one.signed.prepared.intended.admitted.received, refusal)


def _filled(one: Timestamped) -> bytes:
    (intended, accounted, _), signature = one.signed
    return fill(accounted.update, accounted.hole, intended.admitted.key.template.assemble(accounted.digest, signature, one.token))
