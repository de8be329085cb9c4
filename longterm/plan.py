"""What an update adds to a file: the same for both writers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from longterm.model import ByteRange, Store

# The catalog's developer extension for PAdES structures in PDF 1.7 (ETSI EN 319 142-1 §5.6, ISO 32000-2 §7.12).
BASE_VERSION: Final = "1.7"
EXTENSION_LEVEL: Final = 1
FIELD_NAME: Final = "DocumentTimestamp"
FIELD_LABEL: Final = "Document timestamp"


@dataclass(frozen=True)
class Addition:
    """Validation data for the DSS, and room for a document timestamp.

    store            what the DSS does not have yet
    identifier       the changing half of the file's /ID
    hole_size_bytes  room for the timestamp token; 0 for none
    vri              what belongs to each signature, by its name in /VRI; empty for none
    """

    store: Store
    identifier: bytes
    hole_size_bytes: int = 0
    vri: dict[str, Store] = field(default_factory=dict)
    field_name: str = FIELD_NAME
    field_label: str = FIELD_LABEL

    @property
    def touches_store(self) -> bool:
        """Whether the DSS is written anew."""
        return bool(self.store or self.vri)


@dataclass(frozen=True)
class Stamp:
    """Where the document timestamp goes."""

    byte_range: ByteRange
