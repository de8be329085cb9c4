"""Chains of outside CAs: each rule of RFC 5280 §6.1 and of the seal's profile refuses by name, and nothing that is sent ends otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given, settings
from hypothesis import strategies as st

from sealcore.errors import Code, VermilionError
from signer.register.chain import DOCUMENT_SIGNING, require_seal_chain

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
KEYS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "mid", "leaf", "other")}
WEAK = rsa.generate_private_key(65537, 1024)
MAIL, SERVER = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.SERVER_AUTH
OUR_POLICY, ANOTHER_POLICY = ObjectIdentifier("1.2.3.4"), ObjectIdentifier("1.2.3.5")


def usage(*names: str) -> x509.KeyUsage:
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
             "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


CA_USAGE, SEAL_USAGE = usage("key_cert_sign", "crl_sign"), usage("content_commitment")
CA = x509.BasicConstraints(ca=True, path_length=None)
Extensions = dict[str, tuple[x509.ExtensionType, bool] | None]


@dataclass(frozen=True)
class Link:
    """A certificate to be made; ``extensions`` by a name of the test's own, with criticality, None for left out."""

    name: str
    issuer: str
    key: Any
    signer: Any
    extensions: Extensions = field(default_factory=dict)
    begins: datetime = NOW - timedelta(days=1)
    ends: datetime = NOW + timedelta(days=1)
    hashed: Any = field(default_factory=hashes.SHA256)
    country: str = "CN"

    def having(self, **extensions: tuple[x509.ExtensionType, bool] | None) -> Link:
        return replace(self, extensions=self.extensions | extensions)

    def der(self) -> bytes:
        builder = x509.CertificateBuilder(
            _name(self.issuer), _name(self.name, self.country), self.key.public_key(), 7, self.begins, self.ends
        )
        for one in self.extensions.values():
            if one is not None:
                builder = builder.add_extension(one[0], critical=one[1])
        return builder.sign(self.signer, self.hashed).public_bytes(Encoding.DER)


def _name(text: str, country: str = "CN") -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, country), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def ski(key: Any) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def aki(key: Any) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def authority(name: str, issuer: str) -> Link:
    extensions: Extensions = {
        "ca": (CA, True),
        "usage": (CA_USAGE, True),
        "ski": (ski(KEYS[name]), False),
        "aki": (aki(KEYS[issuer]), False),
    }
    return Link(name, issuer, KEYS[name], KEYS[issuer], extensions)


ROOT, MID = authority("root", "root"), authority("mid", "root")
LEAF = Link("leaf", "mid", KEYS["leaf"], KEYS["mid"], {"usage": (SEAL_USAGE, True), "aki": (aki(KEYS["mid"]), False)})


def judge(leaf: Link = LEAF, mid: Link = MID, root: Link = ROOT, *, more: Sequence[bytes] = ()) -> None:
    require_seal_chain(leaf.der(), [mid.der(), *more, root.der()], NOW)


def refused(rule: str, *links: Link, **named: Any) -> None:
    with pytest.raises(VermilionError) as refusal:
        judge(*links, **named)
    assert refusal.value.code is Code.SEAL_CERTIFICATE_INVALID
    assert rule in refusal.value.rule, (refusal.value.rule, refusal.value.reason)


def purposes(*oids: ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage(list(oids)), False


def policies(*oids: ObjectIdentifier) -> tuple[x509.ExtensionType, bool]:
    return x509.CertificatePolicies([x509.PolicyInformation(one, None) for one in oids]), False


def test_sound_chains_are_taken() -> None:
    judge()
    judge(LEAF.having(eku=purposes(DOCUMENT_SIGNING, MAIL)), MID.having(eku=purposes(DOCUMENT_SIGNING, MAIL, SERVER)))
    judge(mid=MID.having(eku=purposes(MAIL)))
    judge(mid=MID.having(eku=purposes(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)))
    judge(mid=MID.having(ca=(x509.BasicConstraints(ca=True, path_length=0), True)))
    judge(LEAF.having(aki=None), MID.having(ski=None, aki=None))
    judge(LEAF.having(ca=(x509.BasicConstraints(ca=False, path_length=None), True)))
    demanding = (x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None), True)
    judge(LEAF.having(policies=policies(OUR_POLICY)), MID.having(constraints=demanding, policies=policies(OUR_POLICY)))
    permitted = (x509.NameConstraints([x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "CN")]))], None), True)
    judge(mid=MID.having(names=permitted))


