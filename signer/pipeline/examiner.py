"""Examines PDFs of templates and pictures in a sandbox, so that the process that holds the keys loads no PDF library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sealcore.platform.sandbox import PRELOAD, ForkServer, Job
from sealcore.protocol.canonical import canonical_json

JOB: Final = Job("signer.pipeline.template:work", (*PRELOAD, "pikepdf"))


class Examiner:
    """``signer.pipeline.template`` in a sandbox, which starts with the first call: grants on templates and new pictures are rare."""

    def __init__(self, service: Path | None = None) -> None:
        self._sandbox = ForkServer(JOB, service=service)

    def close(self) -> None:
        """Ends the sandbox."""
        self._sandbox.close()

    def fingerprint(self, document: bytes, fields: Sequence[str]) -> str:
        """Lower hex SHA-256 of the document's fixed content (``template.fingerprint``)."""
        (answer,) = self._sandbox.call(b"fingerprint", document, canonical_json(list(fields)))
        return answer.decode("ascii", "replace")

    def picture_size(self, picture: bytes) -> tuple[int, int]:
        """Width and height of a picture in millipoints (``template.picture_size``)."""
        width, height = self._sandbox.call(b"size", picture)
        return int(width), int(height)
