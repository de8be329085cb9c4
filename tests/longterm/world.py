"""A small PKI with a clock that tests move: root, issuing CA, seal, timestamp units, and their CRLs, OCSP and TSA over loopback HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any

from asn1crypto import keys, tsp
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfSignatureMetadata, SimpleSigner, fields, signers
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from sealcore.clock import FixedClock
from tests.support.http_server import HttpServer

START = datetime(2012, 1, 1, tzinfo=UTC)  # well in the past: pyHanko takes the present for when it knows no better
DAY = timedelta(days=1)
YEAR = 365 * DAY
_SPARE: list[rsa.RSAPrivateKey] = []  # of worlds that are closed: generating keys takes longer than most tests


@dataclass
class Holder:
    """A certificate with its key."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def asn1(self) -> Any:
        return asn1.Certificate.load(self.der)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def private(self) -> Any:
        return keys.PrivateKeyInfo.load(self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


@dataclass
class World:
    """``requests`` counts what was asked for, by path. ``has_ocsp`` puts OCSP into new certificates; ``root_crl_ends`` of the root."""

    has_ocsp: bool = False
    clock: FixedClock = field(default_factory=lambda: FixedClock(START))
    requests: dict[str, int] = field(default_factory=dict)
    published: dict[str, bytes] = field(default_factory=dict)
    revoked: dict[int, tuple[datetime, datetime | None]] = field(default_factory=dict)
    delegate_nocheck: bool = True
    lives: bool = True
    issued: dict[int, x509.Certificate] = field(default_factory=dict)
    root_crl_ends: datetime = START
    keys: list[rsa.RSAPrivateKey] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                world.answer(self, b"")

            def do_POST(self) -> None:
                world.answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_message: object) -> None:
                """Says nothing."""

        self._server = HttpServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.root = self._issue("Root", None, 60 * YEAR, ca=True)
        self.ca = self._issue("Issuing CA", self.root, 40 * YEAR, ca=True)
        self.delegate = self._issue("OCSP Responder", self.ca, 30 * YEAR, usage=ExtendedKeyUsageOID.OCSP_SIGNING)
        self.seal = self._issue("Seal", self.ca, YEAR)
        self.tsa = self.new_tsa("TSU 1", 3 * YEAR)
        self.publish()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        _SPARE.extend(self.keys)  # no two worlds share one at any time
        self.keys.clear()

    # --- certificates ------------------------------------------------------------------------------------------------------------

    def new_tsa(self, name: str, life: timedelta) -> Holder:
        return self._issue(name, self.ca, life, usage=ExtendedKeyUsageOID.TIME_STAMPING)

    def _issue(
        self, name: str, issuer: Holder | None, life: timedelta, *, ca: bool = False, usage: x509.ObjectIdentifier | None = None
    ) -> Holder:
        key = _SPARE.pop() if _SPARE else rsa.generate_private_key(65537, 2048)
        self.keys.append(key)
        now = self.clock.now()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        above = issuer.certificate.subject if issuer else subject
        builder = (
            x509.CertificateBuilder(above, subject, key.public_key(), x509.random_serial_number(), now - DAY, now + life)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_usage(ca=ca), critical=True)
        )
        if issuer is not None:
            source = "root" if issuer.certificate.issuer == issuer.certificate.subject else "ca"
            builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
            if usage != ExtendedKeyUsageOID.OCSP_SIGNING or not self.delegate_nocheck:
                builder = builder.add_extension(x509.CRLDistributionPoints([_point(f"{self.url}/{source}.crl")]), critical=False)
            access = [_access(AuthorityInformationAccessOID.CA_ISSUERS, f"{self.url}/{source}.cer")]
            access += [_access(AuthorityInformationAccessOID.OCSP, f"{self.url}/ocsp")] if self.has_ocsp and not ca else []
            builder = builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=usage == ExtendedKeyUsageOID.TIME_STAMPING)
        if usage == ExtendedKeyUsageOID.OCSP_SIGNING and self.delegate_nocheck:
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        certificate = builder.sign(issuer.key if issuer else key, SHA256())
        self.issued[certificate.serial_number] = certificate
        return Holder(key, certificate)

    def revoke(self, holder: Holder, at: datetime, invalid: datetime | None = None) -> None:
        self.revoked[holder.certificate.serial_number] = (at, invalid)

    def publish(self) -> None:
        """A new CRL of the issuing CA, as of now; of the root only where the last has ended, as with roots that are kept offline."""
        if self.root_crl_ends <= self.clock.now():
            self.published["/root.crl"] = self._crl(self.root, 300 * DAY)
            self.root_crl_ends = self.clock.now() + 300 * DAY
        self.published["/ca.crl"] = self._crl(self.ca, 7 * DAY)
        self.published["/root.cer"], self.published["/ca.cer"] = self.root.der, self.ca.der

    def crls_at(self, moment: datetime) -> tuple[bytes, bytes]:
        """The CRLs that both CAs publish at a time to come."""
        return self._crl(self.root, 300 * DAY, moment), self._crl(self.ca, 7 * DAY, moment)

    def _crl(self, issuer: Holder, life: timedelta, moment: datetime | None = None) -> bytes:
        now = moment or self.clock.now()
        builder = x509.CertificateRevocationListBuilder(issuer.certificate.subject, now, now + life)
        builder = builder.add_extension(x509.CRLNumber(int(now.timestamp())), critical=False).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False
        )
        for serial, (at, invalid) in self.revoked.items():
            entry = x509.RevokedCertificateBuilder(serial, at)
            if invalid is not None:
                entry = entry.add_extension(x509.InvalidityDate(invalid), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.DER)

    # --- over HTTP ---------------------------------------------------------------------------------------------------------------

    def answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        self.requests[handler.path] = self.requests.get(handler.path, 0) + 1
        makers: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
            "/ocsp": ("application/ocsp-response", self._ocsp),
            "/tsa": ("application/timestamp-reply", self._token),
        }
        kind, make = makers.get(handler.path, ("application/octet-stream", lambda _body: self.published.get(handler.path, b"")))
        content = make(body)
        handler.send_response(200 if content else 404)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _ocsp(self, body: bytes) -> bytes:
        """Pre-signed answers are as old as the CRL; live ones, to a nonce, are of now."""
        request = ocsp.load_der_ocsp_request(body)
        nonces = [each for each in request.extensions if isinstance(each.value, x509.OCSPNonce)]
        crl = x509.load_der_x509_crl(self.published["/ca.crl"])
        live = bool(nonces) and self.lives
        made = self.clock.now() if live else crl.last_update_utc
        about = self.issued[request.serial_number]
        at, _invalid = self.revoked.get(request.serial_number, (None, None))
        builder = ocsp.OCSPResponseBuilder().add_response(
            about,
            self.ca.certificate,
            request.hash_algorithm,
            ocsp.OCSPCertStatus.REVOKED if at else ocsp.OCSPCertStatus.GOOD,
            made,
            made + DAY,
            at,
            None,
        )
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.delegate.certificate).certificates([self.delegate.certificate])
        if live:
            builder = builder.add_extension(nonces[0].value, critical=False)
        return builder.sign(self.delegate.key, SHA256()).public_bytes(Encoding.DER)

    def _token(self, body: bytes) -> bytes:
        return bytes(self.timestamper().request_tsa_response(tsp.TimeStampReq.load(body)).dump())

    # --- documents ---------------------------------------------------------------------------------------------------------------

    def timestamper(self, tsa: Holder | None = None) -> DummyTimeStamper:
        own, store = tsa or self.tsa, SimpleCertificateStore()
        store.register(self.ca.asn1)
        return DummyTimeStamper(own.asn1, own.private, certs_to_embed=store, fixed_dt=self.clock.now())

    def signed(
        self,
        document: bytes,
        *,
        stamped: bool = True,
        name: str = "Seal1",
        permission: int | None = None,
        more: Sequence[x509.Certificate] = (),
    ) -> bytes:
        """By pyHanko, at B-T or B-B; with ``more`` certificates in the signature."""
        store = SimpleCertificateStore()
        store.register(self.ca.asn1)
        store.register_multiple([asn1.Certificate.load(each.public_bytes(Encoding.DER)) for each in more])
        metadata = PdfSignatureMetadata(
            field_name=name,
            md_algorithm="sha256",
            subfilter=fields.SigSeedSubFilter.PADES,
            certify=permission is not None,
            docmdp_permissions=fields.MDPPerm(permission or 2),
        )
        signer = SimpleSigner(self.seal.asn1, self.seal.private, store)
        writer = IncrementalPdfFileWriter(BytesIO(document), strict=False)
        out = signers.sign_pdf(writer, metadata, signer, timestamper=self.timestamper() if stamped else None)
        return bytes(out.getvalue())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=not ca,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _point(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def _access(method: x509.ObjectIdentifier, url: str) -> x509.AccessDescription:
    return x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
