"""The register over the wire: officers stop, quorums resume and change, and what was altered behind its back is found at start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import create_engine, text

from protos.vermilion.v1 import ledger_pb2, signer_pb2
from sealcore.clock import SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, service_uri, uuid7
from sealcore.platform.config import load
from sealcore.protocol.canonical import b64url
from sealcore.protocol.signed_note import Checkpoint, cosign, log_key, sign_checkpoint, witness_key
from signer.app import build
from signer.settings import SignerSettings
from signer.tables import metadata
from tests.signer.acting import OPERATOR, change, perform, refused_act, sealing, stop
from tests.signer.office import document, person, picture, spki
from tests.signer.station import Station, typed

WORKFLOW = service_uri("workflow")


@pytest.fixture
def fresh(own_station: Station) -> Iterator[Station]:
    """A running signer of this test's own."""
    with own_station.running():
        yield own_station


def state(station: Station, kind: str = "contract") -> tuple[str, int]:
    """State and epoch of a seal."""
    record = typed(lambda: station.register().GetSeal(signer_pb2.GetSealRequest(id=station.office.seals[kind].id)))
    return record.state, record.epoch


def test_an_officer_stops_a_seal_and_the_quorum_resumes_it(fresh: Station) -> None:
    office, seal = fresh.office, fresh.office.seals["contract"].id
    order = office.stop("seal", seal)
    stopped = stop(fresh, order)
    assert state(fresh) == ("suspended", 1)
    assert sealing(fresh) is Code.SEAL_SUSPENDED
    assert sealing(fresh, seal="official") is None
    assert refused_act(fresh, office.act("resume", {}, sub=OPERATOR, seal="contract", by=[office.bo])) is Code.QUORUM_NOT_MET
    token = office.act("resume", {}, sub=OPERATOR, seal="contract")
    assert refused_act(fresh, token, uri=service_uri("workflow")) is Code.SUBJECT_MISMATCH
    index = perform(fresh, token)
    assert state(fresh) == ("active", 2)
    assert perform(fresh, token) == index
    assert sealing(fresh) is None
    again = stop(fresh, order)  # the officer's old order, sent again by who kept a copy
    assert again.ledger_index == stopped.ledger_index
    assert state(fresh) == ("active", 2)


def test_a_stop_needs_an_officer_and_a_signature_of_today(station: Station) -> None:
    office, seal = station.office, station.office.seals["contract"].id
    forged = office.stop("seal", seal)
    forged.reason = "another"
    old = office.stop("seal", seal)
    old.time = "2020-01-01T00:00:00Z"
    for order, code in (
        (office.stop("seal", seal, officer=office.bo), Code.APPROVER_UNKNOWN),
        (office.stop("seal", seal, officer=person("officer")), Code.APPROVER_UNKNOWN),
        (office.stop("seal", uuid7()), Code.SEAL_UNKNOWN),
        (forged, Code.DECISION_INVALID),
        (old, Code.INVALID_ARGUMENT),
        (signer_pb2.StopRequest(), Code.INVALID_ARGUMENT),
    ):
        with pytest.raises(VermilionError) as refused:
            stop(station, order)
        assert refused.value.code is code
    assert state(station)[0] == "active"


def test_resuming_needs_a_certificate_that_is_not_revoked(fresh: Station) -> None:
    office = fresh.office
    stop(fresh, office.stop("seal", office.seals["contract"].id))
    serial = office.seals["contract"].certificate.serial_number
    office.ca.revoked.append(serial)
    try:
        assert refused_act(fresh, office.act("resume", {}, sub=OPERATOR, seal="contract")) is Code.CERTIFICATE_REVOKED
    finally:
        office.ca.revoked.remove(serial)
    assert state(fresh)[0] == "suspended"


def test_resuming_while_the_crl_cannot_be_had_is_refused(sqlite_station: Callable[..., Station]) -> None:
    station = sqlite_station(trust={"seals_crl_url": "http://127.0.0.1:9/none.crl"})
    office = station.office
    with station.running():
        stop(station, office.stop("seal", office.seals["contract"].id))
        assert refused_act(station, office.act("resume", {}, sub=OPERATOR, seal="contract")) is Code.REVOCATION_UNAVAILABLE


def test_an_active_seal_is_not_resumed_and_a_foreign_one_is_unknown(station: Station) -> None:
    office = station.office
    assert refused_act(station, office.act("resume", {}, sub=OPERATOR, seal="official")) is Code.CONFLICT
    assert (
        refused_act(station, office.act("resume", {"seal": office.seals["contract"].id}, sub=OPERATOR, seal="official"))
        is Code.ACTION_MISMATCH
    )


def test_a_withdrawn_grant_covers_nothing_more(station: Station) -> None:
    office = station.office
    grant = office.grant(5)
    stop(station, office.stop("grant", grant.claims.jti))
    with pytest.raises(VermilionError) as refused:
        station.stream(grant.token, [])
    assert refused.value.code is Code.GRANT_WITHDRAWN


