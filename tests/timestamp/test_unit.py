"""Tokens of a timestamp unit, judged by programs that we did not write."""

from __future__ import annotations

import calendar
import hashlib
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import cms, tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import VerifierBuilder, decode_timestamp_response

from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from tests.timestamp.kit import SmallCa, UnitKeys
from timestamp.request import granted
from timestamp.settings import DEFAULT_POLICY_OID
from timestamp.template import generalized_time
from timestamp.unit import TimestampUnit

MakeUnit = Callable[..., TimestampUnit]
Run = Callable[..., str]
MESSAGE = b"what was seen"


def info_of(token: bytes) -> tsp.TSTInfo:
    signed = cms.ContentInfo.load(token, strict=True)["content"]
    return signed["encap_content_info"]["content"].parsed


@pytest.mark.parametrize("algorithm", ["rsa-2048", "rsa-3072", "p-256", "p-384"])
def test_openssl_verifies_every_unit_and_imprint(algorithm: str, make_unit: MakeUnit, trust_file: Path, tmp_path: Path, run: Run) -> None:
    unit = make_unit(algorithm)
    data, token = tmp_path / "data", tmp_path / "token"
    data.write_bytes(MESSAGE)
    for hash_name in ("sha256", "sha384", "sha512"):
        token.write_bytes(unit.stamp(hashlib.new(hash_name, MESSAGE).digest(), hash_name=hash_name))
        assert "Verification: OK" in run("openssl", "ts", "-verify", "-data", data, "-token_in", "-in", token, "-CAfile", trust_file)


def test_openssl_refuses_a_token_for_other_data(make_unit: MakeUnit, trust_file: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "data").write_bytes(b"something else")
    (tmp_path / "token").write_bytes(make_unit().stamp(hashlib.sha256(MESSAGE).digest()))
    with pytest.raises(AssertionError, match="message imprint mismatch"):
        run("openssl", "ts", "-verify", "-data", tmp_path / "data", "-token_in", "-in", tmp_path / "token", "-CAfile", trust_file)


def test_openssl_cms_verifies_the_signature(make_unit: MakeUnit, trust_file: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "token").write_bytes(make_unit().stamp(hashlib.sha256(MESSAGE).digest()))
    printed = run(
        *["openssl", "cms", "-verify", "-inform", "DER", "-in", tmp_path / "token", "-CAfile", trust_file],
        *["-purpose", "timestampsign", "-out", tmp_path / "info"],
    )
    assert "successful" in printed


@pytest.mark.parametrize("algorithm", ["rsa-2048", "p-256", "p-384"])
def test_rfc3161_client_verifies(algorithm: str, make_unit: MakeUnit, small_ca: SmallCa) -> None:
    unit = make_unit(algorithm)
    response = decode_timestamp_response(granted(unit.stamp(hashlib.sha256(MESSAGE).digest(), nonce=12345)))
    authority: x509.Certificate = small_ca.certificate
    verifier = VerifierBuilder().policy_id(x509.ObjectIdentifier(DEFAULT_POLICY_OID)).add_root_certificate(authority).nonce(12345).build()
    assert verifier.verify_message(response, MESSAGE)


def test_token_says_what_the_profile_demands(make_unit: MakeUnit) -> None:
    unit = make_unit("p-256", accuracy_ms=1500)
    nonce = secrets.randbits(64)
    token = unit.stamp(hashlib.sha256(MESSAGE).digest(), nonce=nonce)
    signed = cms.ContentInfo.load(token, strict=True)["content"]
    info = info_of(token)
    assert info["version"].native == "v1"
    assert info["policy"].dotted == DEFAULT_POLICY_OID
    assert info["nonce"].native == nonce
    assert (info["accuracy"]["seconds"].native, info["accuracy"]["millis"].native) == (1, 500)
    assert not info["ordering"].native and info["tsa"].native is None and info["extensions"].native is None
    assert b"\x01\x01\x00" not in info.dump(), "ordering is absent, not FALSE"
    assert signed["version"].native == "v3"
    signer = signed["signer_infos"][0]
    attributes = {each["type"].native: each["values"][0] for each in signer["signed_attrs"]}
    assert set(attributes) == {"content_type", "message_digest", "signing_certificate_v2"}
    identifier = attributes["signing_certificate_v2"]["certs"][0]
    assert identifier["cert_hash"].native == hashlib.sha256(unit.certificate.public_bytes(Encoding.DER)).digest()


