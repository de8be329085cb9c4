"""A file of 88 kB with 64 certificates that issued each other kept every other file waiting without end. Paths are found in bounded work now."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator import CertificateValidator, ValidationContext
from pyhanko_certvalidator.errors import PathBuildingError, PathValidationError
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.registry import CertificateRegistry, SimpleCertificateStore

from longterm.augmenter import Aim
from longterm.model import Level
from sealcore import certificate_paths
from sealcore.certificate_paths import MOST_CERTIFICATES, MOST_INTERMEDIATES, MOST_PATHS, bounded
from sealcore.clock import FixedClock
from sealcore.errors import Code, VermilionError
from tests.attacks.cross_issued import as_read, authority, chain, crowd, end_entity, named, net, new_key
from tests.conftest import EXAMPLES
from tests.longterm.later import later
from tests.longterm.world import Holder, World
from tests.verify.office import NOW, Identity, Office
from timestamp.client.answer import Token
from timestamp.client.signed import Signers, completed
from verify.report import Verdict
from verify.verifier import verify
from vermilion.use_cases.extending import Done, Means, Word, extender, jobs

INVOICE = EXAMPLES / "invoice.pdf"


class Search:
    """What the validator finds, and how much it looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked = self.offered = 0
        seek, made = CertificateRegistry.find_potential_issuers, ValidationPath.__init__

        def counted(registry: Any, *args: Any) -> Any:
            self.looked += 1
            return seek(registry, *args)

        def offered(path: Any, *args: Any, **how: Any) -> None:
            self.offered += 1
            made(path, *args, **how)

        monkeypatch.setattr(CertificateRegistry, "find_potential_issuers", counted)
        monkeypatch.setattr(certificate_paths, "ValidationPath", _counting(ValidationPath, offered))

    def __call__(self, leaf: x509.Certificate, others: Sequence[x509.Certificate], roots: Sequence[x509.Certificate]) -> int:
        """The number of certificates in the path that holds."""
        context = ValidationContext(
            trust_roots=[*map(as_read, roots)], other_certs=[*map(as_read, others)], allow_fetching=False, moment=datetime.now(UTC)
        )
        found = completed(CertificateValidator(as_read(leaf), validation_context=bounded(context)).async_validate_usage(set()))
        return len(list(found.iter_certs(include_root=True)))

    def was_bounded(self) -> bool:
        return self.looked <= MOST_CERTIFICATES + 1 and self.offered <= MOST_PATHS


def _counting(kind: Any, init: Callable[..., None]) -> Any:
    return type(kind.__name__, (kind,), {"__init__": init})


@pytest.fixture
def search(monkeypatch: pytest.MonkeyPatch) -> Search:
    return Search(monkeypatch)


@pytest.fixture(scope="module")
def root() -> tuple[x509.Certificate, Any]:
    key = new_key()
    return authority(named("Root"), key.public_key(), named("Root"), key), key


