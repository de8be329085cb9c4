"""One holder a URI: a second needs the first one's end, and what a holder has falls together."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import select, update

from ca.acts import Acts
from ca.issuance import holders, issue
from ca.issuance.enrolment import enrolment
from ca.issuance.renew import Renewals
from ca.record import serial_text, store
from ca.revocation.change import Change, Kind
from ca.revocation.crl import newest
from ca.revocation.revoke import by_caller
from ca.tables import State, certificates, outbox
from sealcore.errors import Code, VermilionError
from sealcore.ids import client_uri, operator_uri, service_uri, uuid7
from sealcore.platform.db import read, write
from sealcore.platform.peer import Peer
from sealcore.protocol import decision as decisions
from sealcore.protocol.actions import CREATE
from sealcore.protocol.covers import ActCovers
from sealcore.protocol.token import Policy, parse
from tests.ca.office import Desk, software_request
from tests.ca.people import WORKFLOW, People, signs
from tests.support.waiting import until

OPERATOR = operator_uri("test")


@pytest.fixture(name="desk")
def _desk(own_desk: Desk) -> Desk:
    return own_desk


class Enrolling:
    """The CA's acts over a register with two people, on one of its replicas."""

    def __init__(self, desk: Desk, people: People | None = None) -> None:
        self.desk, self.people = desk, people or People()
        self.acts = Acts(desk.engine, desk.revocation, desk.issuance, self.people, clock=desk.clock)
        self.renewals = Renewals(desk.engine, desk.issuance)

    def token(self, uri: str, *, profile: str = "client", name: str = "x", covers: dict[str, Any] | None = None, **about: Any) -> str:
        request = software_request((NameOID.COMMON_NAME, name))
        parameters = covers or enrolment(profile, uri, {"common_name": name}, request).as_json()
        change = Change(Kind.HOLD, "seals", 1)  # stands in no token: the covers are given
        given: dict[str, Any] = {"seal": "", "action": CREATE, "covers": ActCovers(parameters), **about}
        return self.people.token(int(self.desk.clock.now().timestamp()), change, **given)

    def enrol(self, uri: str, **about: Any) -> x509.Certificate:
        issued = self.acts.perform(self.token(uri, **about), WORKFLOW).issued
        assert issued is not None
        return issued

    def renew(self, certificate: x509.Certificate) -> x509.Certificate:
        return self.renewals.renew(peer(certificate), software_request())[1]

    def state(self, certificate: x509.Certificate) -> str:
        with read(self.desk.engine) as connection:
            wanted = select(certificates.c.state).where(certificates.c.serial == serial_text(certificate.serial_number))
            return str(connection.execute(wanted).scalar_one())

    def on_crl(self, certificate: x509.Certificate) -> bool:
        published = newest(self.desk.engine, "infrastructure")
        assert published is not None
        return x509.load_der_x509_crl(published.der).get_revoked_certificate_by_serial_number(certificate.serial_number) is not None


def peer(certificate: x509.Certificate) -> Peer:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Peer(names.get_values_for_type(x509.UniformResourceIdentifier)[0], certificate.serial_number)


def refused(code: Code, call: Callable[[], object]) -> VermilionError:
    with pytest.raises(VermilionError) as refusal:
        call()
    assert refusal.value.code is code, refusal.value
    return refusal.value


@pytest.fixture
def ca(desk: Desk) -> Enrolling:
    return Enrolling(desk)


def test_approved_identity_is_certified_once_as_the_act_says_and_the_ledger_is_told(ca: Enrolling) -> None:
    uri = client_uri(uuid7())
    token = ca.token(uri, name="billing")
    certificate = ca.acts.perform(token, WORKFLOW).issued
    assert certificate is not None and peer(certificate).uri == uri
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "billing"
    ca.people.away = True
    assert ca.acts.perform(token, WORKFLOW).issued is None, "the same token again does nothing more"
    with read(ca.desk.engine) as connection:
        notes = connection.execute(select(outbox).where(outbox.c.form == "TEST-2026-000001")).all()
    assert [(one.kind, one.people) for one in notes] == [("certificate", ",".join(sorted(ca.people.approvers)))]


