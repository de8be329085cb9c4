"""Whatever asks a server over HTTP meets one that means no good: it says so by a typed fault, in bounded memory and time.

A caller is named by what it asks for. Each is met by every kind of attack; the client's own tests know many more of each kind.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ledger import witness_link
from ledger.settings import WitnessOfLog
from longterm import sources as longterm
from sealcore.clock import SystemClock
from sealcore.errors import VermilionError
from sealcore.ids import uuid7
from sealcore.platform import revocation
from sealcore.platform.ledger import sources as log
from sealcore.protocol.signed_note import SignedCheckpoint
from signer.register.model import Seal
from signer.settings import OutsideCaSettings
from signer.status import revocation as seal_status
from signer.status import sources as outside
from signer.status.answers import Link
from tests.pki import InfrastructureCa
from tests.support import hostile
from tests.support.hostile import ENDLESS, OK, SLOW, Hostile, Script, says
from tests.vectors.load import vectors
from timestamp.client.settings import HttpSource
from timestamp.client.tsa import Tsa
from verify import crls
from verify.trust import TrustMaterial
from vermilion.cli.ca import status as ca_status
from vermilion.cli.common import Here
from vermilion.client import rest
from vermilion.operation import doctor
from vermilion.state.layout import Layout
from vermilion.state.office import Office
from vermilion.use_cases import verifying

MEMORY: Final = 24 * 1024 * 1024  # less than a bomb unpacked; more than the limit of any caller in these tests
SHORT_S: Final = 0.3
LIMITS: Final = [
    *((longterm, name) for name in ("MOST_CRL_BYTES", "MOST_CERTIFICATE_BYTES")),
    *((crls, "MOST_CRL_BYTES"), (revocation, "LARGEST_CRL_BYTES"), (seal_status, "LARGEST_CRL_BYTES"), (rest, "MOST_BYTES")),
    *((verifying, "MOST_REPORT_BYTES"), (ca_status, "MOST_METRICS_BYTES")),
]
TIMES: Final = [
    *(
        (longterm, "TOTAL_S"),
        (longterm, "_STEP_S"),
        (crls, "FETCH_TIMEOUT_S"),
        (revocation, "FETCH_TIMEOUT_S"),
        (witness_link, "TIMEOUT_S"),
    ),
    *(
        (seal_status, "FETCH_TIMEOUT_S"),
        (rest, "TIMEOUT_S"),
        (verifying, "TIMEOUT_S"),
        (doctor, "READY_TIMEOUT_S"),
        (ca_status, "TIMEOUT_S"),
    ),
]


@dataclass(frozen=True)
class World:
    """A CA, and a folder."""

    ca: InfrastructureCa
    folder: Path

    @property
    def pem(self) -> Path:
        """The CA's certificates, it first."""
        file = self.folder / "chain.pem"
        file.write_bytes(self.ca.certificate.public_bytes(Encoding.PEM) + self.ca.root.public_bytes(Encoding.PEM))
        return file

    @property
    def leaf(self) -> x509.Certificate:
        """A certificate by it."""
        return x509.load_pem_x509_certificates(self.ca.identity("leaf", None).certificate_file.read_bytes())[0]

    def office(self, url: str) -> tuple[Layout, Office]:
        """An office all of whose services are this server."""
        port = int(url.rpartition(":")[2])
        ports = dict.fromkeys(("verify", "verify_metrics", "ocsp_metrics"), port)
        return Layout.at(self.folder / "state"), Office(name="Office", name_english="Office", slug="office", unit="Office", ports=ports)


def _crl_of_a_proof(_world: World, url: str) -> None:
    longterm.Sources([url.partition("://")[2]]).crl(url + "/ca.crl")


def _issuer_of_a_proof(_world: World, url: str) -> None:
    longterm.Sources([url.partition("://")[2]]).certificate(url + "/ca.cer")


def _outside_crl(world: World, url: str) -> None:
    settings = OutsideCaSettings(crl_urls=(url + "/ca.crl",), timeout_s=SHORT_S)
    outside.Sources(settings, SystemClock()).ask(Link(world.leaf, world.ca.certificate))


def _outside_ocsp(world: World, url: str) -> None:
    settings = OutsideCaSettings(ocsp_urls=(url,), timeout_s=SHORT_S)
    outside.Sources(settings, SystemClock()).ask(Link(world.leaf, world.ca.certificate))


def _verification_crl(world: World, url: str) -> None:
    (world.folder / "root.pem").write_bytes(world.ca.root.public_bytes(Encoding.PEM))
    trust = TrustMaterial.load(world.folder / "root.pem", world.pem)
    store = crls.CrlStore(trust, [url + "/a.crl"], None)
    store.refresh()
    assert not store.current()


def _log(_world: World, url: str) -> None:
    log.HttpSource(url, timeout_s=SHORT_S).fetch("checkpoint", 4096)


