"""The OpenAPI description is complete and true: schemathesis drives every operation against the running service."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from sealcore.ids import client_uri, operator_uri
from sealcore.platform.http_client import client_context
from tests.support.fuzzing import examples
from tests.support.strange import walk
from tests.workflow.conftest import Running
from tests.workflow.identity import session_of

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("caller", ["operator", "client"])
def test_every_operation_does_what_the_description_says(running: Running, caller: str, mode: GenerationMode) -> None:
    with running.operator() as operator:
        schema = schemathesis.openapi.from_dict(operator.get("/openapi.json").json())
        operator.post("/v1/clients", json={"name": "Prober", "uri": client_uri("prober")})
    running.signer.state.add_seal(seal=1)
    uri = operator_uri("desk") if caller == "operator" else client_uri("prober")
    with session_of(running, caller, uri) as session:
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            operation = result.ok()
            if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters or operation.body):
                continue  # nothing that could be wrong

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(
                max_examples=examples(8, 20),
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            def probe(case: Any) -> None:
                case.call_and_validate(base_url=running.url, session=session, checks=CHECKS)

            probe()


def test_every_problem_is_described(running: Running) -> None:
    with httpx.Client(base_url=running.url, verify=client_context(running.ca.identity("reader", operator_uri("reader")))) as reader:
        description = reader.get("/openapi.json").json()
    for path in description["paths"].values():
        for operation in path.values():
            assert {"400", "401", "403", "404", "409", "429", "500", "503"} <= operation["responses"].keys()
            assert "422" not in operation["responses"]
            assert operation["summary"]
            assert operation["description"]
    assert description["security"] == [{"mutualTLS": []}]


def test_no_value_in_a_request_is_a_fault_of_ours(running: Running) -> None:
    with running.operator() as operator:
        described = operator.get("/openapi.json").json()["paths"]
        queries = {
            path: [one["name"] for one in operations.get("get", {}).get("parameters", []) if one["in"] == "query"]
            for path, operations in described.items()
        }
        assert walk(["/v1/forms"], operator.request) > 30
        assert walk(described, operator.request, queries=queries, headers=[]) > 500