UNKNOWN = (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)


@pytest.mark.parametrize("which", ["mid", "root"])
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"usage": None}, "keyCertSign"),
        ({"usage": (usage("crl_sign"), True)}, "keyCertSign"),
        ({"usage": (usage("digital_signature", "content_commitment"), True)}, "keyCertSign"),
        ({"ca": None}, "is a CA"),
        ({"ca": (x509.BasicConstraints(ca=False, path_length=None), True)}, "is a CA"),
        ({"ca": (CA, False)}, "critical"),
        ({"eku": purposes(SERVER)}, "for documents"),
        ({"eku": purposes(SERVER, ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.OCSP_SIGNING)}, "for documents"),
        ({"unknown": UNKNOWN}, "critical extension is understood"),
    ],
)
def test_issuer_that_may_not_issue_it_is_refused(which: str, change: Extensions, rule: str) -> None:
    links = {"mid": MID, "root": ROOT}
    refused(rule, **{which: links[which].having(**change)})


def test_issuer_whose_purposes_are_fewer_than_the_seals_is_refused() -> None:
    leaf = LEAF.having(eku=purposes(DOCUMENT_SIGNING, MAIL))
    refused("has the seal's purposes", leaf, MID.having(eku=purposes(MAIL)))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"ca": (CA, True)}, "no CA's"),
        ({"usage": (usage("content_commitment", "key_cert_sign"), True)}, "contentCommitment alone"),
        ({"usage": (usage("content_commitment", "digital_signature"), True)}, "contentCommitment alone"),
        ({"usage": None}, "contentCommitment alone"),
        ({"eku": purposes(SERVER)}, "documentSigning together"),
        ({"names": (x509.NameConstraints([x509.DNSName("x")], None), True)}, "critical extension is understood"),
        ({"unknown": UNKNOWN}, "critical extension is understood"),
    ],
)
def test_leaf_that_is_no_seals_is_refused(change: Extensions, rule: str) -> None:
    refused(rule, LEAF.having(**change))


def test_path_rules_of_rfc_5280_refuse() -> None:
    second = Link("second", "root", KEYS["other"], KEYS["root"], {**MID.extensions, "aki": (aki(KEYS["root"]), False), "ski": None})
    below = replace(MID, issuer="second", signer=KEYS["other"]).having(aki=None)
    judge(LEAF, below, ROOT, more=[second.der()])
    limited = second.having(ca=(x509.BasicConstraints(ca=True, path_length=0), True))
    refused("RFC 5280 §6.1", LEAF, below, ROOT, more=[limited.der()])
    elsewhere = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE")]))
    refused("RFC 5280 §6.1", mid=MID.having(names=(x509.NameConstraints([elsewhere], None), True)))
    demanding = (x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None), True)
    refused(
        "RFC 5280 §6.1", LEAF.having(policies=policies(ANOTHER_POLICY)), MID.having(constraints=demanding, policies=policies(OUR_POLICY))
    )
    refused("RFC 5280 §6.1", LEAF, MID.having(constraints=demanding, policies=policies(OUR_POLICY)))
    refused("RFC 5280 §6.1", replace(LEAF, signer=KEYS["other"]))
    refused("RFC 5280 §6.1", replace(LEAF, issuer="another"))
    refused("authorityKeyIdentifier", LEAF.having(aki=(aki(KEYS["other"]), False)))
    serial = x509.AuthorityKeyIdentifier(None, [x509.DirectoryName(_name("root"))], 8)
    refused("authorityKeyIdentifier", LEAF.having(aki=(serial, False)))


