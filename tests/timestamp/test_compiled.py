"""The compiled core reads requests and makes tokens as Python does: the same bytes, for any unit, request and time."""

from __future__ import annotations

import datetime
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from sealcore.compiled import core
from sealcore.hsm.algorithm import Algorithm
from tests.timestamp.kit import SmallCa, UnitKeys
from timestamp.der import BOOLEAN, CONTEXT_0, INTEGER, NULL, OCTET_STRING, SEQUENCE, integer, object_identifier, tlv
from timestamp.request import RefusedError, TimestampRequest, parse_fully
from timestamp.settings import DEFAULT_POLICY_OID
from timestamp.template import HASHES, TokenTemplate, accuracy, imprint, template_of
from timestamp.unit import DIGEST_SIZES, TimestampUnit

KEY = ec.generate_private_key(ec.SECP256R1())
ALGORITHMS = st.sampled_from([Algorithm.RSA_2048, Algorithm.RSA_3072, Algorithm.P256, Algorithm.P384])
POLICIES = st.sampled_from([DEFAULT_POLICY_OID, "1.2.3", "2.999.16384.1", "2.25.329800735698586629295641978511506172918"])
TIMES = st.one_of(
    st.integers(0, 253_402_300_799_999_999),
    st.sampled_from([0, 951_782_400_000_000, 951_868_799_999_999, 1_767_225_600_000_000, 1_767_225_600_010_000, 253_402_300_799_999_999]),
)
NONCES = st.none() | st.integers(-(2**255), 2**256 - 1).map(integer)
IMPRINTS = st.sampled_from(sorted(DIGEST_SIZES)).flatmap(
    lambda name: st.binary(min_size=DIGEST_SIZES[name], max_size=DIGEST_SIZES[name]).map(lambda digest: imprint(name, digest))
)


def certificate(name: str, serial: int, padding: int) -> x509.Certificate:
    extension = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.9"), bytes(padding))
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin, end = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), serial, begin, end).add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256())


CERTIFICATES = st.builds(
    certificate,
    st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=30),
    st.integers(1, 2**159 - 1),
    st.integers(0, 900),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(CERTIFICATES, min_size=1, max_size=3, unique_by=lambda each: each.serial_number),
    ALGORITHMS,
    POLICIES,
    st.integers(1, 100_000),
    st.lists(
        st.tuples(IMPRINTS, st.integers(1, 2**128 - 1), TIMES, NONCES, st.binary(max_size=520), st.booleans()), min_size=1, max_size=4
    ),
)
def test_both_make_the_same_token(
    chain: list[x509.Certificate],
    algorithm: Algorithm,
    policy: str,
    accuracy_ms: int,
    tokens: list[tuple[bytes, int, int, bytes | None, bytes, bool]],
) -> None:
    told = chain[0], chain[1:], algorithm, policy, accuracy(accuracy_ms)
    python, compiled = TokenTemplate(*told), template_of(*told)
    assert isinstance(compiled, core.TokenTemplate)
    for message_imprint, serial, time_us, nonce, signature, with_certificates in tokens:
        drafts = [each.draft(message_imprint, serial.to_bytes(17, "big"), time_us, nonce) for each in (python, compiled)]
        assert drafts[0].digest == drafts[1].digest
        assert drafts[0].token(signature, with_certificates) == drafts[1].token(signature, with_certificates)


def test_a_key_that_makes_no_tokens_has_no_template() -> None:
    der = certificate("Unit", 1, 0).public_bytes(serialization.Encoding.DER)
    for kind, leaf in (("ed25519", der), ("p-256", der[:-1]), ("p-256", b"")):
        with pytest.raises(ValueError, match=r"\w"):
            core.TokenTemplate(kind, leaf, [], object_identifier("1.2.3"), accuracy(1))


