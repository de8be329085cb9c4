"""How business systems are named by whoever types: by name, id or URI. One that was removed never makes a name ambiguous."""

from __future__ import annotations

from typing import Any

from sealcore.errors import Code, VermilionError
from vermilion.remote.workflow_client import PAGE, WorkflowClient


def every(workflow: WorkflowClient) -> list[Any]:
    """Every client that the workflow knows, page after page."""
    found: list[Any] = []
    after: str | None = ""
    while after is not None:
        page = workflow.get("/v1/clients", after=after, limit=PAGE)
        found, after = [*found, *page["clients"]], page["next"]
    return found


def find(workflow: WorkflowClient, name_or_uri: str) -> Any:
    """A client by name, id or URI; of one name, the one that was not removed. NOT_FOUND, or CONFLICT when two bear the name."""
    found = every(workflow)
    matching = [one for one in found if name_or_uri in (one["id"], one["name"], one["uri"])]
    matching = [one for one in matching if one["active"]] or matching
    if len(matching) != 1:
        known = ", ".join(sorted(one["name"] for one in found if one["active"])) or "none"
        code = Code.CONFLICT if matching else Code.NOT_FOUND
        raise VermilionError(code, f"{len(matching)} clients are called {name_or_uri!r}; there are: {known}")
    return matching[0]
