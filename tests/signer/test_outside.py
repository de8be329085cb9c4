"""A seal's certificate from an outside CA: request out, chain in and checked, revocation watched."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from protos.vermilion.v1 import ledger_pb2, signer_pb2
from sealcore.clock import SKEW, FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, service_uri, uuid7
from sealcore.platform import db
from sealcore.platform.migrate import scripts, upgrade
from sealcore.protocol.canonical import b64url
from sealcore.protocol.ledger_entry import Entry
from signer.metrics import SignerMetrics
from signer.register.chain import require_seal_chain
from signer.register.model import Seal
from signer.settings import OutsideCaSettings
from signer.status.answers import Kind, Link, read
from signer.status.judge import Outside as StatusOutside
from signer.status.sources import Sources
from signer.status.store import StatusStore
from signer.status.watch import StatusWatch
from tests.signer.acting import change, perform, refused_act, sealing
from tests.signer.office import document, spki
from tests.signer.outside_ca import SEAL, OutsideCa, openssl
from tests.signer.station import Station, typed

LABEL = "seal.contract.1"
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideCa]:
    made = OutsideCa(tmp_path_factory.mktemp("outside"))
    yield made
    made.close()


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def csr(key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example contract")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    return request.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(Encoding.DER)


def refusal(act: Callable[[], object]) -> VermilionError:
    with pytest.raises(VermilionError) as refused:
        act()
    return refused.value


def becomes(look: Callable[[], Code | None], code: Code | None) -> None:
    """Waits until ``look`` gives this code; what it gives before does not matter, only that it gets there."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (seen := look()) is not code:
        assert time.monotonic() < deadline_s, f"still {seen}"
        time.sleep(0.1)


# --- the whole way, over the wire ----------------------------------------------------------------------------------------------


def requested(station: Station, label: str = LABEL) -> Any:
    request = signer_pb2.RequestCertificateRequest(label=label, common_name="Example contract", organization="Example Office")
    return typed(lambda: station.register().RequestCertificate(request))


def imported(station: Station, certificate: x509.Certificate, chain: list[x509.Certificate]) -> str:
    parameters = {"certificate": b64url(der(certificate)), "chain": [b64url(der(one)) for one in chain]}
    return change(station, "seal_certificate", id=station.office.seals["contract"].id, **parameters)


def outside_station(make: Any, outside: OutsideCa) -> Station:
    station: Station = make(trust={"outside": {"hosts": [outside.host], "refresh_s": 0.2, "retry_s": 0.2}})
    return station


def test_request_out_chain_in_and_revocation_watched(sqlite_station: Any, outside: OutsideCa) -> None:
    station = outside_station(sqlite_station, outside)
    with station.running():
        noted = requested(station)
        certificate = outside.certify(noted.request)  # openssl checks the proof of possession
        assert spki(certificate.public_key()) == spki(station.office.seals["contract"].certificate.public_key())
        assert sealing(station) is None
        perform(station, imported(station, certificate, outside.chain()))
        sealed = station.seal(station.office.approve([document("Under the outside CA")]))
        assert der(certificate).hex().encode() in sealed.suffix.lower()
        assert "/ocsp" in outside.asked and "/issuing.crl" in outside.asked and "/root.crl" in outside.asked
        outside.revoke(certificate)
        becomes(lambda: sealing(station), Code.SEAL_CERTIFICATE_REVOKED)
        assert refused_act(station, imported(station, certificate, outside.chain())) is Code.SEAL_CERTIFICATE_REVOKED
        perform(station, imported(station, outside.certify(noted.request), outside.chain()))  # the same key, certified anew
        assert sealing(station) is None


def test_answer_past_its_next_update_counts_no_more_and_is_kept_over_a_restart_until_then(sqlite_station: Any, tmp_path: Path) -> None:
    outside = OutsideCa(tmp_path / "outside", ocsp=False)
    station = outside_station(sqlite_station, outside)
    with station.running():
        certificate = outside.certify(requested(station).request)
        perform(station, imported(station, certificate, outside.chain()))
        assert sealing(station) is None
        outside.serves = False
    with station.running():
        assert sealing(station) is None  # the CA is away, and what it said still counts
        ends = datetime.now(UTC) - SKEW + timedelta(seconds=5)  # counts until 30 s after its nextUpdate
        outside.crl("-crl_lastupdate", f"{datetime.now(UTC):%y%m%d%H%M%SZ}", "-crl_nextupdate", f"{ends:%y%m%d%H%M%SZ}")
        outside.serves = True
        becomes(lambda: sealing(station), Code.REVOCATION_UNAVAILABLE)
        outside.crl()
        becomes(lambda: sealing(station), None)
    outside.close()


