"""Rollover: successors of issuing CAs and of the root, cross certificates, and what was built before holds on."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.hazmat.primitives.serialization.pkcs7 import load_der_pkcs7_certificates
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from sqlalchemy import Engine, select

from ca.ceremony import plan
from ca.issuance.certificate import Parent
from ca.issuance.findings import certificate_findings, crl_findings
from ca.issuance.generations import is_spent
from ca.issuance.issue import Issuance, Issuer, Order
from ca.issuance.lint import Linter
from ca.issuance.profiles import load as load_profiles
from ca.issuance.request import read
from ca.names import ISSUING, is_name, parts, role_of
from ca.ocsp.answer import AnswerMaker
from ca.ocsp.delegate import Delegation
from ca.ocsp.delegations import Delegations
from ca.ocsp.record import AnswerRecord
from ca.pki import Cross, PkiFolder, is_issued_by, load_authorities, load_crosses, root_of
from ca.record import is_revoked
from ca.revocation.crl import LAST_NEXT_UPDATE, CrlPublisher, newest
from ca.tables import outbox
from protos.vermilion.v1 import ca_pb2, ca_pb2_grpc
from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Token
from sealcore.platform import durable
from sealcore.platform.config import TlsSettings
from sealcore.platform.db import connect
from sealcore.platform.db import read as reading
from sealcore.platform.rpc.client import channel
from sealcore.platform.rpc.errors import from_rpc_error
from tests import plain_http
from tests.ca.office import OCSP_URL, PUBLIC_URL, Office, generate_keys, new_office, software_request, toml
from tests.support.ports import free_port
from tests.support.programs import program

pytestmark = pytest.mark.xdist_group("ca rollover")  # what they share is slow to make

CLIENT = "https://vermilion.internal/client/"
CROSSES = {
    *(Cross("root", "root.2"), Cross("root.2", "root")),
    *(Cross("seals", "root.2"), Cross("seals.2", "root.2"), Cross("infrastructure", "root.2")),
}


@dataclass(frozen=True)
class Rolled:
    """An office whose seals CA, then root, then infrastructure CA were rolled over; ``before`` and ``after`` are leaves."""

    office: Office
    before: dict[str, Path]
    after: dict[str, Path]

    def leaf(self, path: Path) -> x509.Certificate:
        return x509.load_pem_x509_certificate(path.read_bytes())

    def files(self, *names: str) -> list[Path]:
        return [self.office.pki / f"{name}.pem" for name in names]


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Rolled:
    office = new_office(tmp_path_factory.mktemp("rollover"))
    generate_keys(office.ca_token, {"ca.seals.2": "rsa-3072", "ca.infrastructure.2": "p-256"}, office.folder)
    generate_keys(office.root_token, {"ca.root.2": "p-384"}, office.folder)
    for step in ("requests", "root", "issuing"):
        office.ceremony(step)
    before = _leaves(office, "before", "seal.test")
    _roll_issuing(office, "seals.2")
    office.ceremony("requests", *_authorities("seals", "seals.2", "infrastructure"))
    office.ceremony("rollover", "--authority", "root.2")
    _roll_issuing(office, "infrastructure.2")
    return Rolled(office, before, _leaves(office, "after", "tsa.test"))


def _roll_issuing(office: Office, name: str) -> None:
    office.ceremony("requests", *_authorities(name))
    office.ceremony("rollover", "--authority", name)
    office.ceremony("issuing")


def _authorities(*names: str) -> list[str]:
    return list(itertools.chain.from_iterable(("--authority", name) for name in names))


def _leaves(office: Office, when: str, label: str) -> dict[str, Path]:
    """A leaf of the seals CA (``label`` names its key) and one of the infrastructure CA, by role."""
    (office.folder / f"{when}.csr").write_bytes(software_request((NameOID.COMMON_NAME, when)))
    orders = {"seals": (label.split(".", maxsplit=1)[0], label, ()), "infrastructure": ("client", when, ("--uri", CLIENT + when))}
    for role, (profile, request, names) in orders.items():
        out = office.folder / f"{when}-{role}.pem"
        office.ceremony("issue", "--profile", profile, "--request", str(office.folder / f"{request}.csr"), "--out", str(out), *names)
    return {role: office.folder / f"{when}-{role}.pem" for role in orders}


@dataclass(frozen=True)
class Rooms:
    """The CA of all generations, in this process."""

    issuance: Issuance
    publisher: CrlPublisher
    clock: FixedClock
    token: Token
    engine: Engine
    rolled: Rolled


@pytest.fixture
def rooms(rolled: Rolled) -> Iterator[Rooms]:
    engine, clock = connect(rolled.office.database_url), FixedClock(datetime.now(UTC))
    authorities, declared, linter = load_authorities(rolled.office.pki), plan.load(), Linter()
    with Token.open(rolled.office.ca_token) as token:
        issuers = {
            name: Issuer(Parent(name, one, PUBLIC_URL), token.key(declared[name].key))
            for name, one in authorities.items()
            if role_of(name) in ISSUING
        }
        yield Rooms(
            Issuance(engine, load_profiles(), issuers, linter, clock=clock),
            CrlPublisher(engine, issuers, declared, linter, clock=clock),
            clock,
            token,
            engine,
            rolled,
        )
    engine.dispose()


def test_each_generation_has_a_key_a_subject_and_addresses_of_its_own(rolled: Rolled) -> None:
    authorities = load_authorities(rolled.office.pki)
    assert list(authorities) == ["root", "root.2", "seals", "seals.2", "infrastructure", "infrastructure.2"]
    names = [one.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value for one in authorities.values()]
    assert names[:4] == ["Vermilion Root CA", "Vermilion Root CA G2", "Vermilion Seals CA", "Vermilion Seals CA G2"]
    assert len({one.public_key().public_bytes(Encoding.DER, _SPKI) for one in authorities.values()}) == len(authorities)
    assert root_of(authorities["seals.2"], authorities) == "root", "made before the root was rolled over"
    assert root_of(authorities["infrastructure.2"], authorities) == "root.2", "the newest root certifies"
    leaf = rolled.leaf(rolled.after["seals"])
    where = leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints).value[0].full_name or []
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [name.value for name in where] == [f"{PUBLIC_URL}/crl/seals.2.crl"]
    assert f"{PUBLIC_URL}/ca/seals.2.cer" in [each.access_location.value for each in access]


def test_pkilint_finds_nothing_in_what_the_rollover_made(rolled: Rolled) -> None:
    authorities = load_authorities(rolled.office.pki)
    crosses = load_crosses(rolled.office.pki, authorities)
    assert set(crosses) == CROSSES
    for certificate in (*authorities.values(), *crosses.values()):
        assert certificate_findings(certificate) == []
    engine = connect(rolled.office.database_url)
    assert all(crl_findings(_crl(rolled.office, name)) == [] for name in authorities)
    engine.dispose()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("role", ISSUING)
@pytest.mark.parametrize("root", ["root", "root.2"])
def test_openssl_builds_every_chain_from_either_root(rolled: Rolled, run: Callable[..., str], when: str, role: str, root: str) -> None:
    leaf = getattr(rolled, when)[role]
    crls = rolled.office.folder / "crls.pem"
    names = load_authorities(rolled.office.pki)
    crls.write_bytes(b"".join(_crl(rolled.office, name).public_bytes(Encoding.PEM) for name in names))
    untrusted = [path for path in rolled.office.pki.glob("*.pem") if "-by-" in path.name or role_of(path.stem) != "root"]
    command = ["openssl", "verify", "-x509_strict", "-crl_check_all", "-CRLfile", crls, "-CAfile", *rolled.files(root)]
    command += itertools.chain.from_iterable(("-untrusted", path) for path in untrusted)
    assert run(*command, leaf).strip().endswith("OK")


def test_chain_of_old_files_alone_still_verifies(rolled: Rolled, run: Callable[..., str]) -> None:
    root, seals = rolled.files("root", "seals")
    assert run("openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", seals, rolled.before["seals"]).strip().endswith("OK")


def test_only_a_cross_certificate_leads_to_the_other_root(rolled: Rolled, run: Callable[..., str]) -> None:
    root, issuing, leading = rolled.files("root", "infrastructure.2", "root.2-by-root")
    command = ("openssl", "verify", "-x509_strict", "-CAfile", root, "-untrusted", issuing)
    with pytest.raises(AssertionError, match=r"unable to get (local )?issuer certificate"):
        run(*command, rolled.after["infrastructure"])
    assert run(*command, "-untrusted", leading, rolled.after["infrastructure"]).strip().endswith("OK")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("role", ISSUING)
@pytest.mark.parametrize("root", ["root", "root.2"])
def test_pyhanko_builds_every_chain_from_either_root(rolled: Rolled, when: str, role: str, root: str) -> None:
    names = load_authorities(rolled.office.pki)
    others = [path for path in rolled.office.pki.glob("*.pem") if "-by-" in path.name or role_of(path.stem) != "root"]
    context = ValidationContext(
        trust_roots=_asn1(rolled.files(root)),
        other_certs=_asn1(others),
        crls=[asn1_crl.CertificateList.load(_crl(rolled.office, name).public_bytes(Encoding.DER)) for name in names],
        revocation_mode="require",
        allow_fetching=False,
    )
    (leaf,) = _asn1([getattr(rolled, when)[role]])
    path = asyncio.run(CertificateValidator(leaf, validation_context=context).async_validate_usage(set()))
    assert path.first.subject == _asn1(rolled.files(root))[0].subject


def test_issuing_again_comes_from_the_newest_generation_unless_one_is_named(rooms: Rooms, rolled: Rolled) -> None:
    authorities = load_authorities(rolled.office.pki)
    for generation, name in ((None, "infrastructure.2"), (1, "infrastructure"), (2, "infrastructure.2")):
        request = read(software_request((NameOID.COMMON_NAME, "named")), uri=CLIENT + f"named-{generation}")
        certificate = rooms.issuance.issue(Order("client", request, generation=generation))
        certificate.verify_directly_issued_by(authorities[name])


@pytest.mark.parametrize("step", ["seals.2", "root.2", "infrastructure.2"])
def test_step_run_again_changes_nothing(rolled: Rolled, step: str) -> None:
    before = {path.name: path.read_bytes() for path in rolled.office.pki.iterdir() if path.suffix == ".pem"}
    notes = _notes(rolled.office)
    rolled.office.ceremony("rollover", "--authority", step)
    rolled.office.ceremony("issuing")
    assert {path.name: path.read_bytes() for path in rolled.office.pki.iterdir() if path.suffix == ".pem"} == before
    assert _notes(rolled.office) == notes


@dataclass(frozen=True)
class Service:
    """The CA's service over the rolled office, and the identities of callers, each trusting both infrastructure CAs."""

    rpc: str
    http: str
    identities: dict[str, TlsSettings]

    def greet(self, name: str) -> int:
        """A call that every known caller may make."""
        with channel(self.rpc, self.identities[name]) as line:
            stub = health_pb2_grpc.HealthStub(line)
            return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=20).status)


