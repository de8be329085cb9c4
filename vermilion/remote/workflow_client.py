"""The operator's workflow: the workflow's REST as the command line uses it, over mTLS with the operator's certificate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sealcore.errors import Code, VermilionError
from sealcore.platform.config import TlsSettings
from sealcore.platform.peer import peer_of_pem
from sealcore.protocol.canonical import b64url
from sealcore.protocol.decision import Decision
from vermilion.client.rest import Rest
from vermilion.state.layout import Layout
from vermilion.state.office import Office

PAGE = 200


def tls_of(layout: Layout, name: str) -> TlsSettings:
    """The mTLS identity that the ceremony or `clients add` made under this name; NOT_FOUND when there is none."""
    folder = layout.tls(name)
    if not (folder / "key.pem").exists() or not (folder / "cert.pem").exists():
        known = ", ".join(_clients(layout)) or "none"
        reason = f"this office has no identity {name!r} with a certificate; of business systems it has: {known}"
        raise VermilionError(Code.NOT_FOUND, f"{reason}. `vermilion clients add NAME` makes one")
    return in_folder(folder)


def _clients(layout: Layout) -> Iterator[str]:
    """The names of the business systems' bundles that are kept here."""
    for file in sorted(layout.tls("").glob("*/cert.pem")):
        with suppress(OSError, ValueError, VermilionError):  # one that cannot be read is no help
            if "client" in peer_of_pem(file.read_bytes()).roles:
                yield file.parent.name


def in_folder(folder: Path) -> TlsSettings:
    """The mTLS identity of a bundle."""
    return TlsSettings(key_file=folder / "key.pem", certificate_file=folder / "cert.pem", trust_file=folder / "trust.pem")


class WorkflowClient:
    """Calls of one caller; every refusal comes back as the typed error that the workflow raised."""

    def __init__(self, layout: Layout, office: Office, *, identity: str = "operator") -> None:
        self._rest = Rest(office.url("workflow", scheme="https"), tls_of(layout, identity))

    def __enter__(self) -> WorkflowClient:
        return self

    def __exit__(self, *_fault: object) -> None:
        self._rest.close()

    def get(self, path: str, **query: str | int | None) -> Any:
        """GET; the JSON answer."""
        return self._rest.get(path, **{name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Any) -> Any:
        """POST of JSON; the JSON answer."""
        return self._rest.post(path, body)

    def people(self) -> list[Any]:
        """Everyone in the workflow, page after page."""
        found: list[Any] = []
        after: str | None = ""
        while after is not None:
            page = self.get("/v1/people", after=after, limit=PAGE)
            found += page["people"]
            after = page["next"]
        return found

    def names(self) -> dict[str, str]:
        """Everyone's name by their id."""
        return {person["id"]: person["name"] for person in self.people()}

    def form(self, number: str) -> Any:
        """One form with its documents and history; NOT_FOUND, PROOF_INVALID when what would be signed is about another form."""
        form = self.get(f"/v1/forms/{number}")
        if (form["number"], form["context"]["form"]) != (number, number):
            raise VermilionError(Code.PROOF_INVALID, f"the workflow showed another form than {number}; decide on nothing that it shows")
        return form

    def decide(self, number: str, decision: Decision, reason: str = "") -> Any:
        """Hands a signed decision in."""
        body = {
            "person": decision.person,
            "verdict": decision.verdict,
            "time": decision.time,
            "signature": b64url(decision.signature),
            "reason": reason,
        }
        return self.post(f"/v1/forms/{number}/decisions", body)