def test_request_is_noted_in_the_ledger_and_for_the_operator_alone(sqlite_station: Any) -> None:
    station = sqlite_station()
    with station.running():
        noted = requested(station)
        openssl("req", "-inform", "DER", "-verify", "-noout", stdin=noted.request)
        entries = station.ledger(service_uri("ledger")).Entries(
            ledger_pb2.EntriesRequest(start=noted.ledger_index, end=noted.ledger_index + 1)
        )
        (encoded,) = next(iter(entries)).entries
        entry = Entry.decode(encoded)
        assert (entry.kind, entry.subject_sha256) == ("audit", hashlib.sha256(noted.request).digest())
        assert refusal(lambda: requested(station, "ca.root")).code is Code.HSM_KEY_MISSING
        request = signer_pb2.RequestCertificateRequest(label=LABEL, common_name="a")
        stranger = station.register(client_uri(uuid7()))
        assert refusal(lambda: typed(lambda: stranger.RequestCertificate(request))).code is Code.PERMISSION_DENIED


def test_chain_whose_ca_may_not_be_asked_is_refused(sqlite_station: Any, outside: OutsideCa) -> None:
    station = sqlite_station()  # no host is allowed
    with station.running():
        certificate = outside.certify(requested(station).request)
        asked = len(outside.asked)
        assert refused_act(station, imported(station, certificate, outside.chain())) is Code.FETCH_FORBIDDEN
        assert len(outside.asked) == asked
        other = outside.certify(csr())
        assert refused_act(station, imported(station, other, outside.chain())) is Code.INVALID_ARGUMENT  # not the seal's key
        assert sealing(station) is None  # as before


# --- the chain -----------------------------------------------------------------------------------------------------------------


def judge(certificate: x509.Certificate, chain: list[x509.Certificate], now: datetime | None = None) -> None:
    require_seal_chain(der(certificate), [der(one) for one in chain], now or datetime.now(UTC))


@pytest.mark.parametrize(
    "rules",
    [
        (SEAL,),
        (SEAL, "extendedKeyUsage=1.3.6.1.5.5.7.3.36,emailProtection"),
        (SEAL, "basicConstraints=critical,CA:FALSE", "certificatePolicies=1.2.3"),
    ],
)
def test_chain_of_the_profile_is_taken(rules: tuple[str, ...], outside: OutsideCa) -> None:
    judge(outside.certify(csr(), *rules), outside.chain())


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        (("keyUsage=critical,digitalSignature,nonRepudiation",), "contentCommitment alone"),
        (("keyUsage=critical,digitalSignature",), "contentCommitment alone"),
        (("basicConstraints=CA:FALSE",), "contentCommitment alone"),
        ((SEAL, "extendedKeyUsage=1.3.6.1.5.5.7.3.36"), "documentSigning together with emailProtection"),
        ((SEAL, "extendedKeyUsage=emailProtection"), "documentSigning together with emailProtection"),
        ((SEAL, "extendedKeyUsage=anyExtendedKeyUsage"), "documentSigning together with emailProtection"),
        ((SEAL, "1.2.3.4=critical,ASN1:NULL"), "critical extension is understood"),
    ],
)
def test_certificate_that_is_no_seals_is_refused_with_the_rule(rules: tuple[str, ...], rule: str, outside: OutsideCa) -> None:
    certificate = outside.certify(csr(), *rules)
    error = refusal(lambda: judge(certificate, outside.chain()))
    assert error.code is Code.SEAL_CERTIFICATE_INVALID and rule in error.rule


def test_chain_that_leads_nowhere_is_refused(outside: OutsideCa, tmp_path: Path) -> None:
    certificate, (issuing, root) = outside.certify(csr()), outside.chain()
    other = OutsideCa(tmp_path / "other")
    other.close()
    for chain, rule in (
        ([issuing], "goes down to its anchor"),
        ([root], "leads from the seal's certificate"),
        ([root, issuing], "goes down to its anchor"),
        ([issuing, other.chain()[1]], "leads from the seal's certificate"),
        ([other.chain()[0], other.chain()[1]], "leads from the seal's certificate"),
        ([issuing, *other.chain()[:1], root], "names each issuer once"),
        ([issuing] * 6 + [root], "at most"),
    ):
        error = refusal(lambda chain=chain: judge(certificate, chain))  # type: ignore[misc]
        assert error.code is Code.SEAL_CERTIFICATE_INVALID and rule in error.rule, (rule, error.rule, error.reason)
    late = certificate.not_valid_after_utc + timedelta(seconds=1)
    assert "within its validity" in refusal(lambda: judge(certificate, outside.chain(), late)).rule