@pytest.mark.parametrize("profile", ["operator", "device"])
def test_operators_and_machines_are_identities_too(ca: Enrolling, profile: str) -> None:
    uri = f"https://vermilion.internal/{profile}/{uuid7()}"
    assert peer(ca.enrol(uri, profile=profile)).uri == uri
    refused(Code.CONFLICT, lambda: ca.enrol(uri, profile=profile))


def test_nothing_short_of_the_registers_quorum_makes_an_identity(ca: Enrolling) -> None:
    uri = client_uri(uuid7())
    perform = ca.acts.perform
    refused(Code.QUORUM_NOT_MET, lambda: perform(ca.token(uri, by=1), WORKFLOW))
    refused(Code.QUORUM_NOT_MET, lambda: perform(ca.token(uri, by=0), WORKFLOW))
    refused(Code.QUORUM_NOT_MET, lambda: perform(ca.token(uri, policy=Policy("strict", 1, 3)), WORKFLOW))
    refused(Code.SEAL_UNKNOWN, lambda: perform(ca.token(uri, seal=uuid7()), WORKFLOW))
    refused(Code.ISSUER_NOT_PINNED, lambda: perform(ca.token(uri, issuer=ec.generate_private_key(ec.SECP256R1())), WORKFLOW))
    refused(Code.SUBJECT_MISMATCH, lambda: perform(ca.token(uri), OPERATOR))
    refused(Code.AUDIENCE_MISMATCH, lambda: perform(ca.token(uri, aud=service_uri("signer")), WORKFLOW))
    refused(Code.INVALID_ARGUMENT, lambda: perform(ca.token(uri, action="revoke"), WORKFLOW))
    refused(Code.ACTION_MISMATCH, lambda: perform(ca.token(uri, action="register"), WORKFLOW))


def test_decisions_on_one_identity_count_for_no_other_key_uri_or_name(ca: Enrolling) -> None:
    jti, uri = uuid7(), client_uri(uuid7())
    parameters = enrolment("client", uri, {"common_name": "x"}, software_request()).as_json()
    others = {
        "uri": client_uri(uuid7()),
        "common_name": "y",
        "profile": "operator",
        "request": enrolment("client", uri, {"common_name": "x"}, software_request()).as_json()["request"],
    }
    now = int(ca.desk.clock.now().timestamp())
    context = parse(ca.token(uri, covers=parameters, jti=jti)).claims.context
    decided = tuple(decisions.sign(context, one, "approve", now, signs(key)) for one, key in ca.people.approvers.items())
    for member, value in others.items():
        moved = ca.token(uri, covers=parameters | {member: value}, jti=jti, decisions=decided)
        refused(Code.DECISION_INVALID, lambda moved=moved: ca.acts.perform(moved, WORKFLOW))  # type: ignore[misc]


@pytest.mark.parametrize("profile", ["service", "seal", "tsa", "ocsp", "root", "issuing"])
def test_no_act_gives_what_is_no_identity_of_people_or_machines(ca: Enrolling, profile: str) -> None:
    uri = service_uri("signer") if profile == "service" else client_uri(uuid7())
    refused(Code.PERMISSION_DENIED, lambda: ca.enrol(uri, profile=profile))


DECEPTIVE = (
    service_uri("signer"),
    operator_uri("office"),
    client_uri("../service/signer"),
    client_uri("a/b"),
    client_uri("%61cme"),
    client_uri("acme."),
    client_uri(".acme"),
    client_uri("acme-"),
    client_uri("acme\n"),
    client_uri("асme"),
    client_uri("acme\u200b"),
    client_uri("acme?x"),
    client_uri(""),
    "HTTPS://vermilion.internal/client/acme",
    "https://vermilion.internal:443/client/acme",
    "https://vermilion.internal/Client/acme",
    "https://vermilion.internal/client",
    " " + client_uri("acme"),
)


def test_uri_that_is_another_kinds_or_only_looks_like_a_clients_is_refused(ca: Enrolling) -> None:
    for uri in DECEPTIVE:
        with pytest.raises(VermilionError) as refusal:
            ca.enrol(uri)
        assert refusal.value.code in (Code.PROFILE_VIOLATION, Code.INVALID_ARGUMENT), uri


