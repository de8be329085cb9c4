"""pyHanko's own signer as a careful user would run it in a loop: PAdES B-T with the key in the token.

In its favour: one PKCS#11 session and one event loop for all, space for the signature reserved (no trial run), the seal's stamp
loaded once, no network. The timestamps come from pyHanko's in-process timestamper, whose key is the signer's own TSA key in the same
token instead of an RSA key in memory (that timestamper knows RSA only, so its two lines about the signature are ours).
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import time
from dataclasses import replace
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import pkcs11
from asn1crypto import cms, x509
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from pkcs11.constants import ObjectClass
from pyhanko.keys import load_cert_from_pemder, load_certs_from_pemder
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.general import as_signing_certificate, simple_cms_attribute
from pyhanko.sign.pkcs11 import PKCS11Signer
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator.registry import SimpleCertificateStore

from benchmarks.documents import Paper, papers
from benchmarks.load import MARK, Order
from benchmarks.signing import Turns
from sealcore.platform.config import TokenSettings, read_pin

RESERVED_BYTES = 24 * 1024  # for the CMS with its timestamp, in hexadecimal
KEPT_PAPERS = 200  # signed in turn; pyHanko remembers nothing between two documents
_BOX = MARK.x0 // 1000, MARK.y0 // 1000, MARK.x1 // 1000, MARK.y1 // 1000  # pyHanko takes whole points


class TokenTimeStamper(DummyTimeStamper):
    """pyHanko's in-process timestamper with a P-256 key in the token."""

    def __init__(self, certificate: x509.Certificate, key: Any) -> None:
        super().__init__(certificate, None)
        self._key = key

    def _sign_tst_info(self, tst_info_data: bytes, md_algorithm: str, dt: datetime) -> tuple[bytes, Any]:
        attributes = cms.CMSAttributes(
            [
                simple_cms_attribute("content_type", "tst_info"),
                simple_cms_attribute("signing_time", cms.Time({"utc_time": dt})),
                simple_cms_attribute("signing_certificate", as_signing_certificate(self.tsa_cert)),
                simple_cms_attribute("message_digest", hashlib.new(md_algorithm, tst_info_data).digest()),
            ]
        )
        raw = self._key.sign(hashlib.new(md_algorithm, attributes.dump()).digest()[:32], mechanism=pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")), attributes

    def _build_signed_data(self, tst_info_data: bytes, md_algorithm: str, signature: bytes, signed_attrs: Any) -> dict[str, Any]:
        built: dict[str, Any] = super()._build_signed_data(tst_info_data, md_algorithm, signature, signed_attrs)
        built["signer_infos"][0]["signature_algorithm"] = {"algorithm": f"{md_algorithm}_ecdsa"}
        return built


class PyHanko:
    """Runs in a helper process; context manager. Files are PEM: the seal's and the TSA unit's certificate, and the chain."""

    def __init__(self, settings: TokenSettings, labels: tuple[str, str], pki: Path, picture: Path) -> None:
        self._settings, self._labels, self._pki, self._picture = settings, labels, pki, picture

    def __enter__(self) -> PyHanko:
        os.environ["SOFTHSM2_CONF"] = str(self._settings.softhsm_conf or "")
        token = pkcs11.lib(str(self._settings.module)).get_token(token_label=self._settings.label)
        self._session = token.open(user_pin=read_pin(self._settings.pin_file))
        seal_label, tsa_label = self._labels
        certificate = load_cert_from_pemder(self._pki / f"{seal_label}.pem")
        store: Any = SimpleCertificateStore()  # type: ignore[no-untyped-call]
        store.register_multiple(load_certs_from_pemder([self._pki / "seals-chain.pem"]))
        signer = PKCS11Signer(
            self._session,
            signing_cert=certificate,
            ca_chain=list(store),
            key_label=seal_label,
            use_raw_mechanism=certificate.public_key.algorithm == "ec",  # SoftHSM has no ECDSA mechanism that hashes
        )
        tsa_key = self._session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=tsa_label)
        stamper = TokenTimeStamper(load_cert_from_pemder(self._pki / f"{tsa_label}.pem"), tsa_key)
        metadata = PdfSignatureMetadata(field_name="Seal", md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES)
        style = StaticStampStyle.from_pdf_file(str(self._picture), border_width=0)
        self._visible = PdfSigner(metadata, signer, timestamper=stamper, stamp_style=style)
        self._invisible = PdfSigner(metadata, signer, timestamper=stamper)
        self._loop = asyncio.new_event_loop()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._loop.close()
        self._session.close()

    def prepare(self, order: Order, visible: bool = True) -> None:
        """The documents to go through, with visible seals where the load has them or with none."""
        made = papers(order.pattern, min(order.documents, KEPT_PAPERS), order.series)
        self._papers = [replace(paper, visible=paper.visible and visible) for paper in made]

    def sign_for(self, seconds: float) -> Turns:
        """Signs one document after the other for so long."""
        return self._loop.run_until_complete(self._sign_for(seconds))

    def sample(self) -> list[bytes]:
        """The first four documents, signed: for a look at them."""
        return [self._loop.run_until_complete(self._sign(paper)) for paper in self._papers[:4]]

    async def _sign_for(self, seconds: float) -> Turns:
        done, began_s, cpu_s = 0, time.monotonic(), time.process_time()
        for paper in cycle(self._papers):
            if (elapsed_s := time.monotonic() - began_s) >= seconds:
                break
            await self._sign(paper)
            done += 1
        return Turns(done / elapsed_s, (time.process_time() - cpu_s) / max(done, 1))

    async def _sign(self, paper: Paper) -> bytes:
        writer, out = IncrementalPdfFileWriter(io.BytesIO(paper.content)), io.BytesIO()
        signer = self._visible if paper.visible else self._invisible
        field = SigFieldSpec("Seal", on_page=paper.last_page, box=_BOX) if paper.visible else SigFieldSpec("Seal")
        signer.new_field_spec = field  # cheaper than a signer for each document
        await signer.async_sign_pdf(writer, bytes_reserved=RESERVED_BYTES, output=out)
        return out.getvalue()