@pytest.fixture(scope="module")
def service(rolled: Rolled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    trust = folder / "trust.pem"
    trust.write_bytes(b"".join(path.read_bytes() for path in rolled.files("infrastructure", "infrastructure.2")))
    identities = {f"{name}-{generation}": _identity(rolled.office, folder, name, generation, trust) for name, generation in CALLERS}
    rpc, http = free_port(), free_port()
    values: dict[str, object] = {
        "public_url": PUBLIC_URL,
        "ocsp_url": OCSP_URL,
        "pki_folder": str(rolled.office.pki),
        "signer_target": "127.0.0.1:9",
        "listen_http": {"port": http},
        "listen_rpc": {"port": rpc},
        "database": {"url": rolled.office.database_url},
        "token": rolled.office.ca_token.model_dump(mode="json"),
        "tls": identities["ca-2"].model_dump(mode="json", exclude_none=True),
    }
    (folder / "ca.toml").write_text(toml(values), "utf-8")
    with (folder / "ca.log").open("w") as log:
        command = program("ca", "--config", folder / "ca.toml")
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", (folder / "ca.log").read_text()
    yield Service(f"127.0.0.1:{rpc}", f"http://127.0.0.1:{http}", identities)
    process.terminate()
    assert process.wait(30) == 0, (folder / "ca.log").read_text()


CALLERS = (("ca", 2), ("operator", 1), ("operator", 2), ("client", 1))


def _identity(office: Office, folder: Path, name: str, generation: int, trust: Path) -> TlsSettings:
    key = ec.generate_private_key(ec.SECP256R1())
    key_file, certificate, request = (folder / f"{name}-{generation}.{kind}" for kind in ("key", "pem", "csr"))
    key_file.touch(0o600)
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    request.write_bytes(software_request((NameOID.COMMON_NAME, name), key=key))
    profile = "service" if name == "ca" else name
    order: dict[str, object] = {"profile": profile, "request": str(request), "out": str(certificate), "generation": generation}
    order |= {"uri": f"https://vermilion.internal/{profile}/{name}-{generation}", "chain": True}
    addresses = 'ip = ["127.0.0.1"]\n' if profile == "service" else ""
    lines = "".join(f"{field} = {json.dumps(value)}\n" for field, value in order.items())
    orders = folder / "orders.toml"
    orders.write_text(f"[[order]]\n{lines}{addresses}")
    office.ceremony("issue", "--orders", str(orders))
    return TlsSettings(key_file=key_file, certificate_file=certificate, trust_file=trust)


def test_holder_of_an_old_certificate_still_gets_in_and_one_of_a_new_one_too(service: Service) -> None:
    for name in ("operator-1", "operator-2", "client-1"):
        assert service.greet(name) == health_pb2.HealthCheckResponse.SERVING


def test_what_the_service_issues_now_is_of_the_newest_generation_with_its_own_root(service: Service, rolled: Rolled) -> None:
    authorities = load_authorities(rolled.office.pki)
    with channel(service.rpc, service.identities["operator-1"]) as line:
        stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)
        answer = stub.Renew(ca_pb2.RenewRequest(request=software_request()), timeout=30)
    chain = [x509.load_der_x509_certificate(one) for one in answer.chain]
    assert chain == [authorities["infrastructure.2"], authorities["root.2"]]
    x509.load_der_x509_certificate(answer.certificate).verify_directly_issued_by(chain[0])