def test_request_that_asks_for_more_than_the_act_names_is_refused(ca: Enrolling) -> None:
    uri = client_uri(uuid7())
    key = ec.generate_private_key(ec.SECP256R1())
    other = x509.UniformResourceIdentifier(service_uri("signer"))
    named = x509.UniformResourceIdentifier(uri)
    for san in ([other], [named, other], [named, x509.DNSName("signer")], [named, x509.RFC822Name("a@b.example")]):
        request = software_request(san=san, key=key)
        refused(Code.INVALID_ARGUMENT, lambda request=request: enrolment("client", uri, {"common_name": "x"}, request))  # type: ignore[misc]
    request = software_request((NameOID.COMMON_NAME, "y"), key=key)
    refused(Code.INVALID_ARGUMENT, lambda: enrolment("client", uri, {"common_name": "x"}, request))


def test_uri_has_one_holder_and_a_second_needs_the_first_ones_end(ca: Enrolling) -> None:
    uri = client_uri(f"acme-{uuid7()}")
    first = ca.enrol(uri)
    for spelled in (uri, uri.replace("acme", "ACME")):
        assert "has a holder" in refused(Code.CONFLICT, lambda spelled=spelled: ca.enrol(spelled)).reason  # type: ignore[misc]
    ca.desk.hold("infrastructure", first.serial_number)
    refused(Code.CONFLICT, lambda: ca.enrol(uri))
    ca.desk.revoke("infrastructure", first.serial_number, "cessationOfOperation")
    second = ca.enrol(uri)
    ca.desk.clock.advance(timedelta(days=31).total_seconds())
    third = ca.enrol(uri)
    assert ca.state(second) == ca.state(third) == State.ISSUED


def test_identity_that_is_kept_back_replaces_no_holder_that_was_thrown_out_later(ca: Enrolling) -> None:
    """Approved before the client came and went, handed over afterwards: who approved knew nothing of why it went."""
    uri = client_uri(uuid7())
    kept_back = ca.token(uri)
    ca.desk.clock.advance(60)
    thrown_out = ca.enrol(uri)
    ca.desk.clock.advance(60)
    ca.desk.revoke("infrastructure", thrown_out.serial_number, "privilegeWithdrawn")
    assert "after the act was approved" in refused(Code.CONFLICT, lambda: ca.acts.perform(kept_back, WORKFLOW)).reason
    act = enrolment("client", uri, {"common_name": "x"}, software_request((NameOID.COMMON_NAME, "x"))).as_json()
    early = int(ca.desk.clock.now().timestamp()) - 90
    refused(Code.CONFLICT, lambda: ca.acts.check("create", "", act, early))
    ca.acts.check("create", "", act, None)
    ca.desk.clock.advance(60)
    assert ca.state(ca.enrol(uri)) == State.ISSUED


def test_identity_is_judged_before_it_is_approved_and_nothing_is_kept(ca: Enrolling) -> None:
    request = software_request((NameOID.COMMON_NAME, "x"))
    act = enrolment("client", client_uri(uuid7()), {"common_name": "x"}, request).as_json()
    with read(ca.desk.engine) as connection:
        before = connection.execute(select(certificates.c.serial, certificates.c.state)).all()
    for _ in range(2):
        ca.acts.check("create", "", act, None)
    with read(ca.desk.engine) as connection:
        assert connection.execute(select(certificates.c.serial, certificates.c.state)).all() == before
    issued = ca.acts.perform(ca.token(act["uri"], covers=act), WORKFLOW).issued
    assert issued is not None
    refused(Code.CONFLICT, lambda: ca.acts.check("create", "", act, None))
    refused(Code.SEAL_UNKNOWN, lambda: ca.acts.check("create", uuid7(), act, None))


def test_old_holders_revocation_leaves_the_new_one_alone(ca: Enrolling) -> None:
    uri = client_uri(uuid7())
    first = ca.enrol(uri)
    ca.desk.revoke("infrastructure", first.serial_number, "superseded")
    second = ca.enrol(uri)
    ca.desk.revoke("infrastructure", first.serial_number, "superseded")
    assert ca.state(second) == State.ISSUED


