"""The steps of the certification authorities: root and issuing CAs, the certificates of seals and timestamp units, mTLS identities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sealcore.ids import client_uri, operator_uri, service_uri
from vermilion import identities as certificate_identities
from vermilion import service_settings, toml, trust_files
from vermilion.ceremony.context import Room
from vermilion.identities import LOCAL_ADDRESSES, private_file
from vermilion.layout import FOLDER_MODE
from vermilion.programs import run
from vermilion.service_settings import PUBLIC_TSA, SIGNER_TSA
from vermilion.services import Identity

OPERATOR = "operator"


def root(room: Room) -> None:
    """The root, the two issuing CAs, their first CRLs; the root's token is opened here and never by a service."""
    room.layout.service("ca").mkdir(mode=FOLDER_MODE, exist_ok=True)
    for step, token in (("requests", "ca"), ("root", "root"), ("issuing", "ca")):
        run("ca.ceremony", step, "--config", settings_file(room, token))
    trust_files.write_all(room.layout, room.clock.now())


def certificates(room: Room) -> None:
    """Certificates for the seals and both timestamp units, each requested by its own key, and the first mTLS identities."""
    name = room.office.name
    wanted = {
        "signer": [(seal.label, "seal", seal.caption or name) for seal in room.office.seals]
        + [(SIGNER_TSA, "tsa", f"Timestamp Unit {SIGNER_TSA}")],
        "timestamp": [(PUBLIC_TSA, "tsa", f"Timestamp Unit {PUBLIC_TSA}")],
    }
    orders = []
    for token, keys in wanted.items():
        requests = [
            {"label": label, "common_name": common_name, "organization": name, "out": str(_request_file(room, label))}
            for label, _, common_name in keys
        ]
        run("vermilion.token_requests", "--settings", room.layout.token_settings(token), stdin=json.dumps(requests).encode())
        orders += [
            {"profile": profile, "request": _request_file(room, label), "out": room.layout.pki / f"{label}.pem"}
            for label, profile, _ in keys
        ]
    _issue(room, [*orders, *_identity_orders(room)])


def timestamp_unit(room: Room, label: str, common_name: str) -> Path:
    """The certificate of a key in the timestamp unit's token, PEM; one that it has under this name stays. CONFLICT for another name."""
    request, out = _request_file(room, label), room.layout.pki / f"{label}.pem"
    wanted = [{"label": label, "common_name": common_name, "organization": room.office.name, "out": str(request)}]
    run("vermilion.token_requests", "--settings", room.layout.token_settings("timestamp"), stdin=json.dumps(wanted).encode())
    _issue(room, [{"profile": "tsa", "request": request, "out": out}])
    return out


def identities_due(room: Room) -> bool:
    """Whether an mTLS certificate is missing or about to end."""
    return any(not certificate_identities.current(room.layout.tls(name), room.clock.now()) for name in _identities(room))


def identities(room: Room) -> None:
    """mTLS certificates that are missing or about to end, with new keys."""
    _issue(room, _identity_orders(room))


def _identity_orders(room: Room) -> list[dict[str, Any]]:
    """What is to be issued for services, the operator and the clients of the plan; makes keys and requests."""
    trust = trust_files.mtls_trust(room.layout, room.clock.now())
    servers = {service.name for service in room.services if service.identity is Identity.SERVER}
    orders: list[dict[str, Any]] = []
    for name, (profile, uri) in _identities(room).items():
        folder = room.layout.tls(name)
        if certificate_identities.current(folder, room.clock.now()):
            continue
        if (folder / "cert.pem").exists():
            (folder / "key.pem").unlink(missing_ok=True)
        request_file = _request_file(room, f"tls-{name}")
        request_file.write_bytes(certificate_identities.request(folder, uri, server=name in servers))
        private_file(folder / "trust.pem", trust)
        order = {"profile": profile, "request": request_file, "out": folder / "cert.pem", "chain": True, "uri": uri}
        orders.append({**order, "ip": LOCAL_ADDRESSES} if name in servers else order)
    return orders


def _identities(room: Room) -> dict[str, tuple[str, str]]:
    """Folder under tls/ → profile and SAN URI."""
    found = {one.name: ("service", service_uri(one.name)) for one in room.services if one.identity is not Identity.NONE}
    found[OPERATOR] = ("operator", operator_uri("office"))
    return found | {name: ("client", client_uri(one)) for name, one in room.office.clients.items()}


def _issue(room: Room, orders: Sequence[dict[str, Any]]) -> None:
    file = room.layout.ceremony / "orders.toml"
    toml.write(file, {"order": list(orders)})
    run("ca.ceremony", "issue", "--config", settings_file(room, "ca"), "--orders", file)


def settings_file(room: Room, token: str) -> Path:
    """The settings of a step of the CA's ceremony in this token."""
    file = room.layout.ceremony / f"ca-{token}.toml"
    toml.write(file, service_settings.authority(room.layout, room.office, token))
    return file


def _request_file(room: Room, name: str) -> Path:
    folder = room.layout.ceremony / "requests"
    folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    return folder / f"{name}.csr"
