"""Instants as the CA's database has them: RFC 3339 text in UTC with whole seconds, in order when compared as text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

INSTANT_FORMAT: Final = "%Y-%m-%dT%H:%M:%SZ"


def to_text(instant: datetime) -> str:
    """The column form of an instant; fractions of a second are cut off."""
    return instant.astimezone(UTC).strftime(INSTANT_FORMAT)


def from_text(value: str) -> datetime:
    """The instant behind a column."""
    return datetime.strptime(value, INSTANT_FORMAT).replace(tzinfo=UTC)
