"""`vermilion ca status`: each CA with its newest CRL, its OCSP answers and their delegate, as the running services tell it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import typer
from prometheus_client.parser import text_string_to_metric_families

from ca.instants import from_text, to_text
from sealcore.errors import Code, VermilionError
from sealcore.platform.http_client import OK, HttpClient, HttpError
from vermilion.cli.common import DEFAULT, AsJson, Here, State, here
from vermilion.messages import text
from vermilion.remote.ca_client import CaClient
from vermilion.terminal import emit_json, show_table

TIMEOUT_S: Final = 5.0
MOST_METRICS_BYTES: Final = 16 * 1024 * 1024
_NONE: Final = "–"
_GAUGES: Final = ("vermilion_ocsp_seconds_left", "vermilion_ocsp_waiting", "vermilion_ocsp_delegate_seconds_left")


def status(state: State = DEFAULT, as_json: AsJson = False) -> None:
    office = here(state)
    with CaClient(office.layout, office.office) as authority:
        crls = authority.crls()
    gauges, now = _responder(office), datetime.now(UTC)
    found = [_standing(crl, gauges.get(crl.issuer), now) for crl in crls]
    if as_json:
        emit_json(found)
        return
    rows = [[_shown(one[name]) for name in _COLUMNS] for one in found]
    show_table(list(_COLUMNS), rows, empty="ca.no_crls")


_COLUMNS: Final = ("authority", "crl_number", "crl_made", "crl_lapses", "ocsp_lapses", "ocsp_missing", "delegate_until")


def _responder(office: Here) -> Mapping[str, Mapping[str, float]]:
    """CA → gauge → value, from the responder's monitoring; SERVICE_UNAVAILABLE when it does not answer."""
    listen = office.office.monitoring("ocsp")
    if listen is None:
        return {}
    try:
        client = HttpClient(within_s=TIMEOUT_S)
        answer = client.ask("GET", f"http://{listen.target}/metrics", most_bytes=MOST_METRICS_BYTES)
        client.close()
    except HttpError as fault:
        raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the OCSP responder does not answer: {fault.reason}") from None
    if answer.status != OK:
        raise VermilionError(Code.SERVICE_UNAVAILABLE, f"the OCSP responder answers with HTTP status {answer.status}")
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            if sample.name in _GAUGES:
                found.setdefault(sample.labels["ca"], {})[sample.name] = sample.value
    return found


def _standing(crl: Any, gauges: Mapping[str, float] | None, now: datetime) -> dict[str, Any]:
    """One CA as JSON has it: instants in RFC 3339; None where there is nothing, as for a root, which has no responder."""
    gauges = gauges or {}

    def ends(gauge: str) -> str | None:
        return to_text(now + timedelta(seconds=gauges[gauge])) if gauge in gauges else None

    waiting = gauges.get("vermilion_ocsp_waiting")
    return {
        "authority": crl.issuer,
        "crl_number": crl.number,
        "crl_made": crl.this_update,
        "crl_lapses": crl.next_update,
        "crl_current": from_text(crl.next_update) > now,
        "ocsp_lapses": ends("vermilion_ocsp_seconds_left"),
        "ocsp_missing": int(waiting) if waiting is not None else None,
        "delegate_until": ends("vermilion_ocsp_delegate_seconds_left"),
    }


def _shown(value: str | int | None) -> str:
    if isinstance(value, str) and value.endswith("Z"):
        return value[: len("2026-01-01T00:00")].replace("T", " ")
    return _NONE if value is None else str(value)


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status", help=text("help.ca_status"))(status)
