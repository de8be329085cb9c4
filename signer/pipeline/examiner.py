"""Examines PDFs of templates and pictures in a sandbox, so that the process that holds the keys loads no PDF library."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sealcore.platform.sandbox import PRELOAD, ForkServer, Job, Limits, understood
from sealcore.protocol.canonical import canonical_json

JOB: Final = Job("signer.pipeline.template:work", (*PRELOAD, "pikepdf"), Limits(answer_bytes=256 * 1024))
LONGEST_SIDE: Final = 1_000_000_000  # millipoints; the widest page is about a hundredth of it


class Examiner:
    """``signer.pipeline.template`` in a sandbox, which starts with the first call: grants on templates and new pictures are rare."""

    def __init__(self, service: Path | None = None) -> None:
        self._sandbox = ForkServer(JOB, service=service)

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()

    def fingerprint(self, document: bytes, fields: Sequence[str]) -> str:
        """Lower hex SHA-256 of the document's fixed content (``template.fingerprint``)."""
        answer = self._sandbox.call(b"fingerprint", document, canonical_json(list(fields)))
        return understood(lambda: _sha256(*answer))

    def picture_size(self, picture: bytes) -> tuple[int, int]:
        """Width and height of a picture in millipoints (``template.picture_size``)."""
        answer = self._sandbox.call(b"size", picture)
        return understood(lambda: _size(*answer))


def _sha256(answer: bytes) -> str:
    if len(bytes.fromhex(answer.decode("ascii"))) != hashlib.sha256().digest_size:
        raise ValueError("no SHA-256")
    return answer.decode("ascii")


def _size(*sides: bytes) -> tuple[int, int]:
    width, height = map(int, sides)
    if not (0 < width <= LONGEST_SIDE and 0 < height <= LONGEST_SIDE):
        raise ValueError("no picture has such a size")
    return width, height