def test_people_and_issuers_come_and_go_by_acts_of_the_quorum(fresh: Station) -> None:
    office = fresh.office
    eve = person("approver")
    assert sealing(fresh, by=[office.bo, eve]) is Code.APPROVER_UNKNOWN
    perform(fresh, change(fresh, "person_add", **eve.as_seed()))
    assert sealing(fresh, by=[office.bo, eve]) is None
    twice = {**eve.as_seed(), "id": uuid7()}
    assert refused_act(fresh, change(fresh, "person_add", **twice)) is Code.CONFLICT
    perform(fresh, change(fresh, "person_remove", id=eve.id))
    assert sealing(fresh, by=[office.bo, eve]) is Code.APPROVER_UNKNOWN
    second = ec.generate_private_key(ec.SECP256R1())
    perform(fresh, change(fresh, "issuer_add", public_key=b64url(spki(second.public_key()))))
    approved = office.approve([document("By the second issuer")])
    token = office.encode(approved.claims, issuer=second)
    assert 0 in fresh.stream(token, approved.items).sealed
    people = typed(lambda: fresh.register().ListPeople(signer_pb2.ListPeopleRequest()))
    assert people.register_quorum == 2
    assert {one.id: one.active for one in people.people}[eve.id] is False


def test_who_is_shut_out_is_told_to_who_governs_and_to_the_client_itself(fresh: Station) -> None:
    """The workflow refuses approvals by it; no client learns of the others."""
    office, other = fresh.office, client_uri(uuid7())

    def told(uri: str) -> list[str]:
        return list(typed(lambda: fresh.register(uri).ListPeople(signer_pb2.ListPeopleRequest())).shut_out)

    assert told(WORKFLOW) == []
    for client in (other, office.client):
        perform(fresh, change(fresh, "client_stop", client=client))
    assert told(WORKFLOW) == told(OPERATOR) == sorted([other, office.client])
    assert told(office.client) == [office.client]
    perform(fresh, change(fresh, "client_allow", client=office.client))
    assert told(WORKFLOW) == [other] and told(office.client) == []


def test_pictures_come_with_the_act_that_names_them(fresh: Station) -> None:
    seal = fresh.office.seals["contract"].id
    other = picture(inset=20)
    token = change(fresh, "seal_picture_add", id=seal, picture=hashlib.sha256(other).hexdigest())
    assert refused_act(fresh, token) is Code.ATTACHMENT_MISSING
    assert refused_act(fresh, token, other + b" ") is Code.ATTACHMENT_UNNAMED
    assert refused_act(fresh, token, other, b"a stowaway") is Code.ATTACHMENT_UNNAMED
    unreadable = b"no picture"
    odd = change(fresh, "seal_picture_add", id=seal, picture=hashlib.sha256(unreadable).hexdigest())
    assert refused_act(fresh, odd, unreadable) is Code.DOCUMENT_DAMAGED
    perform(fresh, token, other)
    got = typed(lambda: fresh.register().GetPicture(signer_pb2.GetPictureRequest(picture_sha256=hashlib.sha256(other).digest())))
    assert (got.pdf, got.width_millipoints, got.height_millipoints) == (other, 119_000, 119_000)
    with pytest.raises(VermilionError) as refused:
        typed(lambda: fresh.register().GetPicture(signer_pb2.GetPictureRequest(picture_sha256=bytes(32))))
    assert refused.value.code is Code.NOT_FOUND


def test_a_change_that_makes_no_sense_changes_nothing(station: Station) -> None:
    seal = station.office.seals["contract"].id
    for name, parameters in (
        ("anything", {}),
        ("person_add", {"id": "x"}),
        ("person_add", {**person("approver").as_seed(), "roles": ["king"]}),
        ("seal_quorum", {"id": seal, "quorum": ["seal:two"]}),
        ("seal_content", {"id": seal, "content_policy": "none"}),
        ("register_quorum", {"least_persons": 0}),
        ("seal_certificate", {"id": seal, "certificate": "AA", "chain": ["AA"]}),
        ("template_add", {"template": "x", "fields": [], "pdf": "x"}),
    ):
        assert refused_act(station, change(station, name, **parameters)) is Code.INVALID_ARGUMENT, name


def test_the_seed_is_sown_once(own_station: Station) -> None:
    own_station.seed()  # the same again: nothing happens
    other = own_station.folder / "other.json"
    other.write_text(json.dumps({**own_station.office.seed(), "office": "Another"}), "utf-8")
    done = own_station.ceremony("--seed", str(other), "--attachments", str(own_station.folder / "attachments"))
    assert done.returncode == 1
    assert "CONFLICT" in done.stderr


def test_a_seed_of_another_form_is_refused_by_name(sqlite_station: Callable[..., Station]) -> None:
    station = sqlite_station()
    for content, word in ((b"[]", "INVALID_ARGUMENT"), (b"{}", "INVALID_ARGUMENT"), (b"\xff", "cannot be read")):
        seed = station.folder / "odd.json"
        seed.write_bytes(content)
        done = station.ceremony("--seed", str(seed))
        assert (done.returncode, word in done.stderr) == (1, True), done.stderr


