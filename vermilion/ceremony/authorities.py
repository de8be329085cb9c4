"""The steps of the certification authorities: root and issuing CAs, the certificates of seals and timestamp units, mTLS identities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sealcore.ids import client_uri, operator_uri, service_uri
from vermilion.ceremony.context import Ceremony
from vermilion.operation import service_settings
from vermilion.operation.programs import run
from vermilion.operation.service_settings import PUBLIC_TSA, SIGNER_TSA
from vermilion.services import Identity
from vermilion.state import identities as certificate_identities
from vermilion.state import toml, trust_files
from vermilion.state.identities import LOCAL_ADDRESSES, private_file
from vermilion.state.layout import FOLDER_MODE

OPERATOR = "operator"


def root(ceremony: Ceremony) -> None:
    """The root, the two issuing CAs, their first CRLs; the root's token is opened here and never by a service."""
    ceremony.layout.service("ca").mkdir(mode=FOLDER_MODE, exist_ok=True)
    for step, token in (("requests", "ca"), ("root", "root"), ("issuing", "ca")):
        run("ca.ceremony", step, "--config", settings_file(ceremony, token))
    trust_files.write_all(ceremony.layout, ceremony.clock.now())


def certificates(ceremony: Ceremony) -> None:
    """Certificates for the seals and both timestamp units, each requested by its own key, and the first mTLS identities."""
    name = ceremony.office.name
    wanted = {
        "signer": [(seal.label, "seal", seal.caption or name) for seal in ceremony.office.seals]
        + [(SIGNER_TSA, "tsa", f"Timestamp Unit {SIGNER_TSA}")],
        "timestamp": [(PUBLIC_TSA, "tsa", f"Timestamp Unit {PUBLIC_TSA}")],
    }
    orders = []
    for token, keys in wanted.items():
        requests = [
            {"label": label, "common_name": common_name, "organization": name, "out": str(_request_file(ceremony, label))}
            for label, _, common_name in keys
        ]
        run("vermilion.ceremony.token_requests", "--settings", ceremony.layout.token_settings(token), stdin=json.dumps(requests).encode())
        orders += [
            {"profile": profile, "request": _request_file(ceremony, label), "out": ceremony.layout.pki / f"{label}.pem"}
            for label, profile, _ in keys
        ]
    _issue(ceremony, [*orders, *_identity_orders(ceremony)])


def timestamp_unit(ceremony: Ceremony, label: str, common_name: str) -> Path:
    """The certificate of a key in the timestamp unit's token, PEM; one that it has under this name stays. CONFLICT for another name."""
    request, out = _request_file(ceremony, label), ceremony.layout.pki / f"{label}.pem"
    wanted = [{"label": label, "common_name": common_name, "organization": ceremony.office.name, "out": str(request)}]
    run("vermilion.ceremony.token_requests", "--settings", ceremony.layout.token_settings("timestamp"), stdin=json.dumps(wanted).encode())
    _issue(ceremony, [{"profile": "tsa", "request": request, "out": out}])
    return out


def identities_due(ceremony: Ceremony) -> bool:
    """Whether an mTLS certificate is missing or about to end."""
    return any(not certificate_identities.current(ceremony.layout.tls(name), ceremony.clock.now()) for name in _identities(ceremony))


def identities(ceremony: Ceremony) -> None:
    """mTLS certificates that are missing or about to end, with new keys."""
    _issue(ceremony, _identity_orders(ceremony))


def _identity_orders(ceremony: Ceremony) -> list[dict[str, Any]]:
    """What is to be issued for services, the operator and the clients of the plan; makes keys and requests."""
    trust = trust_files.mtls_trust(ceremony.layout, ceremony.clock.now())
    servers = {service.name for service in ceremony.services if service.identity is Identity.SERVER}
    orders: list[dict[str, Any]] = []
    for name, (profile, uri) in _identities(ceremony).items():
        folder = ceremony.layout.tls(name)
        if certificate_identities.current(folder, ceremony.clock.now()):
            continue
        if (folder / "cert.pem").exists():
            (folder / "key.pem").unlink(missing_ok=True)
        request_file = _request_file(ceremony, f"tls-{name}")
        request_file.write_bytes(certificate_identities.request(folder, uri, server=name in servers))
        private_file(folder / "trust.pem", trust)
        order = {"profile": profile, "request": request_file, "out": folder / "cert.pem", "chain": True, "uri": uri}
        orders.append({**order, "ip": LOCAL_ADDRESSES} if name in servers else order)
    return orders


def _identities(ceremony: Ceremony) -> dict[str, tuple[str, str]]:
    """Folder under tls/ → profile and SAN URI."""
    found = {one.name: ("service", service_uri(one.name)) for one in ceremony.services if one.identity is not Identity.NONE}
    found[OPERATOR] = ("operator", operator_uri("office"))
    return found | {name: ("client", client_uri(one)) for name, one in ceremony.office.clients.items()}


def _issue(ceremony: Ceremony, orders: Sequence[dict[str, Any]]) -> None:
    file = ceremony.layout.ceremony / "orders.toml"
    toml.write(file, {"order": list(orders)})
    run("ca.ceremony", "issue", "--config", settings_file(ceremony, "ca"), "--orders", file)


def settings_file(ceremony: Ceremony, token: str) -> Path:
    """The settings of a step of the CA's ceremony in this token."""
    file = ceremony.layout.ceremony / f"ca-{token}.toml"
    toml.write(file, service_settings.authority(ceremony.layout, ceremony.office, token))
    return file


def _request_file(ceremony: Ceremony, name: str) -> Path:
    folder = ceremony.layout.ceremony / "requests"
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    return folder / f"{name}.csr"
