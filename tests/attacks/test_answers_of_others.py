"""What CAs and responders of others send: from clocks that are not ours, and in PEM as often as in DER. All places judge it alike."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from longterm.answers import UnfitError, from_crl, from_ocsp
from longterm.certificates import certificate
from longterm.sources import Sources as EvidenceSources
from sealcore import pem
from sealcore.clock import SKEW, FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import uuid7
from sealcore.platform.config import TlsSettings
from sealcore.platform.revocation import CrlWatch
from signer.register.model import Seal
from signer.settings import OutsideCaSettings
from signer.status.answers import Link, read
from signer.status.judge import require_good
from signer.status.revocation import SealRevocations
from signer.status.sources import Sources
from tests.support.http_server import HttpServer
from verify.crls import CrlStore
from verify.trust import TrustMaterial

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


class Quiet(SimpleHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Others:
    """Root and issuing CA of somebody else, one certificate, and what they say of it; served over HTTP on the loopback."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = HttpServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.url = f"http://{self.host}"
        self.keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(3)]
        self.root = self._issue("Root", 0, None, ca=True)
        self.ca = self._issue("Issuing", 1, self.root, ca=True)
        self.leaf = self._issue("Seal", 2, self.ca)
        self.link = Link(self.leaf, self.ca)
        self.chain_file = folder / "chain.pem"
        self.chain_file.write_bytes(self.ca.public_bytes(Encoding.PEM) + self.root.public_bytes(Encoding.PEM))

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def _issue(
        self, name: str, key: int, issuer: x509.Certificate | None, *, ca: bool = False, begins: datetime = NOW - DAY, **rest: Any
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{self.url}/ca.crl")], None, None, None)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(f"{self.url}/ocsp"))
        builder = (
            x509.CertificateBuilder(issuer.subject if issuer else subject, subject, self.keys[key].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(NOW + 300 * DAY)
            .add_extension(x509.BasicConstraints(ca, None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.keys[key].public_key()), critical=False)
            .add_extension(x509.CRLDistributionPoints([point]), critical=False)
            .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        )
        for extension in rest.get("extensions", ()):
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.keys[max(0, key - 1) if issuer is None else rest.get("signs", key - 1)], SHA256())

    def crl(self, made: datetime = NOW - timedelta(hours=1), ends: datetime = NOW + DAY, *, revoked: bool = False) -> bytes:
        builder = x509.CertificateRevocationListBuilder(self.ca.subject, made, ends)
        if revoked:
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(self.leaf.serial_number, made).build())
        return builder.sign(self.keys[1], SHA256()).public_bytes(Encoding.DER)

    def ocsp(self, made: datetime, ends: datetime | None = NOW + DAY, *, delegate_from: datetime | None = None) -> bytes:
        """Signed by the CA itself, or by a delegate whose certificate begins then."""
        good = ocsp.OCSPCertStatus.GOOD
        builder = ocsp.OCSPResponseBuilder().add_response(self.leaf, self.ca, SHA1(), good, made, ends, None, None)
        if delegate_from is None:
            return builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.ca).sign(self.keys[1], SHA256()).public_bytes(Encoding.DER)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
        delegate = self._issue("Responder", 2, self.ca, begins=delegate_from, extensions=[usage, x509.OCSPNoCheck()], signs=1)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, delegate).certificates([delegate])
        return builder.sign(self.keys[2], SHA256()).public_bytes(Encoding.DER)

    def publish(self, name: str, content: bytes) -> None:
        (self.folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Others]:
    made = Others(tmp_path_factory.mktemp("others"))
    yield made
    made.close()


def refusal(act: Callable[[], object]) -> VermilionError:
    with pytest.raises(VermilionError) as refused:
        act()
    return refused.value


# --- every place where a CRL comes in -------------------------------------------------------------------------------------------


def at_the_gate(others: Others, folder: Path) -> bool:
    """Of a seal under an outside CA: what the signer's watch fetches."""
    return Sources(OutsideCaSettings(crl_urls=(f"{others.url}/ca.crl",)), FixedClock(NOW)).ask(others.link).revoked


def when_a_seal_is_resumed(others: Others, folder: Path) -> bool:
    leaf, chain = others.leaf.public_bytes(Encoding.DER), (others.ca.public_bytes(Encoding.DER),)
    seal = Seal(str(uuid7()), "Example", "contract", "seal.contract.1", leaf, chain, (), {"seal": 1})
    try:
        SealRevocations(others.chain_file, f"{others.url}/ca.crl", FixedClock(NOW)).assert_good(seal)
    except VermilionError as fault:
        if fault.code is Code.CERTIFICATE_REVOKED:
            return True
        raise
    return False


