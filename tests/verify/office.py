"""A seal office made for tests, independent of our signer, CA and log: software keys, pyHanko's own signer, a folder of tiles."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import cms, keys
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.metadata.model import DocumentMetadata
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign import fields, signers
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko_certvalidator.registry import SimpleCertificateStore
from reportlab.pdfgen import canvas

from sealcore.clock import FixedClock
from sealcore.platform.ledger.reader import LogReader
from sealcore.platform.ledger.sources import FolderSource
from sealcore.protocol import merkle
from sealcore.protocol import signed_note as note
from sealcore.protocol.ledger_entry import Entry, commitment, entry_hash, signature_hash, time_us, timestamp_hash
from sealcore.protocol.ledger_tiles import encode_bundle, tiles_of
from verify.log_view import Disclosure, PublicLedger
from verify.trust import TrustMaterial

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
SEEN = NOW + timedelta(seconds=10)  # when the log and its witness looked, unless a test says otherwise: after the document had come
DAY = timedelta(days=1)
SALT = b"\x07" * 32
OWNER = "Example Trading Ltd"
_CRL_NAMES = {"superseded": x509.ReasonFlags.superseded, "keyCompromise": x509.ReasonFlags.key_compromise}


def page_document(*, form: bool = False, pages: int = 1) -> bytes:
    """A small PDF, on request with a text field."""
    out = io.BytesIO()
    sheet = canvas.Canvas(out, invariant=True)
    for number in range(pages):
        sheet.drawString(72, 720, f"Contract, page {number + 1}: the price is 100.")
        if form and number == 0:
            sheet.acroForm.textfield(name="amount", x=72, y=600, width=120, height=20, value="")
        sheet.showPage()
    sheet.save()
    return out.getvalue()


def fill_in(document: bytes, value: str) -> bytes:
    """The document with its first form field filled in, value and look, as an incremental update."""
    writer = IncrementalPdfFileWriter(io.BytesIO(document))
    field_object = writer.root["/AcroForm"]["/Fields"][0].get_object()
    field_object["/V"] = generic.TextStringObject(value)
    font = writer.root["/AcroForm"]["/DR"]["/Font"].raw_get("/Helv")
    entries = {
        "/Type": generic.NameObject("/XObject"),
        "/Subtype": generic.NameObject("/Form"),
        "/BBox": generic.ArrayObject(map(generic.NumberObject, (0, 0, 120, 20))),
        "/Resources": generic.DictionaryObject(
            {
                generic.pdf_name("/Font"): generic.DictionaryObject(
                    {generic.pdf_name("/Helv"): generic.IndirectObject(font.idnum, font.generation, writer)}
                )
            }
        ),
    }
    look = generic.StreamObject(
        {generic.pdf_name(key): each for key, each in entries.items()},
        stream_data=b"/Tx BMC q BT 0 g /Helv 10 Tf 2 5 Td (%b) Tj ET Q EMC" % value.encode("ascii"),
    )
    field_object["/AP"] = generic.DictionaryObject({generic.pdf_name("/N"): writer.add_object(look)})
    writer.update_container(field_object)
    return written(writer)


class _DatedMetadata(DocumentMetadata):
    """Was changed at ``NOW``, whatever the machine's clock says: else the second in which a test ran would decide what it sees."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, NOW if name == "last_modified" else value)


class DatedWriter(IncrementalPdfFileWriter):
    """pyHanko's writer, with the office's date of change in what it writes about the document."""

    def __init__(self, document: bytes, *, strict: bool) -> None:
        super().__init__(io.BytesIO(document), strict=strict)
        self._meta = _DatedMetadata()


