"""What commands say, without the terminal's line breaks; and the office as its business system sees it."""

from __future__ import annotations

from tests.cli.running import RunningOffice
from vermilion.client.office import Office as Client
from vermilion.client.rest import Rest
from vermilion.remote.workflow_client import tls_of


def flat(text: str) -> str:
    """Text without the terminal's line breaks."""
    return " ".join(text.split())


def client(office: RunningOffice) -> Client:
    """The demo's business system."""
    plan = office.office
    return Client(plan.url("workflow", scheme="https"), plan.listen("signer").target, tls_of(office.layout, "demo-backend"))


def rest(office: RunningOffice, name: str = "operator") -> Rest:
    return Rest(office.office.url("workflow", scheme="https"), tls_of(office.layout, name))


WAIT_S = "90"  # for an answer that is younger than the timestamp; the responder gives live ones, as a rule at once
