"""Acts that cannot be carried out, or after which nobody could act, are refused by name: before they are approved, and at Perform."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, uuid7
from sealcore.protocol.canonical import b64url, canonical_json
from sealcore.protocol.token import key_id
from signer.acts.changes import seeded
from signer.register.meetable import require_meetable
from signer.register.model import Register
from tests.signer.acting import OPERATOR, change, perform, refused_act, stop
from tests.signer.office import Office, person, picture, spki
from tests.signer.station import Station, typed


@pytest.fixture
def fresh(sqlite_station: Any) -> Iterator[Station]:
    """A running signer of this test's own."""
    own: Station = sqlite_station()
    with own.running():
        yield own


def check(station: Station, action: str, parameters: dict[str, Any], *files: bytes, seal: str = "", uri: str = OPERATOR) -> Code | None:
    """What CheckAct says of an act; None when nothing speaks against it."""
    request = signer_pb2.CheckActRequest(action=action, seal=seal, parameters=canonical_json(parameters).decode("utf-8"), attachments=files)
    try:
        typed(lambda: station.register(uri).CheckAct(request))
    except VermilionError as fault:
        return fault.code
    return None


def both(station: Station, code: Code, name: str, /, *files: bytes, **parameters: Any) -> None:
    """A change is refused with this code before anybody approved it, and when a quorum did."""
    assert check(station, "register", {"change": name, **parameters}, *files) is code, name
    assert refused_act(station, change(station, name, **parameters), *files) is code, name


def test_an_act_that_leaves_a_quorum_nobody_can_meet_is_refused(station: Station) -> None:
    """The office has three approvers and one officer; its seals ask for two of them."""
    office = station.office
    seal = office.seals["contract"]
    official = {**office.seal_record(office.seals["official"]), "id": uuid7()}
    for name, parameters in (
        ("seal_quorum", {"id": seal.id, "quorum": ["seal:9", "resume:2"]}),
        ("seal_quorum", {"id": seal.id, "quorum": ["seal:2", "resume:4"]}),
        ("seal_quorum", {"id": seal.id, "quorum": ["seal:2", "grant-untemplated:64"]}),
        ("register_quorum", {"least_persons": 4}),
        ("register_quorum", {"least_persons": 64}),
        ("seal_add", {**official, "quorum": ["seal:4"]}),
        ("person_remove", {"id": office.dai.id}),  # the only officer
        ("issuer_remove", {"kid": key_id(spki(office.issuer.public_key()))}),  # the only issuer
    ):
        both(station, Code.QUORUM_UNMEETABLE, name, **parameters)


def test_the_last_people_that_a_quorum_needs_are_not_removed(fresh: Station) -> None:
    office = fresh.office
    perform(fresh, change(fresh, "person_remove", id=office.ada.id))  # three approvers, two are asked for
    both(fresh, Code.QUORUM_UNMEETABLE, "person_remove", id=office.bo.id)
    eve = person("approver")
    perform(fresh, change(fresh, "person_add", **eve.as_seed()))
    perform(fresh, change(fresh, "person_remove", id=eve.id))


def test_an_action_that_no_seal_knows_is_refused_by_its_own_code(station: Station) -> None:
    seal = station.office.seals["contract"].id
    for action in ("grant", "fly", "", "SEAL", "register seal"):
        both(station, Code.ACTION_UNKNOWN, "seal_quorum", id=seal, quorum=["seal:2", f"{action}:1"])


def test_a_parameter_of_another_kind_is_refused_and_no_fault(station: Station) -> None:
    digest, seal = "ab" * 32, station.office.seals["contract"].id
    whole: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("person_remove", "id", {}),
        ("issuer_remove", "kid", {}),
        ("seal_retire", "id", {}),
        ("client_allow", "client", {}),
        ("register_quorum", "least_persons", {}),
        ("seal_content", "content_policy", {"id": seal}),
        ("seal_picture_add", "picture", {"id": seal}),
        ("seal_quorum", "quorum", {"id": seal}),
        ("template_add", "fields", {"template": digest, "pdf": digest}),
    )
    refusals = {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.SEAL_UNKNOWN, Code.ATTACHMENT_MISSING, Code.ACTION_UNKNOWN}
    for name, member, others in whole:
        for wrong in (["x"], [1], -7, "", "x"):
            code = check(station, "register", {"change": name, **others, member: wrong})
            assert code in refusals or (name, wrong) in {("client_allow", ""), ("client_allow", "x")}, (name, wrong, code)


