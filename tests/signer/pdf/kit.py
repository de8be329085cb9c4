"""What the tests of PAdES need: a throwaway PKI with software keys, a small TSA, sealing in one call, and outside judges."""

from __future__ import annotations

import datetime
import hashlib
import io
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealcore.hashes import hash_state
from sealcore.hsm.algorithm import Algorithm
from sealcore.protocol.leaf import Placement
from signer.pdf.cms import SignatureTemplate
from signer.pdf.fill import fill
from signer.pdf.plan import ContentPolicy, Plan, Prepared
from signer.pdf.prepare import prepare
from signer.pdf.readback import accounted as accounting
from signer.pdf.readback.accounted import Accounted
from signer.pdf.readback.hole import Hole
from signer.pdf.readback.known_cms import KnownCms
from signer.pdf.readback.locate import locate
from signer.pdf.readback.quick_account import KnownLooks, Recognised
from signer.pdf.readback.sealed import read_back

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
_DAY = datetime.timedelta(days=1)
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def new_key(algorithm: Algorithm) -> PrivateKey:
    """A software key of that kind."""
    if algorithm.is_rsa:
        return rsa.generate_private_key(65537, int(algorithm.value.removeprefix("rsa-")))
    return ec.generate_private_key(ec.SECP384R1() if algorithm is Algorithm.P384 else ec.SECP256R1())


def sign_with(key: PrivateKey, data: bytes, hash_name: str = "sha256") -> bytes:
    """PKCS#1 v1.5 or DER ECDSA, as the HSM gives them."""
    algorithm = hashes.SHA384() if hash_name == "sha384" else hashes.SHA256()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), algorithm)
    return key.sign(data, ec.ECDSA(algorithm))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*set_bits: str) -> x509.KeyUsage:
    bits = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    bits += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{bit: bit in set_bits for bit in bits})


@dataclass
class Authority:
    """A root, an issuing CA below it, and a TSA unit."""

    folder: Path
    root_key: PrivateKey = field(default_factory=lambda: new_key(Algorithm.RSA_2048))
    issuing_key: PrivateKey = field(default_factory=lambda: new_key(Algorithm.RSA_2048))
    unit_key: PrivateKey = field(default_factory=lambda: new_key(Algorithm.P256))

    def __post_init__(self) -> None:
        authority = _usage("key_cert_sign", "crl_sign")
        self.root = self._issue("Test Root", self.root_key, "Test Root", self.root_key, authority, ca=True)
        self.issuing = self._issue("Test Seals", self.issuing_key, "Test Root", self.root_key, authority, ca=True)
        stamping = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), True)
        self.unit = self._issue("Test TSA", self.unit_key, "Test Seals", self.issuing_key, _usage("digital_signature"), stamping)
        self.root_file = self.folder / "root.pem"
        self.root_file.write_bytes(self.root.public_bytes(serialization.Encoding.PEM))
        self.nss = self.folder / "nss"
        self.nss.mkdir()
        _run("certutil", "-N", "-d", f"sql:{self.nss}", "--empty-password")
        _run("certutil", "-A", "-d", f"sql:{self.nss}", "-n", "root", "-t", "CT,C,C", "-i", str(self.root_file))

    def seal_certificate(self, key: PrivateKey) -> x509.Certificate:
        """For a seal key, as docs/protocol.md, "Profiles" has it: contentCommitment alone."""
        return self._issue("Vermilion Test Seal", key, "Test Seals", self.issuing_key, _usage("content_commitment"))

    @staticmethod
    def _issue(
        subject: str,
        key: PrivateKey,
        issuer: str,
        issuer_key: PrivateKey,
        usage: x509.KeyUsage,
        *extensions: tuple[x509.ExtensionType, bool],
        ca: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder(
                _name(issuer), _name(subject), key.public_key(), x509.random_serial_number(), NOW - _DAY, NOW + 900 * _DAY
            )
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer_key, hashes.SHA256())

    def stamp(self, data: bytes) -> bytes:
        """An RFC 3161 token over ``data``."""
        info = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.3.6.1.4.1.99999.1",
                "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(data).digest()},
                "serial_number": x509.random_serial_number(),
                "gen_time": NOW,
                "accuracy": {"seconds": 1},
            }
        )
        certificate = asn1_x509.Certificate.load(self.unit.public_bytes(serialization.Encoding.DER))
        issuing = asn1_x509.Certificate.load(self.issuing.public_bytes(serialization.Encoding.DER))
        certificate_id = tsp.ESSCertIDv2({"cert_hash": self.unit.fingerprint(hashes.SHA256())})
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(info.dump()).digest()]}),
                cms.CMSAttribute({"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2({"certs": [certificate_id]})]}),
            ]
        )
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier(
                    "issuer_and_serial_number",
                    cms.IssuerAndSerialNumber({"issuer": certificate.issuer, "serial_number": certificate.serial_number}),
                ),
                "digest_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}),
                "signed_attrs": attributes,
                "signature_algorithm": algos.SignedDigestAlgorithm({"algorithm": "sha256_ecdsa"}),
                "signature": sign_with(self.unit_key, attributes.untag().dump()),
            }
        )
        signed_data = cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
                "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info.dump())},
                "certificates": [certificate, issuing],
                "signer_infos": [signer],
            }
        )
        return cms.ContentInfo({"content_type": "signed_data", "content": signed_data}).dump()


