"""`vermilion ca rollover` as a ceremony: stopped and run again, and what services trust afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509

from ca.names import ISSUING
from ca.pki import load_authorities, load_hierarchy
from hsm_config import inventory
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm import softhsm
from vermilion.ceremony import authorities, revoking, rollover
from vermilion.ceremony.context import Ceremony
from vermilion.operation.programs import run
from vermilion.planning.drawing import draw
from vermilion.planning.examples import demo
from vermilion.state import identities, keyring, toml, trust_files
from vermilion.state.chains import chains
from vermilion.state.identities import private_file
from vermilion.state.layout import Layout

pytestmark = pytest.mark.xdist_group("rollover")  # what they share is slow to make


@pytest.fixture(scope="module")
def ceremony(tmp_path_factory: pytest.TempPathFactory) -> Ceremony:
    """An office as far as the ceremony of its authorities, and one mTLS identity's folder."""
    layout = Layout.at(tmp_path_factory.mktemp("state"))
    layout.make_folders()
    (layout.pki / "keys").mkdir()
    for token in ("root", "ca"):
        softhsm.create(layout.token(token), token)
        made = run("hsm_config.keygen", "--token", token, "--settings", layout.token_settings(token))
        keyring.record_file(layout, token).write_bytes(made)
    office = draw(demo())
    office.save(layout)
    ceremony = Ceremony(layout, office, SystemClock())
    authorities.root(ceremony)
    layout.tls("client").mkdir(parents=True)
    private_file(layout.tls("client") / "trust.pem", trust_files.mtls_trust(layout, ceremony.clock.now()))
    return ceremony


class StoppedError(Exception):
    """The ceremony ends here, as by a power cut."""


@pytest.mark.parametrize(("role", "at"), [("seals", "rollover_requests"), ("infrastructure", "rollover_crl"), ("root", "rollover_trust")])
def test_stopped_rollover_goes_on_with_the_same_generation(
    ceremony: Ceremony, role: Literal["seals", "infrastructure", "root"], at: str
) -> None:

    def stop(key: str) -> None:
        if key == at:
            raise StoppedError

    with pytest.raises(StoppedError):
        rollover.roll(ceremony.layout, ceremony.office, role, report=stop)
    with pytest.raises(VermilionError) as refused:
        rollover.roll(ceremony.layout, ceremony.office, role, generation=3)
    assert refused.value.code is Code.CONFLICT, "one is finished before the next begins"
    assert rollover.roll(ceremony.layout, ceremony.office, role) == f"{role}.2"
    before = _files(ceremony.layout)
    assert rollover.roll(ceremony.layout, ceremony.office, role, generation=2) == f"{role}.2"
    assert _files(ceremony.layout) == before, "what is there stays as it is"
    assert not list(ceremony.layout.ceremony.glob("*.begun"))


def test_services_trust_every_generation_afterwards(ceremony: Ceremony) -> None:
    present = load_authorities(ceremony.layout.pki)
    assert _certificates(ceremony.layout.tls("client") / "trust.pem") == [present["infrastructure"], present["infrastructure.2"]]
    assert _certificates(ceremony.layout.pki / "roots.pem") == [present["root"], present["root.2"]]
    assert _certificates(ceremony.layout.pki / "seals-chain.pem") == [present[name] for name in ("seals", "seals.2", "root", "root.2")]
    expected = [one for name in ("seals", "seals.2") for one in load_hierarchy(ceremony.layout.pki).certificates_of(name)]
    assert len(expected) == 4 and _certificates(ceremony.layout.pki / "seals-cas.pem") == expected


def test_every_authority_has_a_chain_to_every_root(ceremony: Ceremony) -> None:
    hierarchy = load_hierarchy(ceremony.layout.pki)
    for role in ISSUING:
        for name in (role, f"{role}.2"):
            found = chains(hierarchy.authorities[name], hierarchy)
            assert {chain.root for chain in found} == {"root", "root.2"}
            assert len(found[0].steps) == 1, "the shortest comes first"


def test_successors_are_listed_with_the_declared_keys(ceremony: Ceremony) -> None:
    listed = {key.label: key.algorithm for key in keyring.successors(ceremony.layout)}
    assert listed == {"ca.root.2": "rsa-4096", "ca.seals.2": "rsa-3072", "ca.infrastructure.2": "p-256"}
    declared = inventory.load()
    assert declared.declaration("ca", "ca.seals.1") is None and declared.declaration("ca", "ca.root.2") is None


@pytest.mark.parametrize("generation", [1, 4])
def test_generations_follow_one_another(ceremony: Ceremony, generation: int) -> None:
    with pytest.raises(VermilionError) as refused:
        rollover.roll(ceremony.layout, ceremony.office, "seals", generation=generation)
    assert refused.value.code is Code.CONFLICT


def _files(layout: Layout) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in layout.pki.glob("*.pem")}


def _certificates(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_revoked_infrastructure_ca_is_trusted_no_more_and_the_last_one_stays(ceremony: Ceremony) -> None:
    """Whoever it certified is due for a certificate of its successor."""
    layout, present = ceremony.layout, load_authorities(ceremony.layout.pki)
    folder = layout.tls("client")
    request = layout.ceremony / "client.csr"
    request.write_bytes(identities.request(folder, "https://vermilion.internal/client/x", server=False))
    order = {"profile": "client", "request": request, "out": folder / "cert.pem", "uri": "https://vermilion.internal/client/x"}
    toml.write(layout.ceremony / "orders.toml", {"order": [{**order, "generation": 1}]})
    issue = ("ca.ceremony", "issue", "--config", authorities.settings_file(ceremony, "ca"), "--orders", layout.ceremony / "orders.toml")
    run(*issue)
    assert identities.current(folder, ceremony.clock.now())
    revoking.revoke(layout, ceremony.office, "infrastructure", "cACompromise")
    assert _certificates(folder / "trust.pem") == [present["infrastructure.2"]]
    assert not identities.current(folder, ceremony.clock.now())
    for root in ("root", "root.2"):
        assert len(x509.load_der_x509_crl((layout.pki / f"{root}.crl").read_bytes())) == 1, "its own certificate; its cross certificate"
    with pytest.raises(VermilionError) as refused:
        revoking.revoke(layout, ceremony.office, "infrastructure.2", "cACompromise")
    assert refused.value.code is Code.CONFLICT and "rollover infrastructure" in refused.value.rule
    assert _certificates(folder / "trust.pem") == [present["infrastructure.2"]]