def test_what_check_allows_is_what_perform_does(fresh: Station) -> None:
    office, other = fresh.office, picture(inset=30)
    seal = office.seals["contract"].id
    digest = hashlib.sha256(other).hexdigest()
    acts: list[tuple[dict[str, Any], tuple[bytes, ...]]] = [
        ({"change": "seal_picture_add", "id": seal, "picture": digest}, (other,)),
        ({"change": "seal_quorum", "id": seal, "quorum": ["seal:3", "resume:1"]}, ()),
        ({"change": "client_stop", "client": client_uri("erp")}, ()),
    ]
    for parameters, files in acts:
        assert check(fresh, "register", parameters, *files) is None
        perform(fresh, office.act("register", parameters, sub=OPERATOR), *files)
    assert check(fresh, "register", acts[0][0]) is Code.CONFLICT  # the seal has the picture by now
    assert check(fresh, "resume", {}, seal=seal) is Code.CONFLICT
    stop(fresh, office.stop("seal", seal))
    assert check(fresh, "resume", {}, seal=seal) is None
    assert check(fresh, "resume", {"picture": digest}, seal=seal) is Code.INVALID_ARGUMENT
    assert check(fresh, "resume", {}, other, seal=seal) is Code.ATTACHMENT_UNNAMED


def test_what_is_no_act_of_the_signer_is_refused(station: Station) -> None:
    seal = station.office.seals["contract"].id
    assert check(station, "destroy", {}, seal=seal) is Code.ACTION_MISMATCH
    assert check(station, "register", {"change": "seal_retire", "id": seal}, seal=seal) is Code.ACTION_MISMATCH
    assert check(station, "resume", {}) is Code.ACTION_MISMATCH
    assert check(station, "resume", {}, seal=uuid7()) is Code.SEAL_UNKNOWN
    for text in ("", "[]", '{"b":1,"a":2}', "\ud7ff"):
        with pytest.raises(VermilionError) as refused:
            typed(lambda text=text: station.register(OPERATOR).CheckAct(signer_pb2.CheckActRequest(action="register", parameters=text)))
        assert refused.value.code is Code.INVALID_ARGUMENT
    assert (
        check(station, "register", {"change": "register_quorum", "least_persons": 1}, uri=station.office.client) is Code.PERMISSION_DENIED
    )


def test_a_seed_that_nobody_could_change_any_more_is_refused(tmp_path: Any) -> None:
    office = Office.in_software(tmp_path)
    seed = {"kind": "seed", **office.seed()}
    require_meetable(Register(), seeded(seed))
    for wrong in ({"register_quorum": 4}, {"people": [office.bo.as_seed(), office.dai.as_seed()]}):
        with pytest.raises(VermilionError) as refused:
            require_meetable(Register(), seeded(json.loads(json.dumps(seed | wrong))))
        assert refused.value.code is Code.QUORUM_UNMEETABLE


def test_a_register_that_is_short_of_people_is_mended_in_steps(tmp_path: Any) -> None:
    """An office from before this rule may lack approvers: what makes it no worse goes through."""
    office = Office.in_software(tmp_path)
    short = seeded({"kind": "seed", **office.seed(), "register_quorum": 8})
    better = seeded(
        {"kind": "seed", **office.seed(), "register_quorum": 8, "people": [*office.seed()["people"], person("approver").as_seed()]}
    )
    require_meetable(short, better)
    with pytest.raises(VermilionError) as refused:
        require_meetable(better, short)
    assert refused.value.code is Code.QUORUM_UNMEETABLE


def test_a_new_seal_is_for_a_key_that_the_token_has_under_its_label(station: Station) -> None:
    """Otherwise it was approved, and then sealed nothing."""
    office = station.office
    certificate = office.ca.seal("New Ltd", ec.generate_private_key(ec.SECP256R1()).public_key()).public_bytes(Encoding.DER)
    new = {**office.seal_record(office.seals["contract"]), "id": uuid7(), "certificate": b64url(certificate), "pictures": []}
    for label, code in (("seal.nothing.1", Code.NOT_FOUND), (office.seals["contract"].label, Code.INVALID_ARGUMENT)):
        assert check(station, "register", {"change": "seal_add", **new, "key_label": label}) is code
    assert check(station, "register", {"change": "seal_add", **new, "name": "Ex\u0430mple Ltd"}) is Code.TEXT_DECEPTIVE
    again = {**office.seal_record(office.seals["contract"]), "id": uuid7()}
    both(station, Code.CONFLICT, "seal_add", **again)  # a key has one seal