def test_certificates_go_in_only_when_asked_for(make_unit: MakeUnit) -> None:
    unit = make_unit()
    digest = hashlib.sha256(MESSAGE).digest()
    with_certificates = cms.ContentInfo.load(unit.stamp(digest), strict=True)["content"]
    without = cms.ContentInfo.load(unit.stamp(digest, cert_req=False), strict=True)["content"]
    assert len(with_certificates["certificates"]) == 2
    assert without["certificates"].native is None


def test_general_encoder_gives_the_same_bytes(make_unit: MakeUnit) -> None:
    """The spliced DER is what a general ASN.1 library makes of the same values."""
    for algorithm in ("rsa-2048", "p-384"):
        token = make_unit(algorithm).stamp(hashlib.sha384(MESSAGE).digest(), hash_name="sha384", nonce=7)
        content = cms.ContentInfo.load(token, strict=True)
        content.native  # noqa: B018  (parses everything)
        assert content.dump(force=True) == token


def test_serials_are_128_random_bits_and_unique(make_unit: MakeUnit) -> None:
    unit = make_unit()
    digest = hashlib.sha256(MESSAGE).digest()
    with ThreadPoolExecutor(8) as pool:
        serials = list(pool.map(lambda _: info_of(unit.stamp(digest))["serial_number"].native, range(400)))
    assert len(set(serials)) == len(serials)
    assert all(0 < serial < 2**128 for serial in serials)
    assert max(serials) > 2**120


def test_gen_time_never_decreases_under_a_shaky_clock(make_unit: MakeUnit) -> None:
    class Shaky(FixedClock):
        """Some readings lie a little before the last."""

        def now(self) -> datetime:
            self.advance(0.010 if secrets.randbits(1) else -0.008)
            return super().now()

    unit = make_unit(clock=Shaky(datetime.now(UTC)))
    times = [info_of(unit.stamp(bytes(32)))["gen_time"].native for _ in range(200)]
    assert times == sorted(times)


def test_clock_that_goes_back_a_little_holds_the_time(make_unit: MakeUnit) -> None:
    clock = FixedClock(datetime.now(UTC))
    unit = make_unit(clock=clock, accuracy_ms=1000)
    first = info_of(unit.stamp(bytes(32)))["gen_time"].native
    clock.advance(-0.9)
    assert info_of(unit.stamp(bytes(32)))["gen_time"].native == first
    clock.advance(5)
    assert info_of(unit.stamp(bytes(32)))["gen_time"].native > first


def test_clock_that_goes_back_beyond_the_accuracy_stops_the_unit(make_unit: MakeUnit) -> None:
    clock = FixedClock(datetime.now(UTC))
    unit = make_unit(clock=clock, accuracy_ms=1000)
    unit.stamp(bytes(32))
    clock.advance(-3600)
    with pytest.raises(VermilionError) as refused:
        unit.stamp(bytes(32))
    assert refused.value.code is Code.TIMESTAMP_UNAVAILABLE
    clock.advance(3600)
    unit.stamp(bytes(32))


@pytest.mark.parametrize(
    ("microsecond", "written"),
    [(0, "20260102030405Z"), (999, "20260102030405Z"), (120_000, "20260102030405.12Z"), (5_999, "20260102030405.005Z")],
)
def test_gen_time_is_utc_without_trailing_zeros(microsecond: int, written: str) -> None:
    instant_us = calendar.timegm((2026, 1, 2, 3, 4, 5)) * 1_000_000 + microsecond
    assert generalized_time(instant_us)[2:].decode() == written