def when_callers_are_let_in(others: Others, folder: Path) -> bool:
    trust = folder / "trust.pem"
    trust.write_bytes(others.ca.public_bytes(Encoding.PEM))
    tls = TlsSettings(
        key_file=trust, certificate_file=trust, trust_file=trust, crl_urls=(f"{others.url}/ca.crl",), crl_cache=folder / "cache"
    )
    return CrlWatch(tls, FixedClock(NOW)).is_revoked(others.leaf.serial_number)


def when_a_file_is_extended(others: Others, folder: Path) -> bool:
    about, issuer = (certificate(one.public_bytes(Encoding.DER)) for one in (others.leaf, others.ca))
    sources = EvidenceSources([others.host])
    try:
        found = sources.crl(f"{others.url}/ca.crl")
        assert pem.is_der(found), "a DSS holds DER alone"
        return from_crl(found, about, issuer).revoked_at is not None
    except UnfitError as fault:
        raise VermilionError(Code.REVOCATION_UNAVAILABLE, str(fault)) from None
    finally:
        sources.close()


def when_a_file_is_verified(others: Others, folder: Path) -> bool:
    store = CrlStore(TrustMaterial((others.root,), (others.ca,)), [f"{others.url}/ca.crl"], folder / "crls")
    store.refresh()
    if not store.current():
        raise VermilionError(Code.REVOCATION_UNAVAILABLE, "no CRL")
    return store.current()[0].get_revoked_certificate_by_serial_number(others.leaf.serial_number) is not None


PLACES = [at_the_gate, when_a_seal_is_resumed, when_callers_are_let_in, when_a_file_is_extended, when_a_file_is_verified]


def armoured(der: bytes, label: str = "X509 CRL", *, width: int = 64, end: bytes = b"\n") -> bytes:
    text = base64.b64encode(der)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return end.join([f"-----BEGIN {label}-----".encode(), *lines, f"-----END {label}-----".encode(), b""])