def _infrastructure_crl(world: World, url: str) -> None:
    tls = world.ca.identity("peer", None).model_copy(update={"crl_urls": (url,), "crl_cache": world.folder / "cache"})
    watch = revocation.CrlWatch(tls, SystemClock())
    assert not watch.refresh()
    watch.require_current()


def _crl_of_a_seal(world: World, url: str) -> None:
    leaf, ca = world.leaf, world.ca.certificate
    chain = tuple(one.public_bytes(Encoding.DER) for one in (ca, world.ca.root))
    seal = Seal(uuid7(), "Office", "official", "seal", leaf.public_bytes(Encoding.DER), chain, (), {})
    seal_status.SealRevocations(world.pem, url, SystemClock()).assert_good(seal)


def _witness(_world: World, url: str) -> None:
    known = vectors("checkpoint")
    link = witness_link.WitnessLink(WitnessOfLog(url=url, key=known["witness_key"]))
    link.cosign(SignedCheckpoint.parse(known["signed"].encode()), lambda _old, _new: ())


def _tsa(world: World, url: str) -> None:
    async def stamp() -> None:
        settings = HttpSource(name="tsa", url=url, anchors_file=world.pem, read_s=SHORT_S, total_s=SHORT_S)
        await Tsa(settings, SystemClock()).stamp(hashlib.sha256(b"").digest())

    asyncio.run(stamp())


def _workflow(world: World, url: str) -> None:
    rest.Rest(url, world.ca.identity("operator", None)).get("/v1/forms")


def _verification(world: World, url: str) -> None:
    file = world.folder / "a.pdf"
    file.write_bytes(b"%PDF-1.7")
    with verifying.Verifier(*world.office(url)) as verifier:
        verifier.report(file)


def _readiness(world: World, url: str) -> None:
    _layout, office = world.office(url)
    assert doctor.failing_parts(office, "verify")


def _metrics(world: World, url: str) -> None:
    assert ca_status._responder(Here(*world.office(url))) == {}


CALLERS: Final[dict[str, Callable[[World, str], None]]] = {
    "the CRL of a proof": _crl_of_a_proof,
    "the issuer of a proof": _issuer_of_a_proof,
    "an outside CA's CRL": _outside_crl,
    "an outside CA's OCSP": _outside_ocsp,
    "verification's CRL": _verification_crl,
    "the public log": _log,
    "the infrastructure's CRL": _infrastructure_crl,
    "the CRL of a seal": _crl_of_a_seal,
    "the log's witness": _witness,
    "a TSA": _tsa,
    "the workflow": _workflow,
    "verification": _verification,
    "readiness": _readiness,
    "metrics": _metrics,
}
QUIET: Final = frozenset({"verification's CRL", "readiness"})  # which say it in their log or result


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(InfrastructureCa(tmp_path / "ca"), tmp_path)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in TIMES:
        monkeypatch.setattr(module, name, SHORT_S, raising=False)


@pytest.fixture
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in LIMITS:
        monkeypatch.setattr(module, name, 1024 * 1024, raising=False)


@cache
def bombs() -> dict[str, bytes]:
    return dict(hostile.bombs())


def meet(caller: str, world: World, script: Script) -> Hostile:
    """The server, after the caller was told by a typed fault, or said so itself, that there is no answer; in bounded memory."""
    tls = None
    if caller == "the workflow":
        served = world.ca.identity("server", None)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(served.certificate_file, served.key_file)
    with Hostile(script, tls) as server:
        tracemalloc.start()
        try:
            if caller in QUIET:
                CALLERS[caller](world, server.url)
            else:
                with pytest.raises(VermilionError) as refused:
                    CALLERS[caller](world, server.url)
                assert refused.value.way_out and "s3cret" not in str(refused.value)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak_bytes < MEMORY
    return server


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("bomb", ["stacked gzip", "deflate"])
def test_a_bomb_is_not_unpacked(world: World, caller: str, bomb: str) -> None:
    assert meet(caller, world, says(bombs()[bomb])).connections


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.usefixtures("_strict", "_impatient")
def test_an_answer_without_end_is_cut_off(world: World, caller: str) -> None:
    assert meet(caller, world, ENDLESS["chunks"]).whole == 0


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.usefixtures("_impatient")
def test_an_answer_that_drips_is_left(world: World, caller: str) -> None:
    assert meet(caller, world, SLOW["header"]).whole == 0


@pytest.mark.parametrize("caller", CALLERS)
def test_nobody_is_sent_elsewhere(world: World, caller: str) -> None:
    with Hostile(says(OK + b"Content-Length: 0\r\n\r\n")) as elsewhere:
        for place in (elsewhere.url, "file:///etc/passwd"):
            meet(caller, world, says(b"HTTP/1.1 307 There\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % place.encode()))
        assert elsewhere.connections == 0


@pytest.mark.parametrize("caller", CALLERS)
def test_no_proxy_is_taken_from_the_environment(world: World, caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hostile(says(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
            monkeypatch.setenv(name.upper(), proxy.url)
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("NO_PROXY", "")
        meet(caller, world, says(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
        assert proxy.connections == 0