def test_no_token_is_larger_than_promised(make_unit: MakeUnit) -> None:
    for algorithm in ("rsa-2048", "rsa-3072", "p-256", "p-384"):
        unit = make_unit(algorithm, accuracy_ms=1999, draw_serial=lambda: 2**128 - 1)
        sizes = [len(unit.stamp(bytes(64), hash_name="sha512", nonce=2**255 + 1)) for _ in range(20)]
        assert max(sizes) <= unit.largest_token_bytes <= max(sizes) + 16


def test_expired_certificate_stamps_nothing(make_unit: MakeUnit) -> None:
    clock = FixedClock(datetime.now(UTC))
    unit = make_unit(clock=clock)
    clock.advance(timedelta(days=11).total_seconds())
    with pytest.raises(VermilionError, match="not certified to sign now") as refused:
        unit.stamp(bytes(32))
    assert refused.value.code is Code.TIMESTAMP_UNAVAILABLE


def test_the_key_signs_no_longer_than_its_usage_period(make_unit: MakeUnit, small_ca: SmallCa, unit_keys: UnitKeys) -> None:
    clock = FixedClock(datetime.now(UTC))
    unit = make_unit(clock=clock, certificate=small_ca.unit(unit_keys.public["p-256"], days=10, key_days=3))
    clock.advance(timedelta(days=1.9).total_seconds())
    unit.stamp(bytes(32))
    clock.advance(timedelta(days=0.2).total_seconds())
    with pytest.raises(VermilionError, match="not certified to sign now") as refused:
        unit.stamp(bytes(32))
    assert refused.value.code is Code.TIMESTAMP_UNAVAILABLE


def test_unit_whose_token_is_gone_raises_a_typed_error(make_unit: MakeUnit, token: Token) -> None:
    unit = make_unit()
    token.close()
    with pytest.raises(VermilionError) as refused:
        unit.stamp(bytes(32))
    assert refused.value.code is Code.HSM_UNAVAILABLE


@pytest.mark.parametrize(("hash_name", "size"), [("sha1", 20), ("md5", 16), ("sha256", 31), ("sha512", 32), ("", 0)])
def test_unknown_hash_or_wrong_length_is_refused(hash_name: str, size: int, make_unit: MakeUnit) -> None:
    with pytest.raises(VermilionError) as refused:
        make_unit().stamp(bytes(size), hash_name=hash_name)
    assert refused.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("purposes", "critical"),
    [
        ((), True),
        ((ExtendedKeyUsageOID.TIME_STAMPING,), False),
        ((ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CLIENT_AUTH), True),
        ((ExtendedKeyUsageOID.CODE_SIGNING,), True),
    ],
)
def test_certificate_for_anything_else_makes_no_unit(
    purposes: tuple[x509.ObjectIdentifier, ...], critical: bool, make_unit: MakeUnit, small_ca: SmallCa, unit_keys: UnitKeys
) -> None:
    public = unit_keys.public["p-256"]
    certificate = small_ca.unit(public, purposes=purposes, critical=critical)
    with pytest.raises(VermilionError) as refused:
        make_unit(certificate=certificate)
    assert refused.value.code is Code.CONFIGURATION_INVALID


def test_certificate_of_another_key_makes_no_unit(make_unit: MakeUnit, small_ca: SmallCa) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(VermilionError) as refused:
        make_unit(certificate=small_ca.unit(stranger))
    assert refused.value.code is Code.CONFIGURATION_INVALID


@pytest.mark.parametrize("policy_oid", ["", "1", "3.1.2", "1.40", "one.two", "1.2.-3"])
def test_policy_that_is_no_oid_makes_no_unit(policy_oid: str, make_unit: MakeUnit) -> None:
    with pytest.raises(VermilionError) as refused:
        make_unit(policy_oid=policy_oid)
    assert refused.value.code is Code.CONFIGURATION_INVALID