def test_revocation_in_the_old_generation_is_published_and_its_holder_is_out(service: Service, rolled: Rolled) -> None:
    leaver = rolled.leaf(service.identities["client-1"].certificate_file)
    with channel(service.rpc, service.identities["client-1"]) as line:
        renewing: Any = ca_pb2_grpc.CertificateAuthorityStub(line)
        answer = renewing.Renew(ca_pb2.RenewRequest(request=software_request()), timeout=30)
    successor = x509.load_der_x509_certificate(answer.certificate)
    serial = leaver.serial_number.to_bytes(20, "big")
    order = ca_pb2.RevokeRequest(issuer="infrastructure", serial=serial, reason="keyCompromise")
    with channel(service.rpc, service.identities["operator-2"]) as line:
        stub: Any = ca_pb2_grpc.CertificateAuthorityStub(line)
        stub.Revoke(order, timeout=30)
    crl = x509.load_der_x509_crl(plain_http.get(f"{service.http}/crl/infrastructure.crl").content)
    assert crl.get_revoked_certificate_by_serial_number(leaver.serial_number) is not None
    assert crl.is_signature_valid(load_authorities(rolled.office.pki)["infrastructure"].public_key())  # type: ignore[arg-type]
    newer = x509.load_der_x509_crl(plain_http.get(f"{service.http}/crl/infrastructure.2.crl").content)
    assert newer.get_revoked_certificate_by_serial_number(successor.serial_number) is not None, "what it renewed falls with it"
    with pytest.raises(grpc.RpcError) as refused:
        service.greet("client-1")
    assert from_rpc_error(refused.value).code is Code.CERTIFICATE_REVOKED
    assert service.greet("operator-1") == health_pb2.HealthCheckResponse.SERVING


