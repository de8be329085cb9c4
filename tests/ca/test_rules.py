"""Names, keys, statements and serial numbers: what a profile says as data, and what is refused with its rule."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier
from pydantic import ValidationError
from sqlalchemy import func, select

from ca.issuance import profiles, qc
from ca.issuance.certificate import build
from ca.issuance.conformity import require_conformity
from ca.issuance.findings import certificate_findings
from ca.issuance.issue import Issuance, Order
from ca.issuance.qc import QcStatements
from ca.issuance.request import read
from ca.issuance.subject import NameRule
from ca.issuance.weak_keys import weakness
from ca.tables import certificates
from sealcore.errors import Code, VermilionError
from sealcore.platform.db import connect
from sealcore.platform.db import read as reading
from sealcore.text import deceptive
from tests.ca.issuing import CN, count, issue, refusal
from tests.ca.office import Desk, Office, software_request
from tests.support.programs import program

ROOT = Path(__file__).parents[2]

# --- names ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "合同专用章",
        "示範事務所 Demo Office",
        "Société Générale",
        "Müller & Söhne GmbH",
        "株式会社テスト",
        "公司（北京）",
        "Ελλάς Α.Ε.",
        "ООО Ромашка",
        "A1 北京B",
    ],
)
def test_plain_names_of_many_scripts_are_taken(name: str) -> None:
    assert deceptive(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "a\u202eb", "a\u0000b", "a\nb", "a\u200bb", "a\ufeffb", "\u3164", "a\ufe0fb", "a\u00adb",  # unseen, or turning the text around
        " a", "a ", "a  b",
        "Аcme", "Acmе", "Gοogle", "Microsоft 北京",  # a letter of another script that looks the same
        "ＡＢＣ", "𝐀cme", "①",  # shapes
        "e\u0301",  # not composed
    ],
)  # fmt: skip
def test_deceptive_names_are_refused(name: str, desk: Desk) -> None:
    assert deceptive(name) is not None
    error = refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("seal", software_request((CN, name))))
    assert "plain, visible text" in error.rule


def test_name_rules_are_data_of_the_profile(desk: Desk) -> None:
    seal = profiles.load()["seal"]
    before = count(desk)
    for rule, name, said in (
        (NameRule(values=("合同专用章", "公章")), "财务专用章", "one of 合同专用章, 公章"),
        (NameRule(pattern="[A-Z][a-z]+ Seal"), "contract Seal", "matches [A-Z]"),
        (NameRule(longest=10), "An Endless Name", "at most 10 characters"),
    ):
        ruled = seal.model_copy(update={"subject": seal.subject.model_copy(update={"rules": {"common_name": rule}})})
        issuance = Issuance(desk.engine, {"seal": ruled}, desk.issuers, desk.linter, clock=desk.clock)
        order = Order("seal", read(software_request((CN, name))))
        error = refusal(Code.PROFILE_VIOLATION, partial(issuance.issue, order))
        assert said in error.rule and error.rule.startswith("Profile seal: common_name: ")
    assert count(desk) == before
    with pytest.raises(ValidationError, match="not a regular expression"):
        NameRule(pattern="(")


def test_rules_that_ship_are_kept(desk: Desk) -> None:
    uri = "https://vermilion.internal/service/x"
    error = refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("service", software_request((CN, "Not A Service")), uri=uri))
    assert "common_name: matches" in error.rule
    names = ((CN, "machine"), (NameOID.SERIAL_NUMBER, "-7"))
    uri = "https://vermilion.internal/device/x"
    assert refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("device", software_request(*names), uri=uri))


# --- keys ----------------------------------------------------------------------------------------------------------------------


def is_prime(number: int) -> bool:
    return all(number % small for small in (3, 5, 7, 11, 13, 17, 19, 23)) and all(
        pow(base, number - 1, number) == 1 for base in (2, 3, 5, 7)
    )


def prime_from(start: int, step: int = 2) -> int:
    while not is_prime(start):
        start += step
    return start


def private_key(p: int, q: int) -> rsa.RSAPrivateKey:
    d = pow(65537, -1, math.lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public).private_key(unsafe_skip_rsa_key_validation=True)


def close_primes() -> rsa.RSAPrivateKey:
    p = prime_from((1 << 1023) + (1 << 1022) + 987_654_321)
    return private_key(p, prime_from(p + 2))


def roca() -> rsa.RSAPrivateKey:
    """Primes of the form k·M + (65537^a mod M), M the product of the first 39 primes: the faulty generator's (CVE-2017-15361)."""
    product = math.prod(number for number in range(2, 168) if all(number % small for small in range(2, math.isqrt(number) + 1)))
    primes = []
    for exponent, top in ((123_456, 0x7F), (654_321, 0x6B)):
        start = (((0x80 | top) << 1016) // product) * product + pow(65537, exponent, product)
        step = product * 2 if start % 2 else product
        primes.append(prime_from(start, step))
    return private_key(*primes)


def small_factor() -> rsa.RSAPrivateKey:
    return private_key(65521, prime_from((1 << 2047) // 65521 + (1 << 2020) | 1))


@pytest.mark.parametrize(("make", "said"), [(close_primes, "Fermat"), (roca, "ROCA"), (small_factor, "small factor")])
def test_key_whose_secret_can_be_found_is_refused(make: object, said: str, desk: Desk) -> None:
    key = make()  # type: ignore[operator]
    assert key.key_size == 2048, key.key_size
    before = count(desk)
    error = refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("seal", software_request((CN, "weak"), key=key)))
    assert said in error.reason and count(desk) == before


def test_sound_keys_are_not_called_weak() -> None:
    for size in (2048, 3072):
        assert weakness(rsa.generate_private_key(65537, size).public_key()) is None
    assert weakness(ec.generate_private_key(ec.SECP384R1()).public_key()) is None


def test_point_off_the_curve_and_other_curves_are_refused(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = bytearray(software_request((CN, "a"), key=key))
    x = key.public_key().public_numbers().x.to_bytes(32, "big")
    request[request.index(x) + 31] ^= 1
    refusal(Code.PROFILE_VIOLATION, lambda: desk.issue("seal", bytes(request)))
    for curve, encoding in (("secp256k1", "named_curve"), ("brainpoolP256r1", "explicit")):
        assert refusal(Code.PROFILE_VIOLATION, lambda curve=curve, encoding=encoding: desk.issue("seal", openssl_request(curve, encoding)))  # type: ignore[misc]


def test_curve_is_named_in_the_certificate_also_where_the_request_spells_it_out(desk: Desk) -> None:
    """RFC 5480 §2.1.1 allows named curves alone; parameters of a request's own never get into a certificate."""
    certificate = desk.issue("seal", openssl_request("prime256v1", "explicit"))
    named = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert read_spki(certificate)[:26] == named[:26]


def openssl_request(curve: str, encoding: str) -> bytes:
    """A PKCS#10 request by openssl for a key on this curve."""
    key = subprocess.run(
        ["openssl", "ecparam", "-name", curve, "-genkey", "-param_enc", encoding, "-noout"], check=True, capture_output=True
    ).stdout
    command = ["openssl", "req", "-new", "-key", "/dev/stdin", "-subj", "/CN=a", "-outform", "DER"]
    return subprocess.run(command, input=key, check=True, capture_output=True).stdout


def read_spki(certificate: x509.Certificate) -> bytes:
    return bytes(asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))["tbs_certificate"]["subject_public_key_info"].dump())


def test_key_of_an_authority_that_is_elsewhere_gets_no_certificate(desk: Desk) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    request = read(software_request((CN, "root"), key=key))
    digest = x509.SubjectKeyIdentifier  # noqa: F841

    issuance = Issuance(
        desk.engine,
        profiles.load(),
        desk.issuers,
        desk.linter,
        clock=desk.clock,
        authority_keys=lambda: [hashlib.sha256(request.spki_der).digest()],
    )
    error = refusal(Code.CONFLICT, lambda: issuance.issue(Order("seal", request)))
    assert "authority's key signs certificates" in error.rule


# --- statements ----------------------------------------------------------------------------------------------------------------


def statements(certificate: x509.Certificate) -> list[list[object]]:
    """As asn1crypto reads them, without our own classes: [OID, info]."""
    value = certificate.extensions.get_extension_for_oid(ObjectIdentifier(qc.OID))
    assert not value.critical and isinstance(value.value, x509.UnrecognizedExtension)
    return [list(one.native.values()) for one in core.SequenceOf.load(value.value.value, spec=core.Sequence)]


def test_seal_states_that_it_is_for_seals_and_nothing_that_is_not_true(desk: Desk, tmp_path: Path) -> None:
    certificate = issue(desk, "seal")
    assert statements(certificate) == [["0.4.0.1862.1.6", {"0": "0.4.0.1862.1.6.2"}]]
    file = tmp_path / "seal.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    shown = subprocess.run(["openssl", "x509", "-in", file, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
    assert "qcStatements" in shown or "1.3.6.1.5.5.7.1.3" in shown


FULL = {
    "type": "eseal",
    "retention_years": 15,
    "limit": {"currency": "EUR", "amount": 5, "exponent": 6},
    "disclosure": [{"url": "https://pki.example/pds_en.pdf", "language": "en"}],
}


@pytest.mark.parametrize(
    ("made", "etsi", "names"),
    [
        (FULL, "NCP-LEGAL-PERSON-CERTIFICATE", 4),
        ({**FULL, "legislation": ["CH"], "sscd": True}, "NCP-LEGAL-PERSON-CERTIFICATE", 6),
        ({**FULL, "compliance": True, "sscd": True}, "NCP-LEGAL-PERSON-CERTIFICATE", 6),
    ],
)
def test_pkilint_finds_no_error_in_any_statement(made: dict[str, object], etsi: str, names: int, desk: Desk) -> None:
    declared = QcStatements.model_validate(made)
    assert len(declared.names) == names
    profile = profiles.load()["seal"].model_copy(update={"qc": declared, "etsi": etsi})
    issuance = Issuance(desk.engine, {"seal": profile}, desk.issuers, desk.linter, clock=desk.clock)
    certificate = issuance.issue(Order("seal", read(software_request((CN, "stated")))))
    assert [one.code for one in certificate_findings(certificate, etsi) if one.is_error] == []


@pytest.mark.parametrize(
    "made",
    [
        {"sscd": True},
        {"compliance": True},
        {"compliance": True, "type": "eseal"},
        {"compliance": True, "type": "eseal", "disclosure": FULL["disclosure"], "legislation": ["CH"]},
        {"legislation": ["Switzerland"]},
        {"disclosure": [{"url": "http://pki.example/pds.pdf", "language": "en"}]},
        {"type": "stamp"},
    ],
)
def test_statements_that_contradict_each_other_are_refused(made: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        QcStatements.model_validate(made)


# --- the built certificate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"key_usage": ("digital_signature",)}, "2.5.29.15 says what the profile says"),
        ({"days": 10}, "lives at most 10 days"),
        ({"algorithms": ("rsa-3072",)}, "keys are sound and rsa-3072"),
        ({"policies": ("1.2.3",)}, "2.5.29.32 says what the profile says"),
        ({"policies": ()}, "no other extensions: 2.5.29.32"),
        ({"qc": QcStatements()}, f"no other extensions: {qc.OID}"),
        ({"qc": QcStatements(type="esign")}, f"{qc.OID} says what the profile says"),
        ({"extended_key_usage": ("1.3.6.1.5.5.7.3.4",)}, "extensions are there: 2.5.29.37"),
        ({"ocsp_no_check": True}, "extensions are there: 1.3.6.1.5.5.7.48.1.5"),
        ({"uri": "https://vermilion.internal/x/"}, "extensions are there: 2.5.29.17"),
    ],
)
def test_built_certificate_that_leaves_its_profile_is_refused(changed: dict[str, object], said: str, desk: Desk) -> None:
    """Built under one profile and held against another, as if building had a fault."""

    seal, issuer = profiles.load()["seal"], desk.issuers["seals"]
    draft = build("seal", seal, read(software_request((CN, "a"))), issuer.parent, serial=7, now=desk.clock.now())
    certificate = draft.builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    require_conformity(certificate, draft)
    with pytest.raises(VermilionError) as refused:
        require_conformity(certificate, replace(draft, profile=seal.model_copy(update=changed)))
    assert refused.value.code is Code.PROFILE_VIOLATION and said in refused.value.rule


