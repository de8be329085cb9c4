"""What the tests of the timestamp service need: a small CA of software keys, a token with a key of each kind, settings as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealcore.platform.config import TokenSettings


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Response(core.Sequence):  # type: ignore[misc]
    """TimeStampResp as RFC 3161 §2.4.2 has it; asn1crypto's own does not let the token be absent."""

    _fields = [("status", tsp.PKIStatusInfo), ("time_stamp_token", cms.ContentInfo, {"optional": True})]  # noqa: RUF012


class SmallCa:
    """A CA that makes what a test needs, also what no CA should."""

    def __init__(self, name: str = "Test CA", parent: SmallCa | None = None) -> None:
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._now = datetime.now(UTC).replace(microsecond=0)
        issuer = parent or self
        self.certificate = (
            issuer._builder(name, self._key.public_key(), days=30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer._key.public_key()), critical=False)
            .sign(issuer._key, hashes.SHA256())
        )

    def _builder(self, common_name: str, key: CertificateIssuerPublicKeyTypes, days: float) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(_name(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - timedelta(days=1))
            .not_valid_after(self._now + timedelta(days=days))
        )

    def crl(self, *revoked: x509.Certificate) -> x509.CertificateRevocationList:
        """Of now, with these on it since yesterday."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(_name(self._name)).last_update(self._now - timedelta(minutes=1))
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(self._now - timedelta(days=1)).build())
        return builder.next_update(self._now + timedelta(days=1)).sign(self._key, hashes.SHA256())

    def unit(
        self,
        key: CertificateIssuerPublicKeyTypes,
        *,
        purposes: tuple[x509.ObjectIdentifier, ...] = (ExtendedKeyUsageOID.TIME_STAMPING,),
        critical: bool = True,
        days: float = 10,
        key_days: float | None = None,
    ) -> x509.Certificate:
        """A timestamp unit's certificate."""
        builder = self._builder("Test TSU", key, days)
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
        if key_days is not None:
            begin = self._now - timedelta(days=1)
            builder = builder.add_extension(x509.PrivateKeyUsagePeriod(begin, begin + timedelta(days=key_days)), critical=False)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(usage, critical=True).add_extension(authority, critical=False)
        return builder.sign(self._key, hashes.SHA256())


@dataclass(frozen=True)
class UnitKeys:
    """A token with one key of each algorithm, called by the algorithm's name."""

    settings: TokenSettings
    public: dict[str, CertificateIssuerPublicKeyTypes]


def write_config(folder: Path, unit_keys: UnitKeys, small_ca: SmallCa, port: int, key_label: str = "p-256", **others: object) -> Path:
    """Certificates and settings as files; a label that no key has keeps the certificate of another."""
    public = unit_keys.public.get(key_label, unit_keys.public["p-256"])
    (folder / "unit.pem").write_bytes(small_ca.unit(public).public_bytes(Encoding.PEM))
    (folder / "chain.pem").write_bytes(small_ca.certificate.public_bytes(Encoding.PEM))
    values = {
        "key_label": key_label,
        "certificate_file": folder / "unit.pem",
        "chain_file": folder / "chain.pem",
        "processes": 2,
        "clock": "trust-machine",
        **others,
    }
    lines = [f"{name} = {json.dumps(value if isinstance(value, int) else str(value))}" for name, value in values.items()]
    token = unit_keys.settings.model_dump(mode="json", exclude_none=True)
    lines += ["[listen]", f"port = {port}", "[token]", *(f"{name} = {json.dumps(value)}" for name, value in token.items())]
    config = folder / "timestamp.toml"
    config.write_text("\n".join(lines) + "\n")
    return config
