"""What a seal certifies: data of the register, by its kind where no act has said it, changed by an act, and the bounds of a grant."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pikepdf
import pytest

from protos.vermilion.v1 import signer_pb2
from sealcore.errors import Code, VermilionError
from sealcore.ids import operator_uri
from sealcore.protocol.leaf import Certification, Placement
from signer.acts.changes import changed, seeded
from signer.acts.narrowing import raised_where_narrower
from signer.register.model import SEAL_KINDS, Register
from tests.signer.office import Office, document, grant_request, item_message
from tests.signer.station import Station, typed

OPERATOR = operator_uri("test")
FINAL, FORM_FILL, NONE = Certification.FINAL, Certification.FORM_FILL, Certification.NONE


def _register(office: Office, **said: str) -> Register:
    """The office's register, its seals seeded with (or without) a certification."""
    seed = {**office.seed(), "kind": "seed"}
    seed["seals"] = [{name: value for name, value in seal.items() if name != "certification"} | said for seal in seed["seals"]]
    return seeded(seed)


def test_a_seal_of_which_nobody_said_it_certifies_by_its_kind_and_never_nothing(office: Office) -> None:
    (some, *_) = _register(office).seals.values()
    by_kind = {kind: replace(some, kind=kind).certifies for kind in SEAL_KINDS}
    ending = {kind for kind, certification in by_kind.items() if certification == FINAL}
    assert ending == {"official", "finance", "invoice"} and NONE not in by_kind.values()


def test_the_records_of_an_office_made_before_stay_as_they_were(office: Office) -> None:
    """They are compared with what its acts add up to when the signer starts."""
    seals = [record for (kind, _id), record in _register(office).records().items() if kind == "seal"]
    assert seals and all("certification" not in record for record in seals)
    said = [record for (kind, _id), record in _register(office, certification="final").records().items() if kind == "seal"]
    assert {record["certification"] for record in said} == {"final"}


@pytest.mark.parametrize("word", ["final", "form-fill"])
def test_an_act_changes_it_and_ends_what_was_gated_with_the_old_one(office: Office, word: str) -> None:
    before, seal = _register(office), office.seals["contract"].id
    after = changed(before, {"change": "seal_certification", "id": seal, "certification": word})
    assert after.seal(seal).certifies.word == word
    raised = raised_where_narrower(before, after).epoch("seal", seal) - before.epoch("seal", seal)
    assert raised == (word != before.seal(seal).certifies.word)
    assert after.records()["seal", seal]["certification"] == word


@pytest.mark.parametrize("word", ["none", "", "0", "FINAL", "annotate"])
def test_no_act_and_no_seed_makes_it_nothing_or_something_unknown(office: Office, word: str) -> None:
    act = {"change": "seal_certification", "id": office.seals["contract"].id, "certification": word}
    with pytest.raises(VermilionError) as refused:
        changed(_register(office), act)
    assert refused.value.code is Code.INVALID_ARGUMENT
    if word:
        with pytest.raises(VermilionError):
            _register(office, certification=word)


def test_the_act_is_carried_out_by_the_quorum_survives_a_start_and_is_told(own_station: Station) -> None:
    seal = own_station.office.seals["contract"].id
    parameters = {"change": "seal_certification", "id": seal, "certification": "final"}
    alone, quorum = (own_station.office.act("register", parameters, sub=OPERATOR, by=by) for by in ([own_station.office.bo], None))
    with own_station.running():
        with pytest.raises(VermilionError) as refused:
            typed(lambda: own_station.register(OPERATOR).Perform(signer_pb2.PerformRequest(token=alone)))
        assert refused.value.code is Code.QUORUM_NOT_MET and _told(own_station, seal) == "form-fill"
        typed(lambda: own_station.register(OPERATOR).Perform(signer_pb2.PerformRequest(token=quorum)))
        assert _told(own_station, seal) == "final"
    with own_station.running():  # the acts still add up to the records
        assert _told(own_station, seal) == "final"


def _told(station: Station, seal: str) -> str:
    return str(typed(lambda: station.register().GetSeal(signer_pb2.GetSealRequest(id=seal))).certification)


def test_a_grant_seals_nothing_that_is_certified_otherwise_than_its_seal(station: Station) -> None:
    office = station.office
    signed = _sealed(station, office.approve([document("Signed before")]))
    asked = [(document(f"Plain {one.word}"), one) for one in Certification] + [(signed, one) for one in Certification]
    grant = office.grant(10)
    results = station.stream(
        grant.token,
        [item_message(grant_request(at, content, Placement(certification=one))) for at, (content, one) in enumerate(asked)],
    )
    assert sorted(results.sealed) == [2, 3], "the seal's own on what nobody signed; none beside an earlier signature"
    refused = {at: each.code for at, each in results.refused.items()}
    assert refused == {0: Code.GRANT_CERTIFICATION, 1: Code.GRANT_CERTIFICATION, 4: Code.GRANT_CERTIFICATION, 5: Code.DOCUMENT_SIGNED}
    assert _level(asked[2][0] + results.suffixes[2]) == FORM_FILL


def test_a_manifest_says_itself_what_is_certified_none_too(station: Station) -> None:
    for level in Certification:
        approved = station.office.approve([document(f"Approved {level.word}")], placement=Placement(certification=level))
        assert _level(_sealed(station, approved)) == level


def test_a_form_that_asks_to_certify_a_signed_document_is_refused_and_the_rest_goes_on(station: Station) -> None:
    signed = _sealed(station, station.office.approve([document("First")]))
    approved = station.office.approve([signed, document("Second")], placement=Placement(certification=FINAL))
    results = station.stream(approved.token, approved.items)
    assert {at: each.code for at, each in results.refused.items()} == {0: Code.DOCUMENT_SIGNED} and sorted(results.sealed) == [1]
    assert "carries a signature" in results.refused[0].reason and "final" in results.refused[0].reason


def test_nothing_more_is_sealed_under_a_final_seal(station: Station) -> None:
    final = _sealed(station, station.office.approve([document("Final")], placement=Placement(certification=FINAL)))
    with pytest.raises(VermilionError) as refused:
        station.seal(station.office.approve([final]))
    assert refused.value.code is Code.DOCUMENT_LOCKED


def _sealed(station: Station, approved: Any) -> bytes:
    return bytes(approved.documents[0] + station.seal(approved).suffix)


def _level(sealed: bytes) -> Certification:
    """Of the last signature, which the catalog must name as the certifying one."""
    with pikepdf.open(io.BytesIO(sealed)) as pdf:
        signature = pdf.Root.AcroForm.Fields[-1].V
        if "/Reference" not in signature:
            assert "/Perms" not in pdf.Root
            return NONE
        assert pdf.Root.Perms.DocMDP.objgen == signature.objgen
        (reference,) = signature.Reference
        assert reference.TransformMethod == "/DocMDP" and reference.TransformParams.V == "/1.2"
        return Certification(int(reference.TransformParams.P))
