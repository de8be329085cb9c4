"""What succeeds answers as the OpenAPI description says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import requests
import schemathesis
import schemathesis.core.jsonschema.patterns  # imported late, deep in a call, Python 3.11 may lose count of its recursion

from protos.vermilion.v1 import signer_pb2
from sealcore.ids import client_uri, operator_uri, uuid7
from sealcore.protocol.canonical import b64url
from tests.workflow.bodies import DOCUMENT, application, decision
from tests.workflow.conftest import Running
from tests.workflow.identity import session_of
from tests.workflow.signer_side import Human
from vermilion.client import people


def test_what_succeeds_answers_as_described(running: Running) -> None:
    approver, officer, seal = Human("approver"), Human("officer"), running.signer.state.add_seal(seal=1, resume=1)
    running.signer.state.register(approver, officer)
    running.signer.state.grants.append(
        signer_pb2.GrantRecord(jti=uuid7(), seal=seal, client=client_uri("life"), most_uses=2, expires="2027")
    )
    with running.operator() as operator:
        schema = schemathesis.openapi.from_dict(operator.get("/openapi.json").json())
        operator.post("/v1/clients", json={"name": "Life", "uri": client_uri("life")})
        running.enrol(operator, approver)
    with session_of(running, "life", client_uri("life")) as client, session_of(running, "desk", operator_uri("desk")) as desk:

        def call(session: requests.Session, method: str, path: str, status: int, body: Any = None, **names: str) -> Any:
            answer = session.request(method, running.url + path.format(**names), json=body)
            assert answer.status_code == status, answer.text
            schema[path][method].validate_response(answer)
            return answer.json()

        documents = [DOCUMENT | {"placement": {"marks": [{"pages": [0, 3], "rect": [0, 0, 1, 1], "picture": "00" * 32}]}}]
        form = call(client, "POST", "/v1/forms", 201, application(seal, documents=documents, unit="OFFICE", valid_s=60))
        grant = call(client, "POST", "/v1/forms", 201, {"seal": seal, "title": "G", "grant": {"uses": 3, "until": form["created"] + 99}})
        act = {"seal": seal, "action": "resume", "title": "A", "act": {"why": "found", "list": [1, "x"]}}
        act = call(desk, "POST", "/v1/forms", 201, act)
        for one in (form, grant, act):
            call(desk, "POST", "/v1/forms/{number}/decisions", 201, decision(one, approver), number=one["number"])
        call(client, "GET", "/v1/forms/{number}/token", 200, number=form["number"])
        for one, session in ((form, client), (grant, client), (act, desk)):
            call(session, "GET", "/v1/forms/{number}", 200, number=one["number"])
        other = call(client, "POST", "/v1/forms", 201, application(seal))
        call(client, "POST", "/v1/forms/{number}/withdraw", 200, number=other["number"])
        call(desk, "GET", "/v1/forms", 200)
        call(desk, "GET", "/v1/people", 200)
        call(client, "GET", "/v1/seals", 200)
        assert call(client, "GET", "/v1/grants", 200)["grants"]
        statement, signature = people.stop("seal", seal, officer.id, "lost", key=officer, now=datetime.now(UTC))
        stop = {"officer": officer.id, "reason": "lost", "time": statement.time, "signature": b64url(signature)}
        call(client, "POST", "/v1/seals/{id}/suspend", 200, stop, id=seal)