@pytest.mark.parametrize("which", range(3))
def test_stolen_key_and_all_that_came_of_it_fall_together_whichever_serial_is_named(ca: Enrolling, which: int) -> None:
    stolen = ca.enrol(client_uri(uuid7()))
    thiefs = ca.renew(stolen)
    family = [stolen, thiefs, ca.renew(thiefs)]
    bystander = ca.enrol(client_uri(uuid7()))
    ca.desk.revoke("infrastructure", family[which].serial_number, "keyCompromise", ca.desk.clock.now().replace(microsecond=0))
    assert [ca.state(one) for one in family] == [State.REVOKED] * 3 and all(map(ca.on_crl, family))
    for one in family:
        refused(Code.CERTIFICATE_REVOKED, lambda one=one: ca.renew(one))  # type: ignore[misc]
    assert ca.state(bystander) == State.ISSUED and not ca.on_crl(bystander)


def test_hold_and_release_are_of_the_holder_too(ca: Enrolling) -> None:
    first = ca.enrol(client_uri(uuid7()))
    second = ca.renew(first)
    ca.desk.hold("infrastructure", first.serial_number)
    assert ca.state(second) == State.HELD and ca.on_crl(second)
    refused(Code.CERTIFICATE_REVOKED, lambda: ca.renew(second))
    ca.desk.release("infrastructure", second.serial_number)
    assert ca.state(first) == State.ISSUED and not ca.on_crl(first)


def test_successors_that_outlived_a_revocation_under_older_rules_fall_when_it_is_repeated(ca: Enrolling) -> None:
    stolen = ca.enrol(client_uri(uuid7()))
    thiefs = ca.renew(stolen)
    with write(ca.desk.engine) as connection:
        row = certificates.c.serial == serial_text(stolen.serial_number)
        old = {"state": State.REVOKED, "revoked_at": "2026-01-01T00:00:00Z", "reason": "keyCompromise"}
        connection.execute(update(certificates).where(row).values(old))
    ca.desk.revoke("infrastructure", stolen.serial_number, "keyCompromise")
    assert ca.state(thiefs) == State.REVOKED


def test_of_certificates_that_an_earlier_release_gave_for_one_uri_none_renews_until_all_have_ended(ca: Enrolling) -> None:
    """An operator had a second one, under another key, before URIs had one holder: who of the two is right cannot be told any more."""
    uri = client_uri(uuid7())
    rightful, bystander = ca.enrol(uri), ca.enrol(client_uri(uuid7()))
    rogue = ca.desk.issue("client", software_request((NameOID.COMMON_NAME, "x")), uri=uri)
    with write(ca.desk.engine) as connection:
        row = certificates.c.serial == serial_text(rogue.serial_number)
        connection.execute(update(certificates).where(row).values(lineage=serial_text(rogue.serial_number)))  # as the migration leaves it
    for one in (rogue, rightful):
        assert serial_text(rogue.serial_number) in refused(Code.CONFLICT, lambda one=one: ca.renew(one)).reason  # type: ignore[misc]
    with read(ca.desk.engine) as connection:
        assert list(holders.contested(connection, ca.desk.clock.now())) == [uri]
    ca.renew(bystander)
    ca.desk.revoke("infrastructure", rogue.serial_number, "keyCompromise")
    assert ca.state(rightful) == ca.state(rogue) == State.REVOKED
    ca.renew(ca.renew(ca.enrol(uri)))
    with read(ca.desk.engine) as connection:
        assert not holders.contested(connection, ca.desk.clock.now()), "what renewed is of one lineage"


def test_renewal_that_is_under_way_when_its_holder_is_revoked_yields_nothing(ca: Enrolling) -> None:
    """The revocation comes between the row and its signature, and between the look at the old certificate and the row."""
    stolen = ca.enrol(client_uri(uuid7()))
    change = Change(Kind.REVOKE, "infrastructure", stolen.serial_number, "keyCompromise")
    linter = ca.desk.linter
    for moment in ("certificate", "store"):
        stolen = ca.enrol(client_uri(uuid7()))
        change = Change(Kind.REVOKE, "infrastructure", stolen.serial_number, "keyCompromise")

        def revoke(change: Change = change) -> None:
            ca.desk.revocation.perform(change, by_caller(OPERATOR, change))

        with pytest.MonkeyPatch.context() as patch:
            _interrupt(patch, moment, linter, revoke)
            with pytest.raises(VermilionError) as refusal:
                ca.renew(stolen)
        assert refusal.value.code in (Code.CERTIFICATE_REVOKED, Code.CONFLICT)
        with read(ca.desk.engine) as connection:
            uri = peer(stolen).uri
            states = set(connection.execute(select(certificates.c.state).where(certificates.c.uri == uri)).scalars())
        assert states <= {State.REVOKED, State.ABANDONED}