def test_issuer_that_is_no_ca_is_refused(outside: OutsideCa) -> None:
    """A seal's own certificate cannot certify another seal."""
    key = ec.generate_private_key(ec.SECP256R1())
    false_issuer = outside.certify(csr(key))
    now = datetime.now(UTC)
    usage = x509.KeyUsage(False, True, False, False, False, False, False, False, False)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Example contract")])
    builder = x509.CertificateBuilder(false_issuer.subject, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(hours=1))
    certificate = builder.add_extension(usage, critical=True).sign(key, hashes.SHA256())
    assert refusal(lambda: judge(certificate, [false_issuer, *outside.chain()])).code is Code.SEAL_CERTIFICATE_INVALID


# --- what the CA says ----------------------------------------------------------------------------------------------------------


def ask(outside: OutsideCa, link: Link, *options: str, signer: str = "issuing") -> bytes:
    asked = ocsp.OCSPRequestBuilder().add_certificate(link.certificate, link.issuer, hashes.SHA1()).build()
    return outside.answer(asked.public_bytes(Encoding.DER), *options, signer=signer)


def soon() -> datetime:
    """A moment after whatever was just made: openssl's times are whole seconds, perhaps the coming one."""
    return datetime.now(UTC) + timedelta(seconds=2)


def unusable(kind: Kind, answer: bytes, link: Link, now: datetime | None = None) -> str:
    error = refusal(lambda: read(kind, answer, link, now or soon()))
    assert error.code is Code.REVOCATION_UNAVAILABLE
    return error.reason


def test_crl_and_ocsp_agree_on_good_and_revoked(outside: OutsideCa) -> None:
    good, bad = (Link(outside.certify(csr()), outside.chain()[0]) for _ in range(2))
    outside.revoke(bad.certificate)
    crl = outside.crl()
    for link, revoked in ((good, False), (bad, True)):
        assert read("crl", crl, link, soon()).revoked is revoked
        assert read("ocsp", ask(outside, link), link, soon()).revoked is revoked