UNDERSTOOD: dict[str, Callable[[bytes], bytes]] = {
    "der": lambda der: der,
    "pem": armoured,
    "crlf": lambda der: armoured(der, end=b"\r\n"),
    "one long line": lambda der: armoured(der, width=10**6),
    "byte order mark": lambda der: b"\xef\xbb\xbf" + armoured(der),
    "text before and after": lambda der: b"0 Certificate Revocation List (CRL):\n  Version 2\n" + armoured(der) + b"\n# of today\n",
    "no line end at the end": lambda der: armoured(der).rstrip(),
    "a certificate beside it": lambda der: armoured(b"\x30\x00", "CERTIFICATE") + armoured(der),
}
REFUSED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "two CRLs": (lambda der: armoured(der) * 2, "PEM with 2 blocks 'X509 CRL' where one is expected"),
    "base64 alone": (base64.encodebytes, "base64 without the lines of PEM"),
    "another kind": (lambda der: armoured(der, "CERTIFICATE"), "PEM of CERTIFICATE, not of X509 CRL"),
    "cut off": (lambda der: armoured(der)[:-40], "PEM with a block that does not end"),
    "bad base64": (lambda der: armoured(der).replace(b"A", b"=", 1), "is PEM whose 'X509 CRL' is not base64"),
    "UTF-16": (lambda der: armoured(der).decode().encode("utf-16"), "UTF-16; PEM is ASCII"),
    "a web page": (lambda _der: b"<!DOCTYPE html>", "neither DER nor PEM"),
    "nothing": (lambda _der: b"", "neither DER nor PEM"),
    "bytes behind it": (lambda der: der + b"\n", "neither DER nor PEM"),
    "a certificate's DER": (lambda _der: b"\x30\x03\x02\x01\x01", "is no CRL"),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_crl_is_understood_in_der_and_in_pem_everywhere(place: Any, others: Others, tmp_path: Path) -> None:
    for number, (name, written) in enumerate(UNDERSTOOD.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        others.publish("ca.crl", written(others.crl()))
        assert place(others, folder) is False, name
        others.publish("ca.crl", written(others.crl(NOW - timedelta(minutes=1), revoked=True)))
        (folder / "again").mkdir()
        assert place(others, folder / "again") is True, name


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_crl_is_refused_by_what_it_is_everywhere(
    place: Any, others: Others, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (name, (written, sentence)) in enumerate(REFUSED.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        others.publish("ca.crl", written(others.crl()))
        fault = refusal(lambda folder=folder: place(others, folder))  # type: ignore[misc]
        assert fault.code is Code.REVOCATION_UNAVAILABLE
        told = fault.reason + capsys.readouterr().out  # two of the places fetch beforehand: they say so in the log
        assert sentence in told or (name == "a certificate's DER" and "cannot be" in told), (name, told)


def test_an_ocsp_answer_in_pem_is_understood_and_anything_else_is_named(others: Others) -> None:
    good = others.ocsp(NOW - SECOND)
    for written in (armoured(good, "OCSP RESPONSE"), b"\xef\xbb\xbf" + armoured(good, "OCSP RESPONSE", end=b"\r\n")):
        assert read("ocsp", written, others.link, NOW).der == good
    assert "PEM of X509 CRL, not of OCSP RESPONSE" in refusal(lambda: read("ocsp", armoured(good), others.link, NOW)).reason
    assert "base64 without" in refusal(lambda: read("ocsp", base64.b64encode(good), others.link, NOW)).reason
    with pytest.raises(UnfitError):
        from_ocsp(armoured(good), *(certificate(one.public_bytes(Encoding.DER)) for one in (others.leaf, others.ca)))


def test_certificates_are_read_from_der_and_pem_alike(others: Others, tmp_path: Path) -> None:
    chain = others.chain_file.read_bytes()
    for data in (chain, b"\xef\xbb\xbf" + chain.replace(b"\n", b"\r\n"), b"subject=CN = x\n" + chain, chain.replace(b"BEGIN C", b"BEGIN X509 C").replace(b"END C", b"END X509 C")):  # fmt: skip
        assert pem.certificates(data) == [others.ca, others.root]
    assert pem.certificates(others.root.public_bytes(Encoding.DER)) == [others.root]
    key = others.keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for data, sentence in ((key, "PEM of PRIVATE KEY, not of CERTIFICATE"), (base64.b64encode(chain), "base64 without"), (b"", "neither")):
        with pytest.raises(pem.EncodingError, match=sentence):
            pem.certificates(data)


# --- clocks ---------------------------------------------------------------------------------------------------------------------


def test_an_ocsp_answer_from_a_clock_ahead_counts_within_the_one_tolerance(others: Others) -> None:
    """The gate takes an answer two seconds ahead, and names both times where it is further."""
    now = datetime.now(UTC).replace(microsecond=0)
    for ahead in (2, SKEW.seconds - 2):
        answer = read("ocsp", others.ocsp(now + ahead * SECOND, now + DAY), others.link, now)
        require_good(answer, others.link, "a seal", FixedClock(now))
    made = now + SKEW + 5 * SECOND
    fault = refusal(lambda: read("ocsp", others.ocsp(made, made + DAY), others.link, now))
    assert fault.code is Code.REVOCATION_UNAVAILABLE and "comes from the future" in fault.reason
    assert f"{made:%H:%M:%SZ}" in fault.reason and f"{now:%H:%M:%SZ}" in fault.reason and "30 s are allowed" in fault.reason


def test_a_responder_certified_a_moment_ago_by_a_clock_ahead_is_heard(others: Others) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    answer = read("ocsp", others.ocsp(now, now + DAY, delegate_from=now + 2 * SECOND), others.link, now)
    assert not answer.revoked
    late = others.ocsp(now, now + DAY, delegate_from=now + SKEW + 5 * SECOND)
    assert "not valid now" in refusal(lambda: read("ocsp", late, others.link, now)).reason


def test_an_answer_that_ended_within_the_tolerance_still_counts_and_then_no_more(others: Others) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    for ended, counts in ((2 * SECOND, True), (SKEW + 2 * SECOND, False)):
        answer = read("crl", others.crl(now - DAY, now - ended), others.link, now)
        if counts:
            require_good(answer, others.link, "a seal", FixedClock(now))
        else:
            reason = refusal(lambda answer=answer: require_good(answer, others.link, "a seal", FixedClock(now))).reason  # type: ignore[misc]
            assert f"{now - ended:%H:%M:%SZ}" in reason and f"{now:%H:%M:%SZ}" in reason


@pytest.mark.parametrize("place", [at_the_gate, when_a_seal_is_resumed, when_callers_are_let_in])
def test_a_crl_ahead_of_our_clock_is_taken_within_the_tolerance_everywhere(place: Any, others: Others, tmp_path: Path) -> None:
    others.publish("ca.crl", others.crl(NOW + 2 * SECOND))
    assert place(others, tmp_path) is False
    others.publish("ca.crl", others.crl(NOW + SKEW + 2 * SECOND))
    (tmp_path / "late").mkdir()
    assert refusal(lambda: place(others, tmp_path / "late")).code is Code.REVOCATION_UNAVAILABLE
