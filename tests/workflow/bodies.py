"""Bodies of requests to the workflow."""

from __future__ import annotations

from typing import Any

from sealcore.protocol.canonical import b64url
from sealcore.protocol.json_objects import context_from_json
from tests.workflow.signer_side import Human

DOCUMENT = {"name": "合同 5.pdf", "sha256": "ab" * 32, "size_bytes": 7, "salt": b64url(bytes(16)), "placement": {}}


def application(seal: str, **more: Any) -> dict[str, Any]:
    return {"seal": seal, "title": "Contracts of May", "documents": [DOCUMENT]} | more


def decision(form: dict[str, Any], human: Human, verdict: str = "approve", reason: str = "") -> dict[str, Any]:
    context = context_from_json(form["context"])
    given = human.decide(context, verdict, context.nbf)
    return {"person": given.person, "verdict": verdict, "time": given.time, "signature": b64url(given.signature), "reason": reason}