def test_answers_of_others_and_about_others_say_nothing(outside: OutsideCa, tmp_path: Path) -> None:
    link = Link(outside.certify(csr()), outside.chain()[0])
    other = OutsideCa(tmp_path / "other")
    other.close()
    assert "not signed" in unusable("crl", other.crl(), link)
    stranger = Link(other.certify(csr()), other.chain()[0])
    assert "cannot be verified" in unusable("ocsp", ask(other, stranger), link)
    assert "does not know" in unusable("ocsp", ask(outside, Link(outside.certify(csr()), link.issuer)), link)
    response = bytearray(ask(outside, link))
    for place in (len(response) // 3, -1):  # inside the signed part, and the signature (or what comes after it)
        altered = bytearray(response)
        altered[place] ^= 1
        try:
            answer = read("ocsp", bytes(altered), link, soon())
        except VermilionError as fault:
            assert fault.code is Code.REVOCATION_UNAVAILABLE
        else:  # a byte that the signature does not cover, such as one of an enclosed certificate
            assert answer.revoked is False
    assert "from the future" in unusable("crl", outside.crl(), link, datetime.now(UTC) - timedelta(hours=1))
    for rubbish in (b"", b"0", bytes(100), outside.crl()[:-5]):
        unusable("crl", rubbish, link)
        unusable("ocsp", rubbish, link)


def test_responder_needs_the_cas_word(outside: OutsideCa) -> None:
    link = Link(outside.certify(csr()), outside.chain()[0])
    for name, rules, taken in (
        ("delegate", ("keyUsage=digitalSignature", "extendedKeyUsage=OCSPSigning"), True),
        ("impostor", ("keyUsage=digitalSignature", "extendedKeyUsage=clientAuth"), False),
    ):
        key, request = outside.folder / f"{name}.key", outside.folder / f"{name}.csr"
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
                "-keyout", key, "-outform", "DER", "-out", request)  # fmt: skip
        certificate = outside.certify(request.read_bytes(), *rules)
        (outside.folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        response = ask(outside, link, signer=name)
        if taken:
            assert read("ocsp", response, link, soon()).revoked is False
        else:
            assert "not for OCSP" in unusable("ocsp", response, link)


def partial(outside: OutsideCa, **scope: Any) -> bytes:
    """A CRL of the issuing CA with this scope."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key: Any = load_pem_private_key((outside.folder / "issuing.key").read_bytes(), None)
    values: dict[str, Any] = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False, "only_contains_ca_certs": False,
        "only_some_reasons": None, "indirect_crl": False, "only_contains_attribute_certs": False,
    }  # fmt: skip
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder(outside.chain()[0].subject, now - timedelta(hours=1), now + timedelta(hours=1))
    builder = builder.add_extension(x509.IssuingDistributionPoint(**{**values, **scope}), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def test_partial_crl_is_no_answer(outside: OutsideCa) -> None:
    link = Link(outside.certify(csr()), outside.chain()[0])
    own = [x509.UniformResourceIdentifier(f"http://{outside.host}/issuing.crl")]
    elsewhere = [x509.UniformResourceIdentifier("http://elsewhere.example/part2.crl")]
    assert read("crl", partial(outside, full_name=own, only_contains_user_certs=True), link, soon()).revoked is False
    assert "another distribution point" in unusable("crl", partial(outside, full_name=elsewhere), link)
    for scope in (
        {"only_contains_ca_certs": True},
        {"only_contains_attribute_certs": True},
        {"indirect_crl": True},
        {"only_some_reasons": frozenset({x509.ReasonFlags.key_compromise})},
    ):
        assert "for every reason" in unusable("crl", partial(outside, full_name=own, **scope), link)


def test_only_allowed_addresses_are_asked_and_within_bounds(outside: OutsideCa) -> None:
    link = Link(outside.certify(csr()), outside.chain()[0])
    clock = FixedClock(soon())
    assert Sources(OutsideCaSettings(), clock).of(link) == []
    assert Sources(OutsideCaSettings(hosts=frozenset({"127.0.0.1"})), clock).of(link) == []  # the port belongs to the address
    allowed = OutsideCaSettings(hosts=frozenset({outside.host}))
    assert [source.kind for source in Sources(allowed, clock).of(link)] == ["ocsp", "crl"]
    assert Sources(allowed, clock).ask(link).revoked is False
    named = OutsideCaSettings(crl_urls=(f"http://{outside.host}/issuing.crl",))
    assert Sources(named, clock).ask(link).kind == "crl"
    small = allowed.model_copy(update={"largest_bytes": 100})
    assert "more than 100 bytes" in refusal(lambda: Sources(small, clock).ask(link)).reason
    with pytest.raises(ValueError, match="begins with http"):
        OutsideCaSettings(crl_urls=("file:///etc/passwd",))


def test_a_certificate_that_nobody_can_ask_about_keeps_no_other_from_being_asked(outside: OutsideCa, tmp_path: Path) -> None:
    """What is odd in one CA's certificates, or in what it sends, is said of that one; the watch goes on, and tells monitoring."""
    key = ec.generate_private_key(ec.SECP256R1())
    odd = (SEAL, "authorityInfoAccess=OCSP;URI:http://[::1", "crlDistributionPoints=URI:http://[::1")
    certificates = [outside.certify(csr(key), *odd, sources="none"), outside.certify(csr(key), SEAL)]
    chain = tuple(map(der, outside.chain()))
    seals = {str(number): Seal(uuid7(), "Office", "contract", LABEL, der(one), chain, (), {}) for number, one in enumerate(certificates)}
    own = tmp_path / "own.pem"
    own.write_bytes(OutsideCa(tmp_path / "own").chain()[0].public_bytes(Encoding.PEM))
    engine = db.connect(f"sqlite:///{tmp_path / 'signer.db'}")
    upgrade(engine, scripts("signer"))
    clock = FixedClock(soon())
    register: Any = SimpleNamespace(current=lambda: SimpleNamespace(seals=seals))  # what the watch reads of a register
    settings = OutsideCaSettings(hosts=frozenset({outside.host}))
    watch = StatusWatch(settings, StatusOutside(own), register, StatusStore(engine), SignerMetrics(clock), clock=clock)
    told = watch._round()
    assert told is not None and told.code is Code.FETCH_FORBIDDEN
    stored = [StatusStore(engine).get(link) for link in StatusOutside(own).links(seals["1"])]
    assert None not in stored
    engine.dispose()


def test_newest_answer_counts_where_responder_and_crl_differ(outside: OutsideCa) -> None:
    """A responder that repeats an old answer does not hide what the CRL says already."""
    link = Link(outside.certify(csr()), outside.chain()[0])
    old = ask(outside, link, "-ndays", "1")
    clock = FixedClock(soon())
    sources = Sources(OutsideCaSettings(hosts=frozenset({outside.host})), clock)
    time.sleep(1.1)  # openssl counts in whole seconds
    outside.revoke(link.certificate)
    outside.answer, honest = (lambda *_asked, **_options: old), outside.answer  # type: ignore[method-assign]
    try:
        assert read("ocsp", old, link, clock.now()).revoked is False
        assert sources.ask(link).revoked is True
    finally:
        outside.answer = honest  # type: ignore[method-assign]
