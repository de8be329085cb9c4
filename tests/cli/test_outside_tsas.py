"""How an operator adds an outside TSA: in vermilion.toml; signer, verifier and doctor are told of it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from sealcore.errors import Code, VermilionError
from signer.settings import TimestampSettings
from tests.timestamp.outside import Answer, OpensslCa, Web, pyhanko_tsa
from timestamp.client.settings import HttpSource, OwnSource
from vermilion.operation.doctor import Health, outside_tsas
from vermilion.operation.ports import default_ports
from vermilion.state import toml, tsas
from vermilion.state.layout import Layout
from vermilion.state.office import Office

OFFICE: dict[str, Any] = {"name": "a", "name_english": "a", "slug": "a", "unit": "A", "ports": default_ports()}


def test_it_stands_in_vermilion_toml_and_signer_and_verifier_are_told(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    tsa = {
        "kind": "http",
        "name": "national",
        "url": "https://tsa.example/",
        "anchors_file": "tsa/root.pem",
        "issuers_file": str(tmp_path / "elsewhere.pem"),
        "crl_urls": ["http://tsa.example/root.crl"],
    }
    Office.model_validate({**OFFICE, "timestamp_sources": [tsa, {"kind": "own"}]}).save(layout)
    office = Office.load(layout)
    written = toml.dump({"timestamp": {"source": [tsas.resolved(layout, plan) for plan in office.timestamp_sources]}})
    files = {"certificate_file": "c", "chain_file": "c", "policy_oid": "1.2"}
    settings = TimestampSettings.model_validate(files | tomllib.loads(written)["timestamp"])
    first, second = settings.source
    assert isinstance(first, HttpSource) and isinstance(second, OwnSource)
    assert (first.name, first.anchors_file, first.largest_token_bytes) == ("national", tmp_path / "tsa" / "root.pem", 8192)
    assert tsas.trust(layout, office.timestamp_sources) == {
        "timestamp_anchors_files": [tmp_path / "tsa" / "root.pem"],
        "timestamp_issuers_files": [tmp_path / "elsewhere.pem"],
        "crl_urls": ["http://tsa.example/root.crl"],
    }


def test_an_office_without_any_has_its_own_unit_alone(tmp_path: Path) -> None:
    office = Office.model_validate(OFFICE)
    assert office.timestamp_sources == ()
    assert TimestampSettings(certificate_file=Path("c"), chain_file=Path("c"), policy_oid="1.2").is_own_alone
    assert list(outside_tsas(Layout.at(tmp_path), office)) == []


def test_a_tsa_that_cannot_be_meant_is_named_by_its_field(tmp_path: Path) -> None:
    layout = Layout.at(tmp_path)
    toml.write(layout.office_file, {**OFFICE, "timestamp_sources": [{"kind": "http", "name": "x", "url": "ftp://x/", "anchors_file": "a"}]})
    with pytest.raises(VermilionError) as refused:
        Office.load(layout)
    assert refused.value.code is Code.CONFIGURATION_INVALID
    assert "timestamp_sources.0" in refused.value.reason


def test_doctor_asks_each_for_one_timestamp(tmp_path: Path) -> None:
    ca = OpensslCa(tmp_path / "ca")
    with Web(pyhanko_tsa(ca)) as well, Web(lambda _query: Answer(b"", status=503)) as away:
        sources = [
            {"kind": "http", "name": name, "url": web.url, "anchors_file": "ca/root.pem", "issuers_file": "ca/sub.pem"}
            for name, web in (("well", well), ("away", away))
        ]
        office = Office.model_validate({**OFFICE, "timestamp_sources": sources})
        first, second = outside_tsas(Layout.at(tmp_path), office)
    assert (first.health, second.health) == (Health.WELL, Health.FAULT)
    assert "TSA_REFUSED" in second.what and "HTTP 503" in second.what
    assert (well.requests, away.requests) == (1, 1)
