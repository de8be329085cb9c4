"""What each service is started with, worked out from vermilion.toml and the ceremony's certificates; written anew at every start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ca.names import role_of
from ca.pki import load_authorities
from sealcore.platform.config import TokenSettings, load
from sealcore.protocol.signed_note import VerifierKey, log_key, witness_key
from vermilion import keyring, toml, trust_files, tsas
from vermilion.layout import FOLDER_MODE, Layout
from vermilion.office import DEFAULT_PORTS, Office

OCSP_KEYS = {"seals": "ocsp.seals.1", "infrastructure": "ocsp.infrastructure.1"}
SIGNER_TSA, PUBLIC_TSA = "tsa.signer.1", "tsa.public.1"
TIMESTAMP_POLICY = "1.3.6.1.4.1.32473.1.1"  # under IANA's arc for examples (RFC 5612)


@dataclass(frozen=True)
class LogKeys:
    """The verifier keys of log and witness (C2SP signed note)."""

    log: VerifierKey
    witness: VerifierKey


def log_keys(layout: Layout, office: Office) -> LogKeys:
    """Names and keys of this office's log and witness."""
    return LogKeys(
        log_key(origin(office), keyring.spki(layout, "ledger.checkpoint.1")),
        witness_key(f"vermilion.{office.slug}/witness", keyring.spki(layout, "witness.cosign.1")),
    )


def origin(office: Office) -> str:
    """First line of every checkpoint."""
    return f"vermilion.{office.slug}/ledger"


def write_all(layout: Layout, office: Office) -> None:
    """Writes config/NAME.toml of every service, and makes the folders that they keep their state in."""
    for name, values in services(layout, office).items():
        layout.service(name).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        toml.write(layout.config(name), values)
    layout.monitoring_targets.write_text(json.dumps(monitoring_targets(office), indent=1) + "\n", "utf-8")


def monitoring_targets(office: Office) -> list[dict[str, Any]]:
    """The services' monitoring addresses as Prometheus reads them from a file (file_sd); deploy/monitoring uses it."""
    names = [port.removesuffix("_metrics") for port in DEFAULT_PORTS if port.endswith("_metrics")]
    listens = {name: office.monitoring(name) for name in names}
    return [{"targets": [listen.target], "labels": {"job": name}} for name, listen in listens.items() if listen is not None]


def services(layout: Layout, office: Office) -> Mapping[str, Mapping[str, Any]]:
    """The settings of each service by its name."""
    return {
        "ca": _ca(layout, office),
        "ocsp": _ocsp(layout, office),
        "timestamp": _timestamp(layout, office),
        "signer": _signer(layout, office),
        "ledger": _ledger(layout, office),
        "witness": _witness(layout, office),
        "verify": _verify(layout, office),
        "workflow": workflow(layout, office),
    }


def authority(layout: Layout, office: Office, token: str) -> dict[str, Any]:
    """Settings of a step of the CA's ceremony in this token."""
    return {
        "token": token_of(layout, token),
        "database": _database(layout, "ca"),
        "public_url": office.url("ca_http"),
        "ocsp_url": ocsp_url(office),
        "pki_folder": layout.pki,
        "organization": office.name,
        "country": "CN",
    }


def token_of(layout: Layout, name: str) -> dict[str, Any]:
    """The settings of a token, as its folder says."""
    return load(layout.token_settings(name), TokenSettings).model_dump(mode="json", exclude_none=True)


def _ca(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "public_url": office.url("ca_http"),
        "ocsp_url": ocsp_url(office),
        "pki_folder": layout.pki,
        "signer_target": office.listen("signer").target,
        "listen_http": _listen(office, "ca_http"),
        "listen_rpc": _listen(office, "ca"),
        "metrics": _metrics(office, "ca"),
        "token": token_of(layout, "ca"),
        "tls": _tls(layout, office, "ca"),
        "database": _database(layout, "ca"),
    }


def ocsp_url(office: Office) -> str:
    """Where the status of certificates is told; stands in every certificate of the issuing CAs."""
    return f"{office.url('ocsp')}/ocsp"


def _ocsp(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "pki_folder": layout.pki,
        "state_folder": layout.service("ocsp"),
        "keys": OCSP_KEYS,
        "ca_target": office.listen("ca").target,
        "listen": _listen(office, "ocsp"),
        "metrics": _metrics(office, "ocsp"),
        "token": token_of(layout, "ocsp"),
        "tls": _tls(layout, office, "ocsp"),
        "database": _database(layout, "ca"),
    }


def _timestamp(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "key_label": PUBLIC_TSA,
        "certificate_file": layout.pki / f"{PUBLIC_TSA}.pem",
        "chain_file": trust_files.issuer_file(layout, layout.pki / f"{PUBLIC_TSA}.pem"),
        "policy_oid": TIMESTAMP_POLICY,
        "latest_time_file": layout.service("timestamp") / "latest-time",
        "clock": office.clock,
        "listen": _listen(office, "timestamp"),
        "metrics": _metrics(office, "timestamp"),
        "token": token_of(layout, "timestamp"),
    }