def test_everything_that_leads_on_is_published(service: Service, rolled: Rolled) -> None:
    """Where several certificates lead on, caIssuers answers with certs-only CMS (RFC 5280 §4.2.2.1)."""
    authorities = load_authorities(rolled.office.pki)
    for name, certificate in authorities.items():
        answer = plain_http.get(f"{service.http}/ca/{name}.cer")
        expected = {certificate, *(one for cross, one in load_crosses(rolled.office.pki, authorities).items() if cross.subject == name)}
        if len(expected) == 1:
            assert answer.headers["content-type"] == "application/pkix-cert"
            assert x509.load_der_x509_certificate(answer.content) == certificate
        else:
            assert answer.headers["content-type"] == "application/pkcs7-mime"
            assert set(load_der_pkcs7_certificates(answer.content)) == expected
        key = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
        for path in (f"{name}.crl", f"by-key/{key}.crl"):
            crl = x509.load_der_x509_crl(plain_http.get(f"{service.http}/crl/{path}").content)
            assert crl.is_signature_valid(certificate.public_key())  # type: ignore[arg-type]
    roots = x509.load_pem_x509_certificates(plain_http.get(f"{service.http}/root.pem").content)
    assert roots == [authorities["root"], authorities["root.2"]]
    assert plain_http.get(f"{service.http}/ca/seals.3.cer").status_code == 404


