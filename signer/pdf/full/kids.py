"""An upper bound on the inner nodes of a document's page tree: only objects with /Kids, however spelled, can be one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from signer.pdf.plan import Document

_KIDS: Final = re.compile(rb"/(?:K|#4[Bb])(?:i|#69)(?:d|#64)(?:s|#73)")  # names may be escaped (ISO 32000-2 §7.3.5)


def more_kids(texts: Iterable[Document], most: int) -> bool:
    """Whether a file's bytes and its decoded object streams name /Kids more than ``most`` times."""
    for text in texts:
        position = 0
        while (found := _KIDS.search(text, position)) is not None:
            if most == 0:
                return True
            most, position = most - 1, found.end()
    return False
