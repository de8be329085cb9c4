"""Timestamps from several sources, tried in order: the first correct answer counts, and without one there is no timestamp (I5)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sealcore.errors import Code, VermilionError
from timestamp.client.source import Source


class TimestampSources:
    """Fail-over in the given order. Thread-safe.

    within_s  time for one batch over all sources; each gets an equal share of what is left when its turn comes

    Raises CONFIGURATION_INVALID if there is no source, or if two have the same name.
    """

    def __init__(self, sources: Sequence[Source], *, within_s: float) -> None:
        names = [source.name for source in sources]
        if not names or len(set(names)) != len(names):
            raise VermilionError(Code.CONFIGURATION_INVALID, "timestamps need at least one source, and each a name of its own")
        self._sources = tuple(sources)
        self._within_s = within_s
        self.largest_token_bytes: Final = max(source.largest_token_bytes for source in sources)

    def stamp_all(self, digests: Sequence[bytes]) -> list[bytes | VermilionError]:
        """For each SHA-256 digest, in order, the token of the first source that gives one.

        If none does, TIMESTAMP_UNAVAILABLE with each source's reason.
        """
        until_s = time.monotonic() + self._within_s
        tokens: dict[int, bytes] = {}
        said: list[list[str]] = [[] for _ in digests]
        for turn, source in enumerate(self._sources):
            waiting = [index for index in range(len(digests)) if index not in tokens]
            if not waiting:
                break
            share_s = max(0.0, until_s - time.monotonic()) / (len(self._sources) - turn)
            outcomes = source.stamp_all([digests[index] for index in waiting], share_s)
            for index, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, VermilionError):
                    said[index].append(f"{source.name}: {outcome.code}: {outcome.reason}")
                else:
                    tokens[index] = outcome
        return [tokens[index] if index in tokens else _unavailable(said[index]) for index in range(len(digests))]

    def stamp(self, digest: bytes) -> bytes:
        """One token; raises TIMESTAMP_UNAVAILABLE."""
        (outcome,) = self.stamp_all([digest])
        if isinstance(outcome, VermilionError):
            raise outcome
        return outcome

    def close(self) -> None:
        """Closes every source."""
        for source in self._sources:
            source.close()


def _unavailable(said: Sequence[str]) -> VermilionError:
    return VermilionError(Code.TIMESTAMP_UNAVAILABLE, "no source gave a timestamp; " + "; ".join(said))
