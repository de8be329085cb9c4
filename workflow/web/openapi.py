"""The OpenAPI description, made true: our problem+json in place of FastAPI's own validation error, and mTLS as the way in."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from workflow.web.fields import Problem

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The request is malformed.", "content": _PROBLEM},
    401: {"description": "No valid client certificate.", "content": _PROBLEM},
    403: {"description": "Not allowed; the code names the rule.", "content": _PROBLEM},
    404: {"description": "What is named does not exist, or not for this caller.", "content": _PROBLEM},
    409: {"description": "The state of things forbids it.", "content": _PROBLEM},
    429: {"description": "Later the same request may succeed.", "content": _PROBLEM},
    500: {"description": "An unforeseen fault.", "content": _PROBLEM},
    503: {"description": "A part that is needed is away; nothing was lost.", "content": _PROBLEM},
}


def install_openapi(app: FastAPI) -> None:
    """Replaces ``app.openapi``."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way to extend it


def _described(app: FastAPI) -> dict[str, Any]:
    description = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    for path in description["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)  # validation answers 400 here
    schemas = description["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = Problem.model_json_schema()
    description["components"]["securitySchemes"] = {
        "mutualTLS": {"type": "mutualTLS", "description": "A client or operator certificate of the infrastructure CA."}
    }
    description["security"] = [{"mutualTLS": []}]
    return description
