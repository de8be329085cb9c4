"""What a ceremony would make of a plan, in tables. Makes nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ca.ceremony import plan as authorities
from ca.settings import organization_identifier
from sealcore.ids import client_uri, operator_uri, service_uri
from vermilion.messages import text
from vermilion.operation.service_settings import OCSP_KEYS, PUBLIC_TSA, SIGNER_TSA, ocsp_url
from vermilion.services import SERVICES, Identity
from vermilion.state import keyring
from vermilion.state.office import Office, SealPlan


@dataclass(frozen=True)
class Section:
    """A table: its title's key in the catalogue, the names of its columns, its rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[str]]


def sections(office: Office) -> list[Section]:
    """All that would be made, in the order in which it is."""
    return [_tokens(office), _keys(office), _certificates(office), _units(office), _people(office), _seals(office), _addresses(office)]


def _tokens(office: Office) -> Section:
    names = ["root", *(service.name for service in SERVICES if service.has_token), "people"]
    counts = {name: sum(key.token == name for key in keyring.office_inventory(office).keys) for name in names}
    counts["people"] = len(office.people)
    return Section("tokens", ("token", "keys"), [[name, str(count)] for name, count in counts.items()])


def _keys(office: Office) -> Section:
    made = [[key.token, key.label, str(key.algorithm), key.purpose] for key in keyring.office_inventory(office).keys]
    return Section("keys", ("token", "key", "algorithm", "purpose"), made)


def _certificates(office: Office) -> Section:
    """Subjects as the profiles of the CA give them (ca/issuance/profiles.toml)."""
    identifier = organization_identifier(office.country, office.name, office.registration_number or None)
    plain = f"C={office.country}, O={office.name}"
    whole, plans = f"{plain}, organizationIdentifier={identifier}", authorities.load()
    rows = [[plans[role].key, f"{whole}, CN={plans[role].common_name}"] for role in ("root", "seals", "infrastructure")]
    rows += [[seal.label, f"{whole}, CN={seal.caption or office.name}"] for seal in office.seals]
    rows += [[label, f"{whole}, CN=Timestamp Unit {label}"] for label in (SIGNER_TSA, PUBLIC_TSA)]
    rows += [[label, f"{whole}, …"] for label in OCSP_KEYS.values()]
    rows += [[f"tls/{name}", f"{plain}, CN={uri.rpartition('/')[2]}, URI:{uri}"] for name, uri in _identities(office).items()]
    return Section("certificates", ("key", "subject"), rows)


def _identities(office: Office) -> Mapping[str, str]:
    found = {service.name: service_uri(service.name) for service in SERVICES if service.identity is not Identity.NONE}
    return found | {"operator": operator_uri("office")} | {name: client_uri(one) for name, one in office.clients.items()}


def _units(office: Office) -> Section:
    bound = {unit.code: [name for name, units in office.client_units.items() if unit.code in units] for unit in office.units}
    return Section("units", ("unit", "name", "clients"), [[unit.code, unit.name, ", ".join(bound[unit.code])] for unit in office.units])


def _people(office: Office) -> Section:
    return Section("people", ("person", "unit", "roles"), [[one.name, one.unit, ", ".join(one.roles)] for one in office.people])


def _seals(office: Office) -> Section:
    columns = ("kind", "algorithm", "picture", "quorum_seal", "quorum_resume", "quorum_grant", "certification")
    return Section("seals", columns, [_seal(office, seal) for seal in office.seals])


def _seal(office: Office, seal: SealPlan) -> list[str]:
    picture = " · ".join(filter(None, (seal.name or office.name, seal.caption, seal.number)))
    quorums = [str(least) for least in (seal.quorum, seal.resume_quorum, seal.grant_quorum)]
    return [seal.kind, str(seal.algorithm), picture, *quorums, seal.certification or text("init.by_kind")]


def _addresses(office: Office) -> Section:
    told = (
        ("authority", office.public_url("authority", "ca_http")),
        ("ocsp", ocsp_url(office)),
        *((name, office.public_url(name, name)) for name in ("timestamp", "verify", "ledger")),
        *((name, url) for name in ("office", "signer_page") if (url := str(getattr(office.addresses, name)))),
    )
    rows = [[name, url, text("init.for_ever") if name in ("authority", "ocsp", "signer_page") else ""] for name, url in told]
    rows += [
        [service.name, " ".join(f"{office.listen(name).target}" for name in service.ports), ""] for service in SERVICES if service.ports
    ]
    return Section("addresses", ("service", "address", "note"), rows)
