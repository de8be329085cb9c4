"""Settings of each service alone, beside the blocks that its entry in ``vermilion.services`` implies (addresses, token, TLS, database)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ca.names import role_of
from ca.pki import load_authorities
from sealcore.platform.config import TokenSettings, load
from sealcore.protocol.signed_note import VerifierKey, log_key, witness_key
from vermilion.state import keyring, trust_files, tsas
from vermilion.state.layout import Layout
from vermilion.state.office import Office

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


def authority(layout: Layout, office: Office, token: str) -> dict[str, Any]:
    """Settings of a step of the CA's ceremony in this token."""
    return {
        "token": token_of(layout, token),
        "database": database(layout, "ca"),
        "public_url": office.public_url("authority", "ca_http"),
        "ocsp_url": ocsp_url(office),
        "pki_folder": layout.pki,
        "organization": office.name,
        "organization_identifier": office.registration_number or None,
        "country": office.country,
    }


def token_of(layout: Layout, name: str) -> dict[str, Any]:
    """The settings of a token, as its folder says."""
    return load(layout.token_settings(name), TokenSettings).model_dump(mode="json", exclude_none=True)


def ca(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "public_url": office.public_url("authority", "ca_http"),
        "ocsp_url": ocsp_url(office),
        "pki_folder": layout.pki,
        "signer_target": office.listen("signer").target,
    }


def ocsp_url(office: Office) -> str:
    """Where the status of certificates is answered; stands in every certificate of the issuing CAs."""
    return f"{office.public_url('ocsp', 'ocsp')}/ocsp"


def ocsp(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "pki_folder": layout.pki,
        "state_folder": layout.service("ocsp"),
        "keys": OCSP_KEYS,
        "ca_target": office.listen("ca").target,
    }


def timestamp(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "key_label": PUBLIC_TSA,
        "certificate_file": layout.pki / f"{PUBLIC_TSA}.pem",
        "chain_file": trust_files.issuer_file(layout, layout.pki / f"{PUBLIC_TSA}.pem"),
        "policy_oid": TIMESTAMP_POLICY,
        "latest_time_file": layout.service("timestamp") / "latest-time",
        "clock": office.clock,
    }


def signer(layout: Layout, office: Office) -> dict[str, Any]:
    keys = log_keys(layout, office)
    return {
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
        "sandbox": {"service": sandbox_socket(layout, "signer")},
        "inventory_file": keyring.inventory_file(layout),
        "checkpoint": {
            "file": layout.service("ledger") / "public" / "checkpoint",
            "log_key": str(keys.log),
            "witness_key": str(keys.witness),
        },
    }


def ledger(layout: Layout, office: Office) -> dict[str, Any]:
    return {
        "origin": origin(office),
        "signer_target": office.listen("signer").target,
        "public_folder": layout.service("ledger") / "public",
        "state_folder": layout.service("ledger") / "state",
        "witness": {"url": office.url("witness"), "key": str(log_keys(layout, office).witness)},
    }


def witness(layout: Layout, office: Office) -> dict[str, Any]:
    keys = log_keys(layout, office)
    return {
        "name": keys.witness.name,
        "state_folder": layout.service("witness") / "state",
        "logs": [str(keys.log)],
    }


def workflow(layout: Layout, office: Office) -> dict[str, Any]:
    """Settings of the workflow; its seed is planted with them before it first runs."""
    return {
        "signer_target": office.listen("signer").target,
        "ca_target": office.listen("ca").target,
        "office_unit": office.unit,
        "office_name": office.name_english,
    }


def verify(layout: Layout, office: Office) -> dict[str, Any]:
    keys = log_keys(layout, office)
    names = [name for name in load_authorities(layout.pki) if role_of(name) != "infrastructure"]
    crls = [f"{office.url('ca_http')}/crl/{name}.crl" for name in names]
    outside = tsas.trust(layout, office.timestamp_sources)
    return {
        "office": office.name,
        "sandbox": sandbox_socket(layout, "verify"),
        "signer_target": office.listen("signer").target,
        "trust": {
            **outside,
            "root_file": layout.pki / "roots.pem",
            "seals_file": layout.pki / "seals-cas.pem",
            "crl_urls": [*crls, *outside["crl_urls"]],
            "crl_cache": layout.service("verify") / "crls",
        },
        "ledger": {"url": office.url("ledger"), "log_key": str(keys.log), "witness_key": str(keys.witness)},
    }


def tls(layout: Layout, office: Office, name: str) -> dict[str, Any]:
    folder = layout.tls(name)
    return {
        "key_file": folder / "key.pem",
        "certificate_file": folder / "cert.pem",
        "trust_file": folder / "trust.pem",
        "crl_urls": [office.url("ca_http") + "/crl/by-key/{key}.crl"],
        "crl_cache": layout.service(name) / "infrastructure-crls.pem",
        "ca_target": office.listen("ca").target,
    }


def sandbox(layout: Layout, _office: Office) -> dict[str, Any]:
    callers = ("signer", "verify")
    return {"folder": layout.service("sandbox") / "callers", **{name: {"owner_of": layout.service(name)} for name in callers}}


def sandbox_socket(layout: Layout, caller: str) -> Path:
    """Where a service has its documents read."""
    return layout.service("sandbox") / "callers" / caller


def database(layout: Layout, name: str) -> dict[str, str]:
    from sqlalchemy import URL  # noqa: PLC0415  (every command imports this module, and few ask for a database)

    file = layout.service(name) / f"{name}.db"
    return {"url": URL.create("sqlite", database=str(file)).render_as_string()}  # a path may have signs that mean something in a URL