# --- serial numbers ------------------------------------------------------------------------------------------------------------


def test_two_replicas_with_different_settings_never_give_one_serial_twice(office: Office, postgresql_url: str) -> None:
    """Two processes draw 60 times from 40 numbers: at least 20 draws must meet, and each is refused by the database."""
    serials, attempts = 40, 30
    replicas = []
    for name, days in (("one", 100), ("two", 365)):
        told = {
            "name": name, "days": days, "serials": serials, "attempts": attempts, "database": postgresql_url, "pki": str(office.pki),
            "token": office.ca_token.model_dump(mode="json"), "public_url": f"http://{name}.example", "ocsp_url": f"http://{name}.example/ocsp",
        }  # fmt: skip
        process = subprocess.Popen(
            program("tests.ca.programs.replica"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(told))
        process.stdin.close()
        process.stdin = None
        replicas.append(process)
    given: list[str] = []
    refused: list[str] = []
    for process in replicas:
        printed, complaints = process.communicate(timeout=300)
        assert process.returncode == 0, complaints
        lines = printed.splitlines()
        assert len(lines) == attempts
        given += [line for line in lines if len(line) <= 2]
        refused += [line for line in lines if len(line) > 2]
    assert len(set(given)) == len(given) <= serials
    assert len(refused) >= 2 * attempts - serials
    assert {line.partition(" (")[0] for line in refused} == {"A serial number is given once"}
    with reading(connect(postgresql_url)) as connection:
        assert connection.execute(select(func.count()).select_from(certificates)).scalar_one() == len(given)