def _interrupt(patch: pytest.MonkeyPatch, moment: str, linter: Any, act: Callable[[], None]) -> None:
    if moment == "store":
        real = store

        def late(*arguments: Any, **more: Any) -> None:
            act()
            real(*arguments, **more)

        patch.setattr(issue, "store", late)
    else:
        checked = linter.certificate

        def slow(*arguments: Any) -> Any:
            act()
            return checked(*arguments)

        patch.setattr(linter, "certificate", slow)


def test_two_approved_acts_for_one_uri_give_one_certificate(replicas: tuple[Desk, Desk]) -> None:
    people = People()
    both = [Enrolling(desk, people) for desk in replicas]
    uri, gate = client_uri(uuid7()), threading.Barrier(6)
    tokens = [both[0].token(uri) for _ in range(6)]

    def perform(index: int) -> x509.Certificate | Code | None:
        gate.wait(30)
        try:
            return both[index % 2].acts.perform(tokens[index], WORKFLOW).issued
        except VermilionError as fault:
            return fault.code

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(perform, range(6)))
    assert len([one for one in outcomes if isinstance(one, x509.Certificate)]) == 1
    assert {one for one in outcomes if isinstance(one, Code)} == {Code.CONFLICT}
    with read(both[0].desk.engine) as connection:
        states = [row.state for row in connection.execute(select(certificates.c.state).where(certificates.c.uri == uri))]
    assert states.count(State.ISSUED) == 1 and set(states) <= {State.ISSUED, State.ABANDONED}


def test_one_token_at_two_replicas_gives_one_certificate_and_is_refused_for_good_by_neither(replicas: tuple[Desk, Desk]) -> None:
    people = People()
    both = [Enrolling(desk, people) for desk in replicas]
    uri, gate = client_uri(uuid7()), threading.Barrier(6)
    token = both[0].token(uri)

    def perform(index: int) -> Code | None:
        gate.wait(30)

        def answered() -> tuple[Code | None] | None:
            try:
                both[index % 2].acts.perform(token, WORKFLOW)
            except VermilionError as fault:
                return None if fault.code is Code.SERVICE_UNAVAILABLE else (fault.code,)
            return (None,)

        answer = until(answered)
        assert answer is not None
        return answer[0]

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(perform, range(6))) == {None}
    with read(both[0].desk.engine) as connection:
        states = [row.state for row in connection.execute(select(certificates.c.state).where(certificates.c.uri == uri))]
    assert states.count(State.ISSUED) == 1 and set(states) <= {State.ISSUED, State.ABANDONED}


def test_renewals_against_a_revocation_on_two_replicas_leave_nothing_in_force(replicas: tuple[Desk, Desk]) -> None:
    people = People()
    both = [Enrolling(desk, people) for desk in replicas]
    stolen = both[0].enrol(client_uri(uuid7()))
    change = Change(Kind.REVOKE, "infrastructure", stolen.serial_number, "keyCompromise")
    gate = threading.Barrier(5)

    def run(index: int) -> None:
        gate.wait(30)
        if index == 0:
            both[1].desk.revocation.perform(change, by_caller(OPERATOR, change))
            return
        try:
            both[index % 2].renew(stolen)
        except VermilionError as fault:
            assert fault.code in (Code.CERTIFICATE_REVOKED, Code.CONFLICT), fault

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(run, range(5)))
    with read(both[0].desk.engine) as connection:
        states = set(connection.execute(select(certificates.c.state).where(certificates.c.uri == peer(stolen).uri)).scalars())
    assert states <= {State.REVOKED, State.ABANDONED}