def test_what_a_rollover_adds_is_published_without_a_restart(rolled: Rolled, tmp_path: Path) -> None:
    """Services trust a new generation, and ask for its CRL, before the CA's service has been started anew."""
    for path in rolled.files("root", "seals", "infrastructure"):
        shutil.copy(path, tmp_path)
    folder = PkiFolder(tmp_path)
    assert list(folder.current.authorities) == ["root", "seals", "infrastructure"]
    durable.write(tmp_path / "infrastructure.2.pem", rolled.files("infrastructure.2")[0].read_bytes())
    assert "infrastructure.2" not in folder.current.authorities, "its root is not there yet: what was read before counts"
    durable.write(tmp_path / "root.2.pem", rolled.files("root.2")[0].read_bytes())
    assert list(folder.current.authorities) == ["root", "root.2", "seals", "infrastructure", "infrastructure.2"]


@pytest.mark.parametrize(("when", "role"), list(itertools.product(("before", "after"), ISSUING)))
def test_responder_answers_for_every_generation_by_a_delegate_of_that_very_ca(
    rooms: Rooms, tmp_path: Path, run: Callable[..., str], when: str, role: str
) -> None:
    """openssl takes the answer with the root that certified the CA, old or new; one key answers for all generations."""
    rolled = rooms.rolled
    folder = PkiFolder(rolled.office.pki)

    def certify(issuer: str, request: bytes) -> bytes:
        generation = parts(issuer)[1]
        order = Order("ocsp", read(request), issuer=role_of(issuer), generation=generation)
        return rooms.issuance.issue(order).public_bytes(Encoding.DER)

    keys = {one: rooms.token.key(f"ocsp.{one}.1") for one in ISSUING}
    make = partial(Delegation, folder=tmp_path, certify=certify, clock=rooms.clock)
    delegations = Delegations(lambda: folder.current, keys, make, clock=rooms.clock)
    assert {one.authority.name for one in delegations} == {"seals", "seals.2", "infrastructure", "infrastructure.2"}
    leaf = rolled.leaf(getattr(rolled, when)[role])
    delegation = next(one for one in delegations if is_issued_by(leaf, one.authority.certificate))
    delegation.renew_if_due()
    name, authorities = delegation.authority.name, load_authorities(rolled.office.pki)
    standing, _kept = AnswerRecord(rooms.engine).look_up(name, leaf.serial_number)
    maker = AnswerMaker(delegation.current(), timedelta(days=1))
    (tmp_path / "answer.der").write_bytes(maker.presign(standing, now=rooms.clock.now()).responses[0])
    (issuer,) = rolled.files(name)
    (root,) = rolled.files(root_of(authorities[name], authorities))
    said = run(
        *("openssl", "ocsp", "-respin", tmp_path / "answer.der", "-issuer", issuer, "-cert", getattr(rolled, when)[role]),
        *("-CAfile", root, "-verify_other", issuer),
    )
    assert "Response verify OK" in said and ": good" in said, said
    rooms.clock.advance(timedelta(days=4000).total_seconds())
    assert "infrastructure" not in {one.authority.name for one in delegations}, "a CA that has ended has nothing to be asked about"


def test_step_stopped_before_its_files_goes_on_with_the_certificates_it_had(rolled: Rolled) -> None:
    """What was signed is in the record; a crash before a file was written costs nothing and doubles nothing."""
    lost = rolled.files("root.2", "root-by-root.2", "seals-by-root.2", "infrastructure.2")
    before = [path.read_bytes() for path in lost]
    for path in lost:
        path.unlink()
    for step in ("root.2", "infrastructure.2"):
        rolled.office.ceremony("rollover", "--authority", step)
    assert [path.read_bytes() for path in lost] == before


def test_every_new_certificate_is_noted_for_the_ledger(rolled: Rolled) -> None:
    authorities = load_authorities(rolled.office.pki)
    made = [*authorities.values(), *load_crosses(rolled.office.pki, authorities).values()]
    assert {f"certificate:{one.serial_number:x}" for one in made} <= _notes(rolled.office)


@pytest.mark.parametrize("name", ["seals", "seals.4", "root.3.1", "ocsp.2"])
def test_no_generation_is_left_out_or_made_twice(rolled: Rolled, name: str) -> None:
    done = rolled.office.ceremony("rollover", "--authority", name, check=False)
    assert done.returncode == 1 and "INVALID_ARGUMENT" in done.stderr and "Traceback" not in done.stderr


