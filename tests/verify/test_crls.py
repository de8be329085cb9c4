"""The CRLs that the service holds: from our own addresses, verified, never replaced by older ones."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from tests.verify.office import NOW, Authority, Office
from verify.crls import CrlStore
from verify.trust import TrustMaterial


def test_a_newer_crl_replaces_an_older_one_and_never_the_other_way(office: Office, web: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = web
    (folder / "order").mkdir()
    store = CrlStore(office.trust(), [f"{base}/order/seals.crl"], tmp_path / "cache")
    seen = []
    for hours_ago in (5, 2, 9):
        crl = office.seals.crl(at=NOW - timedelta(hours=hours_ago))
        (folder / "order" / "seals.crl").write_bytes(crl.public_bytes(Encoding.DER))
        store.refresh()
        seen.append(store.current()[0].last_update_utc)
    assert seen == [NOW - timedelta(hours=hours) for hours in (5, 2, 2)]


def test_what_was_held_survives_a_restart_without_the_ca(office: Office, web: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = web
    (folder / "kept.crl").write_bytes(office.seals.crl().public_bytes(Encoding.DER))
    urls = [f"{base}/kept.crl"]
    CrlStore(office.trust(), urls, tmp_path).refresh()
    (folder / "kept.crl").unlink()
    again = CrlStore(office.trust(), urls, tmp_path)
    again.refresh()
    assert len(again.current()) == 1


def test_a_crl_signed_by_somebody_else_is_not_taken(office: Office, web: tuple[str, Path], tmp_path: Path) -> None:
    base, folder = web
    (folder / "foreign.crl").write_bytes(Office().seals.crl().public_bytes(Encoding.DER))
    (folder / "junk.crl").write_bytes(b"junk")
    store = CrlStore(office.trust(), [f"{base}/foreign.crl", f"{base}/junk.crl", f"{base}/missing.crl"], tmp_path)
    store.refresh()
    assert store.current() == ()


def test_trust_material_comes_from_pem_files(office: Office, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(office.root.identity.pem)
    (tmp_path / "seals.pem").write_bytes(office.seals.identity.pem)
    (tmp_path / "seals.crl").write_bytes(Authority(office.seals.identity).crl().public_bytes(Encoding.PEM))
    trust = TrustMaterial.load(tmp_path / "root.pem", tmp_path / "seals.pem", [tmp_path / "seals.crl"])
    assert trust.roots == (office.root.identity.certificate,) and len(trust.crls) == 1