def test_after_a_restore_no_earlier_token_counts(own_station: Station) -> None:
    approved = own_station.office.approve([document("Before")])
    done = own_station.ceremony("--restored-at", "2099-01-01T00:00:00Z")
    assert done.returncode == 0, done.stderr
    with own_station.running():
        told = typed(lambda: own_station.register().ListPeople(signer_pb2.ListPeopleRequest()))  # by it the workflow refuses approvals
        assert told.restored_at == int(datetime.fromisoformat("2099-01-01T00:00:00Z").timestamp())
        with pytest.raises(VermilionError) as refused:
            own_station.seal(approved)
    assert refused.value.code is Code.TOKEN_BEFORE_RESTORE
    assert approved.claims.jti in refused.value.reason


ALTERATIONS = {
    "a lower quorum": ("UPDATE register_records SET value = replace(value, '\"seal\":2', '\"seal\":0') WHERE kind = 'seal'", "REGISTER"),
    "a person added": ("INSERT INTO register_records (kind, id, value) VALUES ('person', 'x', '{}')", "REGISTER"),
    "a person removed": ("DELETE FROM register_records WHERE kind = 'person'", "REGISTER"),
    "a stop undone": ("UPDATE epochs SET epoch = 0 WHERE kind = 'seal'", "REGISTER"),
    "an act altered": ("UPDATE register_acts SET evidence = replace(evidence, 'Example Office', 'Another Office')", "REGISTER"),
    "an act deleted": ("DELETE FROM register_acts WHERE number = 1", "REGISTER"),
    "a use deleted": ("DELETE FROM uses WHERE state = 'sealed'", "REGISTER"),
    "a use opened again": ("UPDATE uses SET state = 'intended', ledger_index = NULL", "REGISTER"),
    "attempts lowered": ("UPDATE uses SET attempt = 0", "REGISTER"),
    "an entry deleted": ("DELETE FROM ledger_entries WHERE kind = 'seal'", "LEDGER"),
    "an entry moved": ('UPDATE ledger_entries SET "index" = "index" + 7 WHERE kind = \'seal\'', "LEDGER"),
    "an entry relabelled": ("UPDATE ledger_entries SET kind = 'audit' WHERE kind = 'seal'", "LEDGER"),
    "the head turned back": ("UPDATE ledger_head SET size = 0", "LEDGER"),
}


def test_a_database_altered_behind_the_signers_back_is_found_at_start(own_station: Station) -> None:
    """Each alteration is made on the same database and taken back: the signer starts only over what agrees."""
    with own_station.running():
        own_station.seal(own_station.office.approve([document("One")]))
        stop(own_station, own_station.office.stop("seal", own_station.office.seals["official"].id))
    engine = create_engine(own_station.database_url)
    settings = load(own_station.config, SignerSettings)
    for name, (statement, family) in ALTERATIONS.items():
        saved = {
            table: _rows(engine, table)
            for table in ("register_records", "epochs", "register_acts", "uses", "ledger_entries", "ledger_head")
        }
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        with pytest.raises(VermilionError) as refused:
            build(settings, clock=SystemClock())
        assert refused.value.code in {Code.REGISTER_INCONSISTENT, Code.LEDGER_INCONSISTENT}, name
        assert family in refused.value.code, name
        for table, rows in saved.items():
            _put_back(engine, table, rows)
    engine.dispose()
    with own_station.running():
        assert sealing(own_station) is None


def _rows(engine: Any, table: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()]


def _put_back(engine: Any, table: str, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(text(f"DELETE FROM {table}"))
        if rows:
            connection.execute(metadata.tables[table].insert(), rows)


def test_a_ledger_behind_its_checkpoint_or_beside_it_does_not_start(own_station: Station) -> None:
    log, witness = ed25519.Ed25519PrivateKey.generate(), ed25519.Ed25519PrivateKey.generate()
    log_name, witness_name = (
        make(name, key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        for make, name, key in ((log_key, "vermilion.test/ledger", log), (witness_key, "vermilion.test/witness", witness))
    )
    file = own_station.folder / "checkpoint"
    own_station.extra["checkpoint"] = {"file": str(file), "log_key": str(log_name), "witness_key": str(witness_name)}
    own_station.write_config()
    with own_station.running():  # no checkpoint yet
        head = typed(lambda: own_station.ledger(service_uri("ledger")).Head(ledger_pb2.HeadRequest()))

    def publish(size: int, root: bytes) -> None:
        signed = sign_checkpoint(Checkpoint(log_name.name, size, root), log_name, log.sign)
        file.write_bytes(signed.with_signatures((cosign(signed.checkpoint, witness_name, 1_800_000_000, witness.sign),)).encode())

    publish(head.size, head.root)
    with own_station.running():
        assert sealing(own_station) is None
    publish(head.size + 5, bytes(32))
    assert "LEDGER_INCONSISTENT" in own_station.refused_start()
    publish(head.size, bytes(32))
    assert "LEDGER_INCONSISTENT" in own_station.refused_start()
    publish(head.size, head.root)
    file.write_bytes(file.read_bytes().replace(b"vermilion.test/ledger", b"vermilion.evil/ledger"))
    assert "LEDGER_INCONSISTENT" in own_station.refused_start()
