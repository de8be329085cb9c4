"""Every kind of act, for everybody who carries acts out: one that cannot be carried out is refused before anybody is asked to approve it.

On a running office. Who adds a kind of act gives an impossible one here, and has it refused when it is filed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cryptography import x509

from ca.issuance.enrolment import CHANGE, enrolment
from ca.revocation.change import Kind
from protos.vermilion.v1 import signer_pb2
from sealcore.errors import REGISTRY, Code, VermilionError
from sealcore.errors import Kind as Refusal
from sealcore.ids import client_uri, uuid7
from sealcore.protocol import act_effects
from sealcore.protocol.actions import ACTIONS, ACTS
from sealcore.protocol.canonical import b64url
from sealcore.protocol.token import key_id
from signer.acts.changes import CHANGES
from tests.ca.office import software_request
from tests.cli.conftest import office as office  # noqa: PLC0414  (its fixture: the running office that all workers share)
from tests.cli.running import RunningOffice
from tests.cli.words import rest
from tests.signer.office import person
from vermilion.remote.ca_client import CaClient, spki_sha256
from workflow.policies.use_cases import POLICY_ADD

DIGEST = "ab" * 32
TABLES: Mapping[str, Mapping[str, object]] = {
    "register": act_effects.REGISTER,
    "revoke": act_effects.CERTIFICATES,
    "create": act_effects.IDENTITIES,
    "resume": {"": None},
}
KINDS = {(action, change) for action, table in TABLES.items() for change in table}


def test_every_kind_of_act_is_known_here() -> None:
    """A kind that somebody carries out and that is not in these tables could not be told to anybody, and would not be tried below."""
    assert TABLES.keys() == ACTS
    assert set(act_effects.REGISTER) == {*CHANGES, POLICY_ADD}
    assert set(act_effects.CERTIFICATES) == set(map(str, Kind))
    assert set(act_effects.IDENTITIES) == {CHANGE}
    assert IMPOSSIBLE.keys() == KINDS


class Known:
    """What is so in the office."""

    def __init__(self, office: RunningOffice) -> None:
        with office_signer(office) as signer:
            self.seal: signer_pb2.SealRecord = next(one for one in signer.seals() if one.kind == "invoice")
            roll = signer.roll()
        with CaClient(office.layout, office.office) as authority:
            certificates = [one for one in authority.certificates() if one.certificate and one.state in ("issued", "held")]
        self.people, self.issuer, self.quorum = list(roll.people), bytes(roll.issuers[0]), roll.register_quorum
        self.certificate = next(one for one in certificates if spki_sha256(one) == self.seal.spki_sha256)
        self.delegate = next(one for one in certificates if one.profile == "ocsp" and one.issuer == "seals")
        self.authority = next(one for one in certificates if one.issuer == "root" and one.profile != "root")
        self.client = next(one for one in certificates if one.profile == "client")

    @property
    def rules(self) -> list[str]:
        return [f"{rule.action}:{rule.least_persons}" for rule in self.seal.quorum]

    def serial(self, record: Any) -> str:
        return f"{int.from_bytes(record.serial, 'big'):x}"

    def seal_add(self, **other: Any) -> dict[str, Any]:
        chain = [b64url(bytes(one)) for one in self.seal.chain]
        certificate = b64url(bytes(self.seal.certificate))
        new = {"id": uuid7(), "name": "Example Ltd", "kind": "contract", "key_label": "seal.invoice.1", "certificate": certificate}
        return {**new, "chain": chain, "pictures": [], "quorum": ["seal:2", "resume:2"], **other}

    def identity(self, profile: str = "client", uri: str = "", request: bytes | None = None) -> dict[str, Any]:
        der = request or software_request((x509.NameOID.COMMON_NAME, "x"))
        return enrolment(profile, uri or client_uri(uuid7()), {"common_name": "x"}, der).as_json()

    def uri(self, record: Any) -> str:
        names = x509.load_der_x509_certificate(record.certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return str(names.get_values_for_type(x509.UniformResourceIdentifier)[0])


def office_signer(office: RunningOffice) -> Any:
    from vermilion.remote.signer_client import SignerClient

    return SignerClient(office.layout, office.office)


Acts = Callable[[Known], list[tuple[dict[str, Any], str, Code]]]
NOBODY = uuid7()
NOT_WITH_SEALS = sorted(ACTIONS - {"seal", "resume", "revoke"})
"""What the protocol has and no office does with a seal: a quorum or a policy for it would read as a safeguard, and open nothing."""


def _revoked(known: Known, change: str) -> list[tuple[dict[str, Any], str, Code]]:
    reason = {"reason": "superseded"} if change == "revoke" else {}
    compromise = {"reason": "cACompromise"} if change == "revoke" else {}
    seals = {"issuer": "seals", **reason}
    own, delegate = ({**seals, "serial": known.serial(one)} for one in (known.certificate, known.delegate))
    return [
        ({**seals, "serial": "abc"}, "", Code.NOT_FOUND),
        ({**delegate, "issuer": "infrastructure"}, "", Code.NOT_FOUND),
        ({"issuer": "root", "serial": known.serial(known.authority), **compromise}, "", Code.INVALID_ARGUMENT),  # takes a ceremony
        ({**own}, "", Code.SEAL_UNKNOWN),
        ({**delegate}, known.seal.id, Code.SEAL_UNKNOWN),
        ({**delegate, "serial": "00" + delegate["serial"]}, "", Code.INVALID_ARGUMENT),
        *([({**own}, known.seal.id, Code.CONFLICT)] if change != "hold" else []),  # an active seal; not on hold
        *([({**delegate, "invalidity_date": "2099-01-01T00:00:00Z"}, "", Code.INVALID_ARGUMENT)] if change == "revoke" else []),
    ]


IMPOSSIBLE: dict[tuple[str, str], Acts] = {
    ("resume", ""): lambda known: [({}, known.seal.id, Code.CONFLICT), ({}, NOBODY, Code.SEAL_UNKNOWN)],
    ("register", "person_add"): lambda known: [
        ({**person("approver").as_seed(), "id": known.people[0].id}, "", Code.CONFLICT),
        ({**person("approver").as_seed(), "public_key": b64url(known.people[0].public_key)}, "", Code.CONFLICT),
        ({**person("auditor").as_seed()}, "", Code.INVALID_ARGUMENT),
    ],
    ("register", "person_remove"): lambda _: [({"id": NOBODY}, "", Code.NOT_FOUND)],
    ("register", "issuer_add"): lambda known: [({"public_key": b64url(known.issuer)}, "", Code.CONFLICT)],
    ("register", "issuer_remove"): lambda known: [
        ({"kid": b64url(bytes(32))}, "", Code.NOT_FOUND),
        ({"kid": key_id(known.issuer)}, "", Code.QUORUM_UNMEETABLE),
    ],
    ("register", "seal_add"): lambda known: [
        (known.seal_add(id=known.seal.id), "", Code.CONFLICT),
        (known.seal_add(), "", Code.CONFLICT),  # another seal's key
        (known.seal_add(chain=[]), "", Code.INVALID_ARGUMENT),
        (known.seal_add(quorum=["seal:2", "resume:0"]), "", Code.INVALID_ARGUMENT),
        (known.seal_add(quorum=["seal:2", "destroy:2"]), "", Code.ACTION_UNKNOWN),
    ],
    ("register", "seal_certificate"): lambda known: [
        (
            {"id": known.seal.id, "certificate": b64url(known.delegate.certificate), "chain": known.seal_add()["chain"]},
            "",
            Code.INVALID_ARGUMENT,
        ),
        (
            {"id": known.seal.id, "certificate": b64url(bytes(known.seal.certificate)), "chain": known.seal_add()["chain"]},
            "",
            Code.CONFLICT,
        ),
    ],
    ("register", "seal_quorum"): lambda known: [
        ({"id": known.seal.id, "quorum": ["seal:9"]}, "", Code.QUORUM_UNMEETABLE),
        ({"id": known.seal.id, "quorum": known.rules}, "", Code.CONFLICT),
        ({"id": NOBODY, "quorum": known.rules}, "", Code.SEAL_UNKNOWN),
        *(({"id": known.seal.id, "quorum": [*known.rules, f"{action}:2"]}, "", Code.ACTION_UNKNOWN) for action in NOT_WITH_SEALS),
        ({"id": known.seal.id, "quorum": ["resume:2", "grant-untemplated:2"]}, "", Code.ACTION_UNKNOWN),
    ],
    ("register", "seal_content"): lambda known: [
        ({"id": known.seal.id, "content_policy": "lax"}, "", Code.INVALID_ARGUMENT),
        ({"id": known.seal.id, "content_policy": known.seal.content_policy}, "", Code.CONFLICT),
    ],
    ("register", "seal_certification"): lambda known: [
        ({"id": known.seal.id, "certification": "none"}, "", Code.INVALID_ARGUMENT),
        ({"id": NOBODY, "certification": "final"}, "", Code.SEAL_UNKNOWN),
    ],
    ("register", "seal_picture_add"): lambda known: [
        ({"id": known.seal.id, "picture": DIGEST}, "", Code.ATTACHMENT_MISSING),
        ({"id": known.seal.id, "picture": bytes(known.seal.picture_sha256[0]).hex()}, "", Code.CONFLICT),
    ],
    ("register", "seal_retire"): lambda _: [({"id": NOBODY}, "", Code.SEAL_UNKNOWN)],
    ("register", "template_add"): lambda _: [({"template": DIGEST, "fields": [], "pdf": DIGEST}, "", Code.ATTACHMENT_MISSING)],
    ("register", "client_stop"): lambda _: [({"client": "the ERP"}, "", Code.INVALID_ARGUMENT)],
    ("register", "client_allow"): lambda _: [({"client": client_uri("erp")}, "", Code.CONFLICT)],
    ("register", "register_quorum"): lambda known: [
        ({"least_persons": 64}, "", Code.QUORUM_UNMEETABLE),
        ({"least_persons": known.quorum}, "", Code.CONFLICT),
    ],
    ("register", "policy_add"): lambda known: [
        ({"id": "many", "version": 1, "quorum": 64, "seal": "", "action": ""}, "", Code.QUORUM_UNMEETABLE),
        ({"id": "many", "version": 1, "quorum": 1, "seal": NOBODY, "action": ""}, "", Code.SEAL_UNKNOWN),
        *(
            ({"id": "many", "version": 1, "quorum": 1, "seal": seal, "action": action}, "", Code.ACTION_UNKNOWN)
            for seal, action in (("", "fly"), ("", "destroy"), ("", "grant-untemplated"), *((known.seal.id, one) for one in NOT_WITH_SEALS))
        ),
    ],
    ("revoke", "revoke"): lambda known: _revoked(known, "revoke"),
    ("revoke", "hold"): lambda known: _revoked(known, "hold"),
    ("revoke", "release"): lambda known: _revoked(known, "release"),
    ("create", "certificate"): lambda known: [
        (known.identity(uri=known.uri(known.client)), "", Code.CONFLICT),
        (known.identity("service"), "", Code.PERMISSION_DENIED),
        (known.identity("seal"), "", Code.PERMISSION_DENIED),
        (known.identity("nothing"), "", Code.INVALID_ARGUMENT),
        ({**known.identity(), "spki_sha256": DIGEST}, "", Code.INVALID_ARGUMENT),
        (known.identity("operator", uri=client_uri(uuid7())), "", Code.PROFILE_VIOLATION),
        (known.identity(), known.seal.id, Code.INVALID_ARGUMENT),
    ],
}


@pytest.mark.parametrize(("action", "change"), sorted(KINDS), ids=lambda name: name or "-")
def test_an_impossible_act_is_refused_when_it_is_filed(office: RunningOffice, action: str, change: str) -> None:
    known = Known(office)
    tried = IMPOSSIBLE[action, change](known)
    assert tried, "one at least"
    desk, title = rest(office), f"impossible {uuid7()}"
    for parameters, seal, code in tried:
        act = parameters if action == "resume" else {"change": change, **parameters}
        with pytest.raises(VermilionError) as refused:
            desk.post("/v1/forms", {"seal": seal, "action": action, "title": title, "act": act})
        assert refused.value.code is code, (parameters, refused.value)
        assert refused.value.reason and REGISTRY[code].kind not in (Refusal.INTERNAL, Refusal.UNAVAILABLE)
    assert title not in [form["title"] for form in desk.get("/v1/forms", limit=200)["forms"]]
    desk.close()
