"""A throwaway infrastructure CA with software keys, for tests of the wire: who may call what."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealcore.platform import identity
from sealcore.platform.config import TlsSettings

_DAY = datetime.timedelta(days=1)


class NeverRevoked:
    """No certificate of this test is revoked."""

    def is_revoked(self, serial: int) -> bool:
        """None is."""
        return False

    def is_on_hold(self, serial: int) -> bool:
        """None is."""
        return False


@dataclass
class InfrastructureCa:
    """Root → issuing CA; gives mTLS identities and CRLs, as files."""

    folder: Path
    revoked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._root_key, self._key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._sign(_name("Test Root"), self._root_key.public_key(), _name("Test Root"), self._root_key, authority=True)
        self.certificate = self._sign(
            _name("Test Infrastructure"), self._key.public_key(), self.root.subject, self._root_key, authority=True
        )
        self._crl_number = 0

    def identity(self, name: str, uri: str | None, *, lifetime: datetime.timedelta = 20 * _DAY) -> TlsSettings:
        """A 0600 key, its certificate naming ``uri``, and the trust file with the issuing CA alone."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(name), key.public_key(), self.certificate.subject, self._key, uri=uri, lifetime=lifetime)
        key_file, certificate_file, trust_file = (self.folder / f"{name}.{kind}.pem" for kind in ("key", "cert", "trust"))
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        certificate_file.write_bytes(_pem(certificate) + _pem(self.certificate))
        trust_file.write_bytes(_pem(self.certificate))
        return TlsSettings(key_file=key_file, certificate_file=certificate_file, trust_file=trust_file)

    def crl(self, *, lifetime: datetime.timedelta = 7 * _DAY) -> bytes:
        """The next CRL, DER."""
        now = datetime.datetime.now(datetime.UTC)
        self._crl_number += 1
        builder = x509.CertificateRevocationListBuilder(self.certificate.subject, now, now + lifetime).add_extension(
            x509.CRLNumber(self._crl_number), critical=False
        )
        for serial in self.revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now).build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def bundle(self, name: str, uri: str) -> TlsSettings:
        """An identity in a folder of its own, where it can be renewed."""
        made, folder = self.identity(name, uri), self.folder / name
        folder.mkdir()
        return TlsSettings(
            key_file=made.key_file.rename(folder / "key_file.pem"),
            certificate_file=made.certificate_file.rename(folder / "certificate_file.pem"),
            trust_file=made.trust_file.rename(folder / "trust_file.pem"),
        )

    def switch(self, tls: TlsSettings, uri: str) -> int:
        """Renews a bundle as its holder would; the new serial number."""
        made = self.identity("successor", uri)
        identity.replace(tls, made.key_file.read_bytes(), made.certificate_file.read_bytes())
        return self.serial(made)

    @staticmethod
    def serial(tls: TlsSettings) -> int:
        """Serial number of an identity's certificate."""
        return x509.load_pem_x509_certificate(tls.certificate_file.read_bytes()).serial_number

    @staticmethod
    def _sign(
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        issuer: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        authority: bool = False,
        uri: str | None = None,
        lifetime: datetime.timedelta = 20 * _DAY,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder(issuer, subject, public_key, x509.random_serial_number(), now - _DAY, now + lifetime)
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        )
        if not authority:
            names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
            names += [x509.UniformResourceIdentifier(uri)] if uri else []
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
