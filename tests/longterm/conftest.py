"""Fixtures of the tests of augmentation: a small PKI, an augmenter in it, and what pyHanko makes of the result in a far year."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import CollectorRegistry
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESIndeterminate, AdESStatus
from pyhanko.sign.validation import DocumentSecurityStore, ades, async_validate_pdf_signature
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.policy_decl import (
    LocalKnowledge,
    PdfSignatureValidationSpec,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.poe import POEManager, POEType
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from longterm.augmenter import Aim, Augmenter
from longterm.certificates import Chains, certificate
from longterm.collecting import Collector
from longterm.sandbox import Sandbox
from longterm.sources import Sources
from tests.longterm.world import World
from timestamp.client.metrics import SourceMetrics
from timestamp.client.settings import HttpSource
from timestamp.client.source import OutsideTsa
from timestamp.client.sources import TimestampSources

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "documents"


_LOCAL = RevocationInfoGatheringSpec(online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY)


def _policy(world: World) -> CertValidationPolicySpec:
    """Trusts the root. Validation data of PAdES is younger than what it is about: retroactive, or pyHanko asks for older answers as well."""
    revocation = CertRevTrustPolicy(REQUIRE_REVINFO, retroactive_revinfo=True)
    return CertValidationPolicySpec(SimpleTrustManager.build([world.root.asn1]), revocation)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


@pytest.fixture
def ocsp_world() -> Iterator[World]:
    made = World(has_ocsp=True)
    yield made
    made.close()


@pytest.fixture
def invoice() -> bytes:
    return (EXAMPLES / "invoice.pdf").read_bytes()


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    made = Sandbox()
    yield made
    made.close()


@pytest.fixture
def augmenter(tmp_path: Path, sandbox: Sandbox) -> Iterator[Callable[..., Augmenter]]:
    """A function that makes a fresh augmenter in a world, as one run of the command has it."""
    opened: list[Any] = []

    def make(world: World, aim: Aim | None = None, allowed: tuple[str, ...] | None = None) -> Augmenter:
        anchors = tmp_path / "root.pem"
        anchors.write_bytes(world.root.certificate.public_bytes(Encoding.PEM))
        sources = Sources((world.host,) if allowed is None else allowed)
        # A machine under load may take seconds for an answer; what is slow is tried where sources are.
        settings = HttpSource(name="tsa", url=f"{world.url}/tsa", anchors_file=anchors, connect_s=20, read_s=20, total_s=30)
        tsa = TimestampSources([OutsideTsa(settings, world.clock, SourceMetrics(CollectorRegistry()))], within_s=30)
        opened.extend((sources, tsa))
        chains = Chains([certificate(world.root.der)], sources.certificate, sandbox.build)
        return Augmenter(sandbox, chains, Collector(sources, world.clock), tsa, world.clock, aim=aim or Aim())

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def judged() -> Callable[..., Any]:
    """A function: what pyHanko's AdES validation says of a signature at a time, revocation information required throughout.

    It has the document, the root, and, where it is ``archived``, the CRLs that the CAs publish then: they judge the newest timestamp.
    """
    logging.getLogger("pyhanko").setLevel(logging.CRITICAL)

    def judge(world: World, document: bytes, at: datetime, *, index: int = 0, archived: bool = True) -> Any:
        fresh = [CRLContainer(CertificateList.load(der)) for der in (world.crls_at(at) if archived else ())]
        spec = PdfSignatureValidationSpec(SignatureValidationSpec(_policy(world), _LOCAL, local_knowledge=LocalKnowledge(known_crls=fresh)))
        reader = PdfFileReader(BytesIO(document))
        signature = reader.embedded_regular_signatures[index]
        timing = ValidationTimingInfo(at, at, point_in_time_validation=True)
        return asyncio.run(ades.ades_lta_validation(signature, spec, timing_info=timing))

    return judge


def judged_by_its_store(world: World, document: bytes, at: datetime) -> PdfSignatureStatus:
    """pyHanko's validation of a B-LT file, offline: the seal as of its timestamp by the DSS, the timestamp at ``at`` by the CRLs of then."""
    reader = PdfFileReader(BytesIO(document))
    signature = reader.embedded_regular_signatures[0]
    stamped = next(extract_tst_data_iter(signature.signer_info, signed=False))["encap_content_info"]["content"].parsed["gen_time"].native
    options: dict[str, Any] = {
        "trust_roots": [world.root.asn1],
        "revinfo_policy": CertRevTrustPolicy(REQUIRE_REVINFO, retroactive_revinfo=True),
        "allow_fetching": False,
    }
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        store = DocumentSecurityStore(None)
    of_seal = store.as_validation_context({**options, "moment": stamped})
    of_stamp = ValidationContext(moment=at, crls=list(world.crls_at(at)), **options)
    return asyncio.run(async_validate_pdf_signature(signature, of_seal, of_stamp))


def past_valid(world: World, document: bytes) -> bool:
    """Whether pyHanko's past signature validation takes a signature that only a document timestamp dates, two years on.

    (Its validation as a whole asks for a timestamp inside the signature, though ETSI EN 319 142-1 §6.3 lets a document timestamp do.)
    """
    reader = PdfFileReader(BytesIO(document))
    signature, stamp = reader.embedded_regular_signatures[0], reader.embedded_timestamp_signatures[0]
    signature.compute_integrity_info()
    store, poes = DocumentSecurityStore.read_dss(reader), POEManager()
    time = stamp.signed_data["encap_content_info"]["content"].parsed["gen_time"].native
    poes.register(signature.signer_info["signature"].native, POEType.VALIDATION, dt=time)
    certificates = [*store.load_certs(), *signature.other_embedded_certs, signature.signer_cert]
    crls = [CertificateList.load(each.get_object().data) for each in store.crls]
    answers = [OCSPResponse.load(each.get_object().data) for each in store.ocsps]
    for each in (*certificates, *crls, *answers):
        poes.register(each.dump(), POEType.VALIDATION, dt=world.clock.now())
    containers = [one for each in answers for one in OCSPContainer.load_multi(each)]
    knowledge = LocalKnowledge(known_crls=[CRLContainer(each) for each in crls], known_ocsps=containers, known_certs=certificates)
    spec = SignatureValidationSpec(_policy(world), _LOCAL, local_knowledge=knowledge)
    past = ades.ades_past_signature_validation(
        signature.signed_data, spec, poes, AdESIndeterminate.OUT_OF_BOUNDS_NO_POE, init_control_time=world.clock.now() + timedelta(days=730)
    )
    return asyncio.run(past).status is AdESStatus.PASSED