@pytest.mark.parametrize("algorithm", ["rsa-2048", "p-256", "p-384"])
def test_a_unit_makes_the_same_tokens_without_the_core(
    algorithm: str, make_unit: Callable[..., TimestampUnit], small_ca: SmallCa, unit_keys: UnitKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaf = small_ca.unit(unit_keys.public[algorithm])
    with_core = make_unit(algorithm, certificate=leaf)
    monkeypatch.setattr("sealcore.compiled.AVAILABLE", False)
    without = make_unit(algorithm, certificate=leaf)
    assert (type(with_core._template), type(without._template)) == (core.TokenTemplate, TokenTemplate)
    assert with_core.largest_token_bytes == without.largest_token_bytes
    first, second = (
        each._template.draft(imprint("sha256", bytes(32)), b"\x12\x34", 1_767_225_600_120_000, integer(9)).token(b"a signature", True)
        for each in (with_core, without)
    )
    assert first == second
    assert without.stamp(bytes(32))  # and Python's way goes all the way, too


# --- requests --------------------------------------------------------------------------------------------------------------------


def lean(data: bytes, policy: str = DEFAULT_POLICY_OID) -> TimestampRequest | None:
    told = core.timestamp_request(data, object_identifier(policy))
    return None if told is None else TimestampRequest(*told)


def fully(data: bytes, policy: str = DEFAULT_POLICY_OID) -> TimestampRequest | None:
    try:
        return parse_fully(data, policy_oid=policy)
    except RefusedError:
        return None


def request(*parts: bytes, algorithm: bytes = HASHES["sha256"], parameters: bytes = b"", size: int = 32) -> bytes:
    stamped = tlv(SEQUENCE, tlv(SEQUENCE, algorithm, parameters), tlv(OCTET_STRING, bytes(size)))
    return tlv(SEQUENCE, integer(1), stamped, *parts)


NONCE, CERT_REQ, POLICY = integer(2**63 + 1), tlv(BOOLEAN, b"\xff"), object_identifier(DEFAULT_POLICY_OID)
SERVED = [
    request(),
    request(POLICY, NONCE, CERT_REQ),
    request(NONCE, tlv(BOOLEAN, b"\x00")),
    request(integer(-1)),
    request(integer(2**256 - 1)),
    request(integer(-(2**255))),
    request(parameters=tlv(NULL)),
    request(algorithm=HASHES["sha384"], size=48),
    request(algorithm=HASHES["sha512"], size=64),
]


@pytest.mark.parametrize("data", SERVED)
def test_requests_that_are_served_are_read_by_both(data: bytes) -> None:
    assert lean(data) == fully(data) is not None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request()[:-1],
        request() + b"\x00",
        request(object_identifier("1.2.3")),
        request(integer(2**256)),
        request(tlv(INTEGER, b"\x00\x01")),
        request(tlv(INTEGER, b"")),
        request(tlv(BOOLEAN, b"")),
        request(tlv(BOOLEAN, b"\xff\xff")),
        request(tlv(CONTEXT_0, b"")),
        request(CERT_REQ, NONCE),
        request(NONCE, NONCE),
        request(size=31),
        request(size=48),
        request(parameters=integer(1)),
        request(parameters=tlv(NULL) * 2),
        request(algorithm=object_identifier("1.3.14.3.2.26"), size=20),
        tlv(SEQUENCE, integer(2), request()[5:]),
        b"\x30\x80" + request()[2:] + b"\x00\x00",
    ],
)
def test_requests_that_are_refused_are_left_to_who_says_why(data: bytes) -> None:
    assert lean(data) is None is fully(data)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(SERVED), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255), st.booleans()), max_size=3))
def test_whatever_is_changed_both_read_the_same(data: bytes, changes: list[tuple[int, int, bool]]) -> None:
    changed = bytearray(data)
    for place, value, added in changes:
        at = place % (len(changed) + 1)
        changed[at : at + (not added)] = bytes((value,))
    assert lean(bytes(changed)) == fully(bytes(changed))
