"""pyHanko's own extension to B-LTA as a careful user would run it in a loop, with the same CAs, OCSP responder and TSA over HTTP.

In its favour: one validation context for all files of a turn, so that each OCSP answer and CRL is fetched once; connections that
stay open, to the TSA as well; room for the timestamp known beforehand (no trial request); no /VRI; and no second look at the
document timestamp that it has just been given.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from itertools import cycle
from pathlib import Path
from types import TracebackType

import aiohttp
from pyhanko.keys import load_cert_from_pemder
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.signers import PdfTimeStamper
from pyhanko.sign.timestamps.aiohttp_client import HTTPTimeStamper
from pyhanko.sign.validation.dss import async_add_validation_info
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend

from benchmarks.extending import Extended

RESERVED_BYTES = 16 * 1024  # for the timestamp token, in hexadecimal


class PyHankoExtension:
    """Runs in a helper process; context manager. ``root`` is the trusted certificate (PEM), ``tsa`` the URL of the TSA."""

    def __init__(self, root: Path, tsa: str, files: list[Path], out: Path) -> None:
        self._root, self._tsa, self._files, self._out = load_cert_from_pemder(root), tsa, files, out

    def __enter__(self) -> PyHankoExtension:
        logging.getLogger("pyhanko").setLevel(logging.CRITICAL)
        logging.getLogger("pyhanko_certvalidator").setLevel(logging.CRITICAL)
        self._out.mkdir(parents=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None: ...

    def extend_for(self, seconds: float) -> Extended:
        """Extends one file after the other to B-LTA for so long; begins with nothing fetched, as a run of the command does."""
        return asyncio.run(self._extend_for(seconds))

    def sample(self) -> list[Path]:
        """The first files, extended: for a look at them."""
        return asyncio.run(self._sampled())

    async def _extend_for(self, seconds: float) -> Extended:
        done, began_s, cpu_s = 0, time.monotonic(), time.process_time()
        async with aiohttp.ClientSession() as session:
            context, stamper = self._context(session), self._stamper(session)
            for file in cycle(self._files):
                if (elapsed_s := time.monotonic() - began_s) >= seconds and done:
                    break
                await self._extend(file, context, stamper)
                done += 1
        return Extended(done / elapsed_s, (time.process_time() - cpu_s) / done)

    async def _sampled(self) -> list[Path]:
        async with aiohttp.ClientSession() as session:
            context, stamper = self._context(session), self._stamper(session)
            return [await self._extend(file, context, stamper) for file in self._files[:4]]

    def _context(self, session: aiohttp.ClientSession) -> ValidationContext:
        """Answers that are younger than the signature count (``retroactive_revinfo``), as they must here; without one, nothing does."""
        backend = AIOHttpFetcherBackend(session)
        return ValidationContext(
            trust_roots=[self._root], allow_fetching=True, revocation_mode="require", retroactive_revinfo=True, fetcher_backend=backend
        )

    def _stamper(self, session: aiohttp.ClientSession) -> PdfTimeStamper:
        return PdfTimeStamper(HTTPTimeStamper(self._tsa, session=session))

    async def _extend(self, file: Path, context: ValidationContext, stamper: PdfTimeStamper) -> Path:
        signature = PdfFileReader(io.BytesIO(file.read_bytes())).embedded_regular_signatures[0]
        with_data = await async_add_validation_info(signature, context, add_vri_entry=False, output=io.BytesIO())
        writer, made = IncrementalPdfFileWriter(with_data), io.BytesIO()
        await stamper.async_timestamp_pdf(writer, "sha256", bytes_reserved=RESERVED_BYTES, output=made)
        target = self._out / file.name
        target.write_bytes(made.getvalue())
        return target