@dataclass
class Seal:
    """A seal key with its certificate, and sealing in one call."""

    authority: Authority
    algorithm: Algorithm

    def __post_init__(self) -> None:
        self.key = new_key(self.algorithm)
        self.certificate = self.authority.seal_certificate(self.key)
        self.template = SignatureTemplate(self.certificate, [self.authority.issuing, self.authority.root], self.algorithm)
        spki = self.key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.spki_sha256 = hashlib.sha256(spki).digest()
        self.digest_size_bytes = hashlib.new(self.template.hash_name).digest_size
        self.hole_size_bytes = self.template.largest_bytes(4096)
        self.known_cms = KnownCms()

    def plan(self, placement: Placement | None = None, **changes: Any) -> Plan:
        """A plan for this seal."""
        plan = Plan(
            field_name="Vermilion-1",
            signing_time=NOW,
            placement=placement or Placement(),
            pictures=changes.pop("pictures", {}),
            hole_size_bytes=self.hole_size_bytes,
            content_policy=ContentPolicy.REPORT,
            writer_version="kit",
            owner_name="测试有限公司",
        )
        return replace(plan, **changes)

    def cms(self, digest: bytes) -> bytes:
        """The whole CMS over a byte-range digest."""
        signature = sign_with(self.key, self.template.signed_attributes(digest), self.template.hash_name)
        return self.template.assemble(digest, signature, self.authority.stamp(signature))

    def finish(self, document: bytes, prepared: Prepared) -> bytes:
        """Signs, fills, reads back; the whole sealed file. The account is taken as made: it has tests of its own."""
        suffix = fill(prepared.suffix, prepared.hole, self.cms(prepared.digest))
        _start, first, second, _rest = locate(document + suffix, prepared.field_name).byte_range
        hole = Hole(first - len(document), second - len(document))
        accounted = Accounted(prepared.suffix, hole, prepared.digest, self.template.hash_name)
        read_back(accounted, suffix, spki_sha256=self.spki_sha256, known=self.known_cms)
        return document + suffix

    def seal(self, document: bytes, plan: Plan | None = None, **changes: Any) -> bytes:
        """Prepares and finishes."""
        return self.finish(document, prepare(document, plan or self.plan(**changes), self.template.hash_name))


@dataclass(frozen=True)
class Verdict:
    """What pdfsig says of the last signature of ours in a file."""

    found: bool
    valid: bool
    trusted: bool
    whole: bool
    text: str

    @property
    def good(self) -> bool:
        return self.found and self.valid and self.trusted and self.whole


def pdfsig(authority: Authority, file: bytes, folder: Path) -> Verdict:
    """Poppler's judgement with the test root trusted."""
    path = folder / "judged.pdf"
    path.write_bytes(file)
    done = subprocess.run(["pdfsig", "-nssdir", f"sql:{authority.nss}", str(path)], capture_output=True, check=False, timeout=120)
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    ours = [part for part in re.split(r"Signature #\d+:", text) if "Common Name: Vermilion Test Seal" in part]
    last = ours[-1] if ours else ""
    return Verdict(
        bool(ours),
        "Signature Validation: Signature is Valid." in last,
        "Certificate Validation: Certificate is Trusted." in last,
        "Total document signed" in last,
        text,
    )


def pyhanko_status(authority: Authority, file: bytes, *, index: int = -1) -> Any:
    """pyHanko's status of one embedded signature, with the test root as the only trust."""
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation import validate_pdf_signature
    from pyhanko_certvalidator import ValidationContext

    root = asn1_x509.Certificate.load(authority.root.public_bytes(serialization.Encoding.DER))
    reader = PdfFileReader(io.BytesIO(file), strict=False)
    signature = _embedded(reader, index)
    context = ValidationContext(trust_roots=[root], allow_fetching=False)
    from pyhanko.sign.validation.settings import KeyUsageConstraints

    settings = KeyUsageConstraints(key_usage={"non_repudiation"})
    return validate_pdf_signature(signature, context, ts_validation_context=context, key_usage_settings=settings)


def _embedded(reader: Any, index: int) -> Any:
    """The last seal of ours by its field, since pyHanko reads no signature at all where another's is malformed; else by index."""
    from pyhanko.sign.fields import enumerate_sig_fields
    from pyhanko.sign.validation import EmbeddedPdfSignature

    if index == -1:
        fields = [(name, ref) for name, value, ref in enumerate_sig_fields(reader, filled_status=True) if "Vermilion-" in name]
        name, ref = fields[-1]
        return EmbeddedPdfSignature(reader, ref.get_object(), name)
    return reader.embedded_signatures[index]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


Sealer = Callable[..., bytes]


def require_accounted(document: bytes, suffix: bytes, plan: Plan, field_name: str, known: KnownLooks | None = None) -> Hole:
    """The hole of an update, judged as before signing: quickly where that can be, else in general."""
    return accounting.require_accounted(document, hash_state("sha256", document), suffix, plan, field_name, known or KnownLooks()).hole


def accounted(document: bytes, suffix: bytes, plan: Plan, field_name: str, known: KnownLooks | None = None) -> Recognised | None:
    """What the quick account recognises; None where the general one has to judge."""
    if field_name != plan.field_name:
        return None
    return (known or KnownLooks()).recognised(document, hash_state("sha256", document), suffix, plan)