def test_times_keys_and_hashes_refuse() -> None:
    for link in (LEAF, MID, ROOT):
        for times in ({"ends": NOW - timedelta(seconds=1)}, {"begins": NOW + timedelta(seconds=1)}):
            refused("within its validity", **{link.name: replace(link, **times)})  # type: ignore[arg-type]
    refused("2048 bits", replace(LEAF, key=WEAK))
    small = replace(MID, key=WEAK).having(ski=None)
    refused("2048 bits", replace(LEAF, signer=WEAK).having(aki=None), small)
    for link in (LEAF, MID):
        refused("SHA-256 or better", **{link.name: replace(link, hashed=hashes.SHA224())})
    refused("key of its own", replace(LEAF, key=KEYS["mid"]))
    refused("key of its own", replace(LEAF, key=KEYS["root"]))
    for position in range(3):
        ders = [asn1.Certificate.load(one) for one in (LEAF.der(), MID.der(), ROOT.der())]
        ders[position]["tbs_certificate"]["serial_number"] = -7
        with pytest.raises(VermilionError, match="serial number"):
            require_seal_chain(ders[0].dump(force=True), [one.dump(force=True) for one in ders[1:]], NOW)


def test_chain_that_is_none_is_refused() -> None:
    lone = replace(LEAF, issuer="leaf", signer=KEYS["leaf"])
    for leaf, chain, rule in (
        (LEAF, [], "goes down to its anchor"),
        (LEAF, [MID], "goes down to its anchor"),
        (LEAF, [ROOT], "RFC 5280 §6.1"),
        (LEAF, [ROOT, MID], "goes down to its anchor"),
        (LEAF, [MID, MID, ROOT], "names each issuer once"),
        (LEAF, [MID, ROOT, ROOT], "names each issuer once"),
        (lone, [lone], "issued by a CA"),
        (ROOT, [ROOT], "issued by a CA"),
        (MID, [ROOT], "contentCommitment alone"),
    ):
        with pytest.raises(VermilionError) as refusal:
            require_seal_chain(leaf.der(), [one.der() for one in chain], NOW)
        assert refusal.value.code is Code.SEAL_CERTIFICATE_INVALID and rule in refusal.value.rule, refusal.value


def doubled(der: bytes) -> bytes:
    """The certificate with its first extension twice, its signature broken by that."""
    certificate = asn1.Certificate.load(der)
    extensions = certificate["tbs_certificate"]["extensions"]
    extensions.append(extensions[0])
    return bytes(certificate.dump(force=True))


@pytest.mark.parametrize("position", [0, 1, 2])
def test_doubled_extension_is_refused(position: int) -> None:
    ders = [LEAF.der(), MID.der(), ROOT.der()]
    ders[position] = doubled(ders[position])
    with pytest.raises(VermilionError) as refusal:
        require_seal_chain(ders[0], ders[1:], NOW)
    assert refusal.value.code is Code.SEAL_CERTIFICATE_INVALID


SOUND = (LEAF.having(eku=purposes(DOCUMENT_SIGNING, MAIL)).der(), MID.der(), ROOT.der())


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4), st.integers(0, 3))
def test_whatever_is_sent_ends_in_a_refusal_by_name(position: int, changes: list[tuple[int, int]], cut: int) -> None:
    ders = [bytearray(one) for one in SOUND]
    for at, value in changes:
        ders[position][at % len(ders[position])] = value
    broken = [bytes(one) for one in ders]
    if cut:
        broken[position] = broken[position][: -cut * 7]
    if tuple(broken) == SOUND:
        return
    try:
        require_seal_chain(broken[0], broken[1:], NOW)
    except VermilionError as fault:
        assert fault.code is Code.SEAL_CERTIFICATE_INVALID
    else:
        assert broken[2] != SOUND[2] and broken[:2] == list(SOUND[:2]), "but for the anchor's own signature every byte is signed"