def test_a_crowd_that_leads_nowhere_is_left(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    key = new_key()
    with pytest.raises(PathBuildingError):
        search(end_entity(named("Crowd"), key), crowd(key, 64), [root[0]])
    assert search.was_bounded() and not search.offered


def test_a_net_that_leads_nowhere_is_left(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    keys = [new_key() for _ in range(9)]
    with pytest.raises(PathBuildingError):
        search(end_entity(named("Net 0"), keys[0]), net(keys), [root[0]])
    assert search.was_bounded() and not search.offered


def test_the_way_out_of_a_crowd_is_found(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    key = new_key()
    way = authority(named("Crowd"), key.public_key(), named("Root"), root[1])
    assert search(end_entity(named("Crowd"), key), [*crowd(key, 20), way], [root[0]]) == 3
    assert search.was_bounded()


def test_of_many_ways_that_do_not_hold_few_are_tried(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    key = new_key()
    ended = authority(named("Crowd"), key.public_key(), named("Root"), root[1], end=datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(PathValidationError):
        search(end_entity(named("Crowd"), key), [*crowd(key, 20), ended], [root[0]])
    assert search.was_bounded() and search.offered == MOST_PATHS


def test_a_good_way_beside_bad_ones_is_found(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    key = new_key()
    bad = [authority(named("Issuer"), key.public_key(), named("Root"), root[1], end=datetime(2001, 1, 1, tzinfo=UTC)) for _ in range(8)]
    good = authority(named("Issuer"), key.public_key(), named("Root"), root[1])
    assert search(end_entity(named("Issuer"), key), [*bad, good], [root[0]]) == 3


def test_issuers_by_name_alone_hide_no_true_one(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    key, other = new_key(), new_key()
    false = [authority(named("Issuer"), other.public_key(), named("Root"), root[1]) for _ in range(200)]
    true = authority(named("Issuer"), key.public_key(), named("Root"), root[1])
    assert search(end_entity(named("Issuer"), key), [*false, true], [root[0]]) == 3
    assert search.offered == 1


def test_names_that_lead_back_to_themselves_end(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    one, two = new_key(), new_key()
    loop = [authority(named("One"), one.public_key(), named("Two"), two), authority(named("Two"), two.public_key(), named("One"), one)]
    with pytest.raises(PathBuildingError):
        search(end_entity(named("One"), one), loop, [root[0]])
    assert search.was_bounded()


@pytest.mark.parametrize(("length", "holds"), [(MOST_INTERMEDIATES, True), (MOST_INTERMEDIATES + 1, False), (60, False)])
def test_long_chains(search: Search, root: tuple[x509.Certificate, Any], length: int, *, holds: bool) -> None:
    made, last = chain(root[1], named("Root"), length)
    leaf = end_entity(named(f"Chain {length - 1}"), last)
    if holds:
        assert search(leaf, made, [root[0]]) == length + 2
    else:
        with pytest.raises(PathBuildingError):
            search(leaf, made, [root[0]])
    assert search.was_bounded()


def test_an_issuer_with_endless_name_constraints_is_no_way(search: Search, root: tuple[x509.Certificate, Any]) -> None:
    key = new_key()
    trees = [x509.DNSName(f"{number}.example") for number in range(5000)]
    wide = authority(named("Wide"), key.public_key(), named("Root"), root[1], x509.NameConstraints(None, trees))
    with pytest.raises(PathBuildingError):
        search(end_entity(named("Wide"), key), [wide], [root[0]])


# --- where strangers' certificates come in -----------------------------------------------------------------------------------------


@pytest.fixture
def world() -> Any:
    made = World()
    yield made
    made.close()


def test_a_hostile_file_is_refused_alone_and_the_others_are_extended(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "released"
    folder.mkdir()
    honest = world.signed(INVOICE.read_bytes())
    key, holder = new_key(), world.seal
    world.seal = Holder(holder.key, end_entity(named("Crowd"), key, holder.key))
    hostile = world.signed(INVOICE.read_bytes(), more=crowd(key, 64))
    for name, content in (("a.pdf", hostile), ("b.pdf", hostile), ("honest.pdf", honest)):
        (folder / name).write_bytes(content)
    anchors = tmp_path / "root.pem"
    anchors.write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
    later(world)
    told: list[Done] = []
    with extender(Means((anchors,), f"{world.url}/tsa", (world.host,)), Aim(Level.B_LTA), at_once=2, clock=world.clock) as runner:
        done = {one.job.source.name: one for one in runner.run(jobs([folder], None), report=told.append)}
    assert done["honest.pdf"].word is Word.EXTENDED
    for name in ("a.pdf", "b.pdf"):
        fault = done[name].fault
        assert fault is not None and fault.code is Code.SIGNATURE_UNTRUSTED
        assert (folder / name).read_bytes() == hostile


def test_verification_of_a_hostile_file_ends(search: Search) -> None:
    office, key, holder = Office(), new_key(), new_key()
    by = Identity(holder, end_entity(named("Crowd"), key, holder))
    sealed = office.sign(INVOICE.read_bytes(), by=by, chain=[Identity(key, each) for each in crowd(key, 64)], bytes_reserved=200_000)
    declared = replace(office.trust(), signer_anchors=Office().trust().roots)  # somebody else's signers are looked for, too
    report = verify(sealed.data, declared, None, clock=FixedClock(NOW))
    assert report.verdict is not Verdict.VALID
    assert search.was_bounded() and search.looked


def test_a_timestamp_with_a_crowd_is_not_trusted(search: Search, world: World) -> None:
    key, holder = new_key(), rsa.generate_private_key(65537, 2048)
    unit = end_entity(named("Crowd"), key, holder, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]))
    store = SimpleCertificateStore()
    store.register_multiple([*map(as_read, crowd(key, 15))])
    stamper = DummyTimeStamper(as_read(unit), Holder(holder, unit).private, certs_to_embed=store, fixed_dt=world.clock.now())
    token = Token(_token(stamper), world.clock.now(), 0)
    with pytest.raises(VermilionError) as refused:
        Signers([world.root.certificate]).require_trusted(token)
    assert refused.value.code is Code.TSA_UNTRUSTED
    assert search.was_bounded() and search.looked


def _token(stamper: DummyTimeStamper) -> bytes:
    request = tsp.TimeStampReq(
        {
            "version": 1,
            "message_imprint": {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(b"a value").digest()},
            "cert_req": True,
        }
    )
    return bytes(stamper.request_tsa_response(request)["time_stamp_token"].dump())
