"""Where a published log is read from: over HTTP, or from its folder. Both hand out untrusted bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from sealcore.platform.http_client import OK, Failure, HttpClient, HttpError
from sealcore.protocol.ledger_tiles import WIDTH, TileName, decode_bundle, encode_bundle
from sealcore.protocol.merkle import HASH_BYTES

FETCH_TIMEOUT_S = 10.0
_ABSENT = (404, 410)


class Source(Protocol):
    """Reads what a log publishes, by path under its prefix."""

    def fetch(self, path: str, most_bytes: int) -> bytes | None:
        """The bytes, or None when there is no such resource.

        Raises SERVICE_UNAVAILABLE or FILE_UNUSABLE when the log cannot be reached, LEDGER_INCONSISTENT when there are more than ``most_bytes``.
        """


def _too_large(path: str) -> VermilionError:
    return VermilionError(Code.LEDGER_INCONSISTENT, f"{path} is larger than an honest log makes it")


class HttpSource:
    """A log over HTTP. ``base_url`` comes from configuration, never from a document; redirects are not followed."""

    def __init__(self, base_url: str, *, timeout_s: float = FETCH_TIMEOUT_S) -> None:
        self._base_url = base_url.rstrip("/")
        self._client = HttpClient(within_s=timeout_s)

    def fetch(self, path: str, most_bytes: int) -> bytes | None:
        try:
            answer = self._client.ask("GET", f"{self._base_url}/{path}", most_bytes=most_bytes)
        except HttpError as fault:
            if fault.failure is Failure.TOO_LARGE:
                raise _too_large(path) from None
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the log cannot be read: {fault.reason}") from None
        if answer.status in _ABSENT:
            return None
        if answer.status != OK:
            raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the log answers {answer.status} to {path}")
        return answer.body

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()


class FolderSource:
    """A log's public folder, or a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, path: str, most_bytes: int) -> bytes | None:
        file = self.folder / path
        try:
            if file.stat().st_size > most_bytes:
                raise _too_large(path)
            return file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as fault:
            raise durable.unusable(fault, file) from None


def load_tile(source: Source, name: TileName) -> bytes:
    """Bytes of a tile or bundle with exactly ``name.width`` items; raises LEDGER_INCONSISTENT when the log does not have it.

    A log may drop a partial tile once the full one is there (tlog-tiles, "Partial Tiles"): then its beginning serves.
    """
    data = source.fetch(name.path, name.most_bytes)
    if data is None and name.width < WIDTH:
        data = source.fetch(name.full.path, name.most_bytes)
        if data is not None:
            data = _beginning(data, name)
    if data is None:
        raise VermilionError(Code.LEDGER_INCONSISTENT, f"the log does not serve {name.path}")
    return data


def _beginning(data: bytes, name: TileName) -> bytes:
    if name.level is None:
        return encode_bundle(decode_bundle(data, name.full)[: name.width])
    return data[: name.width * HASH_BYTES]