def written(writer: IncrementalPdfFileWriter) -> bytes:
    """What an incremental writer makes."""
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@dataclass(frozen=True)
class Identity:
    """A key with its certificate."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


POINT = x509.UniformResourceIdentifier("http://ca.test/crl/seals.crl")
_WHOLE: dict[str, Any] = {
    "full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
    "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
}  # fmt: skip


@dataclass
class Authority:
    """A CA with the list of what it has revoked: (serial, when, reason, invalidity date)."""

    identity: Identity
    revoked: list[tuple[int, datetime, str, datetime | None]] = field(default_factory=list)

    def crl(
        self, *, at: datetime = NOW - timedelta(hours=1), lifetime: timedelta = 7 * DAY, keeps_expired: bool = True, **scope: Any
    ) -> Any:
        """``scope`` is that of an IssuingDistributionPoint; without any, the list is the whole one and has none."""
        builder = x509.CertificateRevocationListBuilder(self.identity.certificate.subject, at, at + lifetime)
        builder = builder.add_extension(x509.CRLNumber(1), critical=False)
        if keeps_expired:  # X.509 expiredCertsOnCRL: a GeneralizedTime
            value = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.60"), b"\x18\x0f20000101000000Z")
            builder = builder.add_extension(value, critical=False)
        if scope:
            builder = builder.add_extension(x509.IssuingDistributionPoint(**(_WHOLE | scope)), critical=True)
        for serial, when, reason, invalid_since in self.revoked:
            entry = x509.RevokedCertificateBuilder(serial, when)
            if reason:
                entry = entry.add_extension(x509.CRLReason(_CRL_NAMES[reason]), critical=False)
            if invalid_since:
                entry = entry.add_extension(x509.InvalidityDate(invalid_since), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.identity.key, hashes.SHA256())


def issue(
    name: str,
    issuer: Identity | None,
    *,
    start: datetime = NOW - 365 * DAY,
    end: datetime = NOW + 365 * DAY,
    usage: str = "seal",
    organisation: str = OWNER,
    rsa_key: bool = False,
) -> Identity:
    """A certificate of one of the office's profiles: authority, seal, tsa, or client."""
    key = (
        rsa.generate_private_key(65537, 2048) if rsa_key or usage == "tsa" else ec.generate_private_key(ec.SECP256R1())
    )  # pyHanko's test TSA: RSA
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    parent = issuer.certificate.subject if issuer else subject
    signing_key = issuer.key if issuer else key
    is_authority = usage == "authority"
    key_usage = x509.KeyUsage(
        digital_signature=usage in ("tsa", "client"),
        content_commitment=usage == "seal",
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder(parent, subject, key.public_key(), x509.random_serial_number(), start, end)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.CRLDistributionPoints([x509.DistributionPoint([POINT], None, None, None)]), critical=False)
    if usage == "tsa":
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return Identity(key, builder.sign(signing_key, hashes.SHA256()))


@dataclass(frozen=True)
class Sealed:
    """A sealed document with what the ledger needs to know of its newest signature."""

    data: bytes
    signature_value: bytes
    token: bytes | None
    spki_sha256: bytes

    @property
    def signature_hash(self) -> bytes:
        return signature_hash(self.signature_value)

    def entry(self, *, kind: str = "seal", at: datetime = NOW, form: str | None = "DEMO-2026-000001", spki: bytes | None = None) -> Entry:
        """The ledger entry of this seal."""
        return Entry(
            kind=kind,
            time_us=time_us(at),
            signature_hash=self.signature_hash,
            timestamp_hash=timestamp_hash(self.token) if self.token else None,
            spki_sha256=spki or self.spki_sha256,
            commitments={"form": commitment(SALT, form)} if form else {},
        )


class Office:
    """Root, issuing CAs, one seal, one timestamp unit."""

    def __init__(self) -> None:
        self.root = Authority(issue("Test Root", None, usage="authority", start=NOW - 3650 * DAY, end=NOW + 3650 * DAY))
        years = {"usage": "authority", "start": NOW - 3000 * DAY, "end": NOW + 3000 * DAY}
        self.seals = Authority(issue("Test Seals", self.root.identity, **years))  # type: ignore[arg-type]
        self.infrastructure = Authority(issue("Test Infrastructure", self.root.identity, **years))  # type: ignore[arg-type]
        self.seal = issue("Contract Seal", self.seals.identity)
        self.tsa = issue("Test Timestamp Unit", self.seals.identity, usage="tsa", start=NOW - 1000 * DAY, end=NOW + 1000 * DAY)

    def trust(self, **crl: Any) -> TrustMaterial:
        """What a verifier of this office holds."""
        return TrustMaterial(
            (self.root.identity.certificate,), (self.seals.identity.certificate,), (self.root.crl(**crl), self.seals.crl(**crl))
        )

    def sign(
        self,
        document: bytes,
        *,
        by: Identity | None = None,
        chain: Sequence[Identity] | None = None,
        at: datetime | None = NOW - timedelta(minutes=5),
        tsa: Identity | None = None,
        field_name: str = "Seal1",
        certify: MDPPerm | None = None,
        box: tuple[int, int, int, int] | None = None,
        strict: bool = True,
        bytes_reserved: int | None = None,
    ) -> Sealed:
        """Seals with pyHanko; ``at`` None leaves the timestamp out."""
        by = by or self.seal
        signer = signer_of(by, [each.certificate for each in (chain if chain is not None else [self.seals.identity])])
        writer = DatedWriter(document, strict=strict)
        if box is not None:
            fields.append_signature_field(writer, fields.SigFieldSpec(field_name, box=box))
        metadata = signers.PdfSignatureMetadata(
            field_name=field_name,
            md_algorithm="sha256",
            subfilter=SigSeedSubFilter.PADES,
            certify=certify is not None,
            docmdp_permissions=certify or MDPPerm.FILL_FORMS,
        )
        pdf_signer = signers.PdfSigner(metadata, signer, timestamper=self.stamper(at, tsa) if at else None)
        with ThreadPoolExecutor(max_workers=1) as aside:  # pyHanko starts an event loop; a browser test runs in one already
            out = aside.submit(pdf_signer.sign_pdf, writer, bytes_reserved=bytes_reserved).result()
        return describe(out.getvalue(), field_name)

    def stamper(self, at: datetime, tsa: Identity | None = None) -> DummyTimeStamper:
        """A timestamper that says ``at``."""
        tsa = tsa or self.tsa
        return DummyTimeStamper(_asn1(tsa.certificate), _asn1_key(tsa), _store([self.seals.identity.certificate]), fixed_dt=at)


