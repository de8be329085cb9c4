"""Verification of files, as ``vermilion verify`` does it: one report a file, one exit status for all."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from sealcore.clock import Clock
from sealcore.errors import Code, VermilionError
from verify import catalogue
from verify.log_view import LedgerView
from verify.opinion import Reader
from verify.report import Report, Verdict
from verify.trust import TrustMaterial
from verify.verifier import verify

MOST_FILE_BYTES = 1024 * 1024 * 1024
_BLOCK_BYTES = 1024 * 1024
EXIT_STATUS = {Verdict.VALID: 0, Verdict.INVALID: 1, Verdict.UNDETERMINED: 2, Verdict.UNREADABLE: 3}
_WORST_FIRST = (Verdict.INVALID, Verdict.UNREADABLE, Verdict.UNDETERMINED, Verdict.VALID)


def verify_files(
    paths: Iterable[Path],
    trust: TrustMaterial,
    ledger: LedgerView | None,
    *,
    clock: Clock,
    reader: Reader | None = None,
    language: str = catalogue.DEFAULT_LANGUAGE,
) -> Iterator[Report]:
    """A report for each file in turn; raises NOT_FOUND or INVALID_ARGUMENT for one that cannot be opened at all.

    reader  give ``verify.sandbox.Sandbox().read`` for files from strangers
    """
    for path in paths:
        yield verify(read_file(path), trust, ledger, clock=clock, name=path.name, language=language, reader=reader)


def read_file(path: Path) -> bytes:
    """The bytes of a file; raises NOT_FOUND, INVALID_ARGUMENT or DOCUMENT_TOO_LARGE."""
    try:
        found = path.stat()
        if found.st_size > MOST_FILE_BYTES:
            raise _too_large(path)
        return path.read_bytes() if stat.S_ISREG(found.st_mode) else _read_through(path)
    except FileNotFoundError:
        raise VermilionError(Code.NOT_FOUND, f"there is no file {path.name}", document=path.name) from None
    except OSError as fault:
        raise VermilionError(Code.INVALID_ARGUMENT, f"the file cannot be read ({fault.strerror})", document=path.name) from None


def _read_through(path: Path) -> bytes:
    """A pipe or a device, which does not say beforehand where it ends, if it does."""
    blocks, size_bytes = [], 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            size_bytes += len(block)
            if size_bytes > MOST_FILE_BYTES:
                raise _too_large(path)
            blocks.append(block)
    return b"".join(blocks)


def _too_large(path: Path) -> VermilionError:
    return VermilionError(Code.DOCUMENT_TOO_LARGE, "the file is larger than 1 GiB", document=path.name)


def exit_status(verdicts: Iterable[Verdict]) -> int:
    """The exit status for several files: that of the worst.

    Invalid is worse than unreadable, and that than undetermined: a forged document is never hidden behind a damaged one.
    """
    found = set(verdicts)
    return next((EXIT_STATUS[each] for each in _WORST_FIRST if each in found), 0)
