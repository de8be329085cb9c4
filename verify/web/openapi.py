"""The OpenAPI description of what this service offers to programs."""

from __future__ import annotations

import json
from typing import Any

from sealcore import __version__
from verify.report import schema


def description() -> dict[str, Any]:
    """The description, as ``/openapi.json`` serves it."""
    upload = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    verify = {
        "summary": "Verify Document",
        "description": "The report on one PDF. A document that is not valid is still an answer: status 200, the verdict inside.",
        "operationId": "verify_document_v1_verify_post",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": upload}}},
        "responses": {"200": {"description": "The report.", "content": {"application/json": {"schema": _without_nulls(schema())}}}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Vermilion verification", "version": __version__},
        "paths": {"/v1/verify": {"post": verify}},
    }


def _without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    """The same, less what says only that a default is null."""
    said: dict[str, Any] = json.loads(json.dumps(found), object_hook=lambda each: {k: v for k, v in each.items() if v is not None})
    return said