def test_a_key_gets_no_second_certificate_but_an_authoritys_cross_certificate(rolled: Rolled) -> None:
    """Not twice by the same root, not by a cross profile for anyone else, not a leaf for a CA's key."""
    engine, clock = connect(rolled.office.database_url), FixedClock(datetime.now(UTC))
    authorities = load_authorities(rolled.office.pki)
    cross = load_crosses(rolled.office.pki, authorities)[Cross("seals", "root.2")]
    subject = [(each.oid, str(each.value)) for each in cross.subject]
    seals = read((rolled.office.pki / "seals.csr").read_bytes())
    stranger = read(software_request(*subject))
    named = type(stranger)(seals.public_key, seals.algorithm, stranger.attributes)
    other = type(stranger)(seals.public_key, seals.algorithm, {**stranger.attributes, "common_name": "Vermilion Seals CA G9"})
    with Token.open(rolled.office.root_token) as token:
        roots = {name: Issuer(Parent(name, authorities[name], PUBLIC_URL), token.key(plan.load()[name].key)) for name in ("root", "root.2")}
        issuance = Issuance(engine, load_profiles(), roots, Linter(), clock=clock)
        for generation, request, days in ((1, named, 30), (2, named, 30), (2, stranger, 30), (2, other, 30), (2, named, 3700)):
            with pytest.raises(VermilionError) as refused:
                issuance.issue(Order("cross-issuing", request, generation=generation, days=days))
            assert refused.value.code is Code.CONFLICT
        with pytest.raises(VermilionError) as refused:
            issuance.issue(Order("issuing", named, generation=2, days=30))
        assert refused.value.code is Code.CONFLICT
    engine.dispose()


def test_old_generation_goes_on_revoking_until_its_last_crl(rolled: Rolled, rooms: Rooms) -> None:
    """Its CRLs go on while something it issued is in force; then comes one that never lapses, and no other."""
    engine = connect(rolled.office.database_url)
    serial = rolled.leaf(rolled.before["infrastructure"]).serial_number
    assert not is_revoked(engine, "infrastructure", serial)
    assert not is_revoked(engine, "infrastructure", rolled.leaf(rolled.after["infrastructure"]).serial_number)
    rooms.clock.advance(timedelta(days=2).total_seconds())
    number = rooms.publisher.publish("infrastructure", only_if_due=True)
    made = newest(engine, "infrastructure")
    assert made is not None and made.number == number and made.next_update < LAST_NEXT_UPDATE
    rooms.clock.advance(timedelta(days=400).total_seconds())
    assert rooms.publisher.publish("infrastructure", only_if_due=True) == number + 1
    last = newest(engine, "infrastructure")
    assert last is not None and last.next_update == LAST_NEXT_UPDATE
    crl = x509.load_der_x509_crl(last.der)
    assert crl.next_update_utc == LAST_NEXT_UPDATE and crl_findings(crl) == []
    rooms.clock.advance(timedelta(days=30).total_seconds())
    assert rooms.publisher.publish("infrastructure", only_if_due=True) == number + 1, "it is the last"
    with reading(engine) as connection:
        assert not is_spent(connection, "infrastructure.2", rooms.clock.now()), "the newest generation issues again"
    engine.dispose()


def test_authoritys_name_is_a_role_and_a_generation() -> None:
    assert all(is_name(name) for name in ("root", "seals.2", "infrastructure.12"))
    assert not any(is_name(name) for name in ("seals.1", "seals.02", "seals.", "seals.2.2", "tsa.public.1", "root-by-root.2", "../root.2"))


_SPKI = PublicFormat.SubjectPublicKeyInfo


def _asn1(paths: Iterable[Path]) -> list[asn1_x509.Certificate]:
    loaded = [x509.load_pem_x509_certificate(path.read_bytes()) for path in paths]
    return [asn1_x509.Certificate.load(one.public_bytes(Encoding.DER)) for one in loaded]


def _crl(office: Office, name: str) -> x509.CertificateRevocationList:
    engine = connect(office.database_url)
    published = newest(engine, name)
    engine.dispose()
    assert published is not None, name
    return x509.load_der_x509_crl(published.der)


def _notes(office: Office) -> set[str]:
    engine = connect(office.database_url)
    with reading(engine) as connection:
        keys = set(connection.execute(select(outbox.c.idempotency_key)).scalars())
    engine.dispose()
    return keys