def _signer(layout: Layout, office: Office) -> dict[str, Any]:
    keys = log_keys(layout, office)
    return {
        "listen": _listen(office, "signer"),
        "metrics": _metrics(office, "signer"),
        "token": token_of(layout, "signer"),
        "tls": _tls(layout, office, "signer"),
        "database": _database(layout, "signer"),
        "timestamp": {
            "key_label": SIGNER_TSA,
            "certificate_file": layout.pki / f"{SIGNER_TSA}.pem",
            "chain_file": trust_files.issuer_file(layout, layout.pki / f"{SIGNER_TSA}.pem"),
            "policy_oid": TIMESTAMP_POLICY,
            "latest_time_file": layout.service("signer") / "latest-time",
            "source": [tsas.resolved(layout, plan) for plan in office.timestamp_sources] or None,
            "clock": office.clock,
        },
        "trust": {
            "seals_chain_file": layout.pki / "seals-chain.pem",
            "seals_crl_url": office.url("ca_http") + "/crl/by-key/{key}.crl",
            "outside": {"hosts": list(office.outside_ca_hosts)},
        },
        "checkpoint": {
            "file": layout.service("ledger") / "public" / "checkpoint",
            "log_key": str(keys.log),
            "witness_key": str(keys.witness),
        },
    }


def _ledger(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "origin": origin(office),
        "signer_target": office.listen("signer").target,
        "public_folder": layout.service("ledger") / "public",
        "state_folder": layout.service("ledger") / "state",
        "listen": _listen(office, "ledger"),
        "metrics": _metrics(office, "ledger"),
        "token": token_of(layout, "ledger"),
        "tls": _tls(layout, office, "ledger"),
        "witness": {"url": office.url("witness"), "key": str(log_keys(layout, office).witness)},
    }


def _witness(layout: Layout, office: Office) -> dict[str, Any]:
    keys = log_keys(layout, office)
    return {
        "name": keys.witness.name,
        "state_folder": layout.service("witness") / "state",
        "logs": [str(keys.log)],
        "listen": _listen(office, "witness"),
        "metrics": _metrics(office, "witness"),
        "token": token_of(layout, "witness"),
    }


def workflow(layout: Layout, office: Office) -> dict[str, Any]:
    """Settings of the workflow; its seed is planted with them before it first runs."""
    return {
        "signer_target": office.listen("signer").target,
        "ca_target": office.listen("ca").target,
        "office_unit": office.unit,
        "office_name": office.name_english,
        "listen": _listen(office, "workflow"),
        "metrics": _metrics(office, "workflow"),
        "token": token_of(layout, "workflow"),
        "tls": _tls(layout, office, "workflow"),
        "database": _database(layout, "workflow"),
    }


def _verify(layout: Layout, office: Office) -> dict[str, Any]:
    keys = log_keys(layout, office)
    names = [name for name in load_authorities(layout.pki) if role_of(name) != "infrastructure"]
    crls = [f"{office.url('ca_http')}/crl/{name}.crl" for name in names]
    outside = tsas.trust(layout, office.timestamp_sources)
    return {
        "office": office.name,
        "signer_target": office.listen("signer").target,
        "listen_http": _listen(office, "verify"),
        "listen_rpc": _listen(office, "verify_rpc"),
        "metrics": _metrics(office, "verify"),
        "trust": {
            **outside,
            "root_file": layout.pki / "roots.pem",
            "seals_file": layout.pki / "seals-cas.pem",
            "crl_urls": [*crls, *outside["crl_urls"]],
            "crl_cache": layout.service("verify") / "crls",
        },
        "tls": _tls(layout, office, "verify"),
        "ledger": {"url": office.url("ledger"), "log_key": str(keys.log), "witness_key": str(keys.witness)},
    }


def _listen(office: Office, port: str) -> dict[str, Any]:
    return office.listen(port).model_dump(mode="json")


def _metrics(office: Office, service: str) -> dict[str, Any] | None:
    listen = office.monitoring(service)
    return None if listen is None else listen.model_dump(mode="json")


def _tls(layout: Layout, office: Office, name: str) -> dict[str, Any]:
    folder = layout.tls(name)
    return {
        "key_file": folder / "key.pem",
        "certificate_file": folder / "cert.pem",
        "trust_file": folder / "trust.pem",
        "crl_urls": [office.url("ca_http") + "/crl/by-key/{key}.crl"],
        "crl_cache": layout.service(name) / "infrastructure-crls.pem",
        "ca_target": office.listen("ca").target,
    }


def _database(layout: Layout, name: str) -> dict[str, str]:
    return {"url": f"sqlite:///{_file(layout, name)}"}


def _file(layout: Layout, name: str) -> Path:
    return layout.service(name) / f"{name}.db"