def describe(data: bytes, field_name: str) -> Sealed:
    """Signature value and token of one signature."""
    reader = PdfFileReader(io.BytesIO(data), strict=False)
    name, _value, reference = next(fields.enumerate_sig_fields(reader, filled_status=True, with_name=field_name))
    embedded = EmbeddedPdfSignature(reader, reference, name)
    signer_info: cms.SignerInfo = embedded.signer_info
    tokens = [
        value.dump()
        for attribute in (signer_info["unsigned_attrs"] or [])
        if attribute["type"].native == "signature_time_stamp_token"
        for value in attribute["values"]
    ]
    spki = x509.load_der_x509_certificate(embedded.signer_cert.dump()).public_key()
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return Sealed(data, signer_info["signature"].native, tokens[0] if tokens else None, digest.finalize())


class TileLog:
    """A published log in a folder: entries, tiles, a checkpoint that the log signed and a witness cosigned."""

    ORIGIN = "vermilion.test/ledger"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log, self._witness = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
        self.log_key = note.log_key(self.ORIGIN, _spki(self._log))
        self.witness_key = note.witness_key("witness.test/w", _spki(self._witness))
        self.entries: list[bytes] = []

    def publish(self, *entries: Entry, cosigned_at: datetime = SEEN, read_at: datetime | None = SEEN, cosign: bool = True) -> None:
        """Adds entries and writes everything anew; ``read_at`` None: as logs of earlier releases did."""
        self.entries += [entry.encode() for entry in entries]
        tree = merkle.Tree([entry_hash(each) for each in self.entries])
        for name in tiles_of(tree.size):
            hashes_of = [tree.node(8 * (name.level or 0), 256 * name.index + at) for at in range(name.width)]
            self.write(name.path, b"".join(hashes_of))
            if name.level == 0:
                bundle = encode_bundle(self.entries[256 * name.index : 256 * name.index + name.width])
                self.write(name.path.replace("tile/0/", "tile/entries/"), bundle)
        checkpoint = note.Checkpoint(self.ORIGIN, tree.size, tree.root())
        signed = note.sign_checkpoint(checkpoint, self.log_key, self._log.sign)
        if cosign:
            line = note.cosign(checkpoint, self.witness_key, int(cosigned_at.timestamp()), self._witness.sign)
            signed = signed.with_signatures((line,))
        if read_at is not None:
            read = note.cosign(checkpoint, note.head_key(self.log_key), int(read_at.timestamp()), self._log.sign)
            signed = signed.with_signatures((read,))
        self.write("checkpoint", signed.encode())

    def write(self, path: str, data: bytes) -> None:
        """One file of the published folder."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_bytes(data)

    def view(self, disclosure: Disclosure | None = None, *, now: datetime = NOW) -> PublicLedger:
        """A stranger's view of the log."""
        clock = FixedClock(now)
        reader = LogReader(FolderSource(self.folder), self.log_key, self.witness_key)
        return PublicLedger(reader, clock, disclosure, sleep=clock.advance)


def signer_of(by: Identity, chain: Sequence[x509.Certificate]) -> signers.SimpleSigner:
    """What signs for an identity, with its chain."""
    return signers.SimpleSigner(signing_cert=_asn1(by.certificate), signing_key=_asn1_key(by), cert_registry=_store(chain))


def _store(certificates: Sequence[x509.Certificate]) -> SimpleCertificateStore:
    return SimpleCertificateStore.from_certs([_asn1(each) for each in certificates])


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def _asn1_key(by: Identity) -> keys.PrivateKeyInfo:
    return keys.PrivateKeyInfo.load(by.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _spki(key: ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
