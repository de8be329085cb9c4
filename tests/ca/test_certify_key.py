"""The signer has a key of its token certified by the CA's service: a new key gets its certificate, and the ledger its note."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import Engine, func, select

from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Algorithm
from sealcore.platform.db import connect, read
from sealcore.platform.migrate import scripts, upgrade
from signer.api.ca_link import OwnCa
from signer.api.certificate_requests import CertificateRequests
from signer.tables import ledger
from tests.ca.office import Desk, declare
from tests.ca.running import Running
from tests.ca.running import running as running  # noqa: PLC0414  (its fixture)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = connect(f"sqlite:///{tmp_path / 'signer.db'}")
    upgrade(engine, scripts("signer"))
    yield engine
    engine.dispose()


@pytest.mark.parametrize(("label", "key_usage"), [("seal.fresh.1", "content_commitment"), ("tsa.fresh.1", "digital_signature")])
def test_key_without_a_certificate_gets_one_and_no_second(
    desk: Desk, running: Running, database: Engine, label: str, key_usage: str
) -> None:
    key = desk.token.generate(label, Algorithm.P256)
    declare(running.pki, "signer", {label: key.spki_der})

    async def make(wanted: str, common_name: str, organization: str) -> bytes:
        return certificate_request(desk.token.key(wanted), common_name, organization=organization or None)

    async def certify(common_name: str) -> list[x509.Certificate]:
        with ThreadPoolExecutor(1) as executor:
            requests = CertificateRequests(
                make,
                declared=[label],
                database=database,
                ca=OwnCa(running.rpc, running.identities["signer"]),
                executor=executor,
                clock=SystemClock(),
            )
            answer = await requests.certify(label, common_name, "")
        return [x509.load_der_x509_certificate(one) for one in (answer.certificate, *answer.chain)]

    leaf, issuing, root = asyncio.run(certify("示範章"))
    assert key.spki_der in leaf.tbs_certificate_bytes
    assert getattr(leaf.extensions.get_extension_for_class(x509.KeyUsage).value, key_usage)
    leaf.verify_directly_issued_by(issuing)
    assert (issuing, root) == (desk.authorities["seals"], desk.authorities["root"])
    with read(database) as connection:
        assert connection.execute(select(func.count()).select_from(ledger.entries)).scalar_one() == 1
    with pytest.raises(VermilionError) as refused:
        asyncio.run(certify("示範章"))
    assert refused.value.code is Code.CONFLICT
