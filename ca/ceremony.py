"""The key ceremony and issuing without the service: ``python -m ca.ceremony STEP --config FILE``.

Each step opens one token. Each may be run again: what was made before is found in the CA's record and stays as it is. The
steps and their order stand at the top of ``ceremony.toml``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Engine

from ca import plan as plans
from ca import profiles
from ca.certificate import Parent
from ca.crl import CrlPublisher, newest
from ca.issue import Issuance, Issuer, Order
from ca.lint import Linter
from ca.orders import FileOrder, load_orders
from ca.pki import authority_file, load_authorities, load_authority, request_file
from ca.plan import Plan
from ca.profiles import ISSUING, AttributeName, IssuerName
from ca.request import CertificateRequest, read
from ca.settings import CeremonySettings
from sealcore import durable
from sealcore.clock import Clock, SystemClock
from sealcore.config import load
from sealcore.db import connect
from sealcore.errors import VermilionError
from sealcore.hsm.request import certificate_request
from sealcore.hsm.token import Token
from sealcore.log import configure
from sealcore.migrate import scripts, upgrade

_FAILED: Final = 1


@dataclass(frozen=True)
class Room:
    """What a step works with."""

    settings: CeremonySettings
    plan: Plan
    token: Token
    engine: Engine
    linter: Linter
    clock: Clock

    def parent(self, name: IssuerName, certificate: x509.Certificate | None) -> Parent:
        """An authority as the issuer of others, or of itself."""
        return Parent(name, certificate, self.settings.public_url)

    def issuer(self, name: IssuerName, certificate: x509.Certificate | None) -> Issuer:
        """An authority with its key in this token."""
        return Issuer(self.parent(name, certificate), self.token.key(self.plan[name].key))

    def issuance(self, *issuers: Issuer) -> Issuance:
        """Issuing by these authorities."""
        by_name = {issuer.parent.name: issuer for issuer in issuers}
        return Issuance(self.engine, profiles.load(), by_name, self.linter, clock=self.clock)

    def publisher(self, *issuers: Issuer) -> CrlPublisher:
        """CRLs of these authorities."""
        by_name = {issuer.parent.name: issuer for issuer in issuers}
        return CrlPublisher(self.engine, by_name, self.plan, self.linter, clock=self.clock)

    def named(self, request: CertificateRequest, name: IssuerName) -> CertificateRequest:
        """The request of an authority's key, with the subject that the ceremony file gives it."""
        subject: dict[AttributeName, str] = {
            "country": self.settings.country,
            "organization": self.settings.organization,
            "organization_identifier": self.settings.identifier,
            "common_name": self.plan[name].common_name,
        }
        return replace(request, attributes=MappingProxyType(subject))


def step_requests(room: Room) -> None:
    """Each issuing CA's key asks for its certificate, and so proves that it is in the token."""
    for name in ISSUING:
        planned = room.plan[name]
        request = certificate_request(room.token.key(planned.key), planned.common_name, organization=room.settings.organization)
        durable.write(request_file(room.settings.pki_folder, name), request)
        _say(step="requests", authority=name, key=planned.key)


def step_root(room: Room) -> None:
    """The root signs itself, then the issuing CAs, then its CRL."""
    folder = room.settings.pki_folder
    planned = room.plan["root"]
    own = room.named(read(certificate_request(room.token.key(planned.key), planned.common_name)), "root")
    root = room.issuance(room.issuer("root", None)).ensure(Order("root", own, days=planned.days))
    _publish_authority(folder, "root", root)
    issuer = room.issuer("root", root)
    issuance = room.issuance(issuer)
    for name in ISSUING:
        request = room.named(read(request_file(folder, name).read_bytes()), name)
        _publish_authority(folder, name, issuance.ensure(Order("issuing", request, days=room.plan[name].days)))
    _publish_root_crl(room, issuer, only_if_due=True)


def step_root_crl(room: Room) -> None:
    """The root's CRL anew."""
    _publish_root_crl(room, room.issuer("root", load_authority(room.settings.pki_folder, "root")), only_if_due=False)


def step_issuing(room: Room) -> None:
    """The issuing CAs are checked against their keys and make their first CRLs."""
    authorities = load_authorities(room.settings.pki_folder)
    issuers = [room.issuer(name, authorities[name]) for name in ISSUING]
    publisher = room.publisher(*issuers)
    for name in ISSUING:
        _say(step="issuing", authority=name, crl_number=publisher.publish(name, only_if_due=True))


def issue_orders(room: Room, orders: Sequence[FileOrder]) -> None:
    """Issues without the service; an order that was served before gets its certificate again."""
    authorities = load_authorities(room.settings.pki_folder)
    issuance = room.issuance(*(room.issuer(name, authorities[name]) for name in ISSUING))
    for order in orders:
        request = read(order.request_der(), uri=order.uri, dns=order.dns, addresses=order.ip)
        certificate = issuance.ensure(Order(order.profile, request, issuer=order.issuer))
        issuer = next(each for each in authorities.values() if each.subject == certificate.issuer)
        chain = [certificate, issuer] if order.chain else [certificate]
        durable.write(order.out, b"".join(each.public_bytes(Encoding.PEM) for each in chain))
        _say(step="issue", profile=order.profile, serial=f"{certificate.serial_number:x}", subject=certificate.subject.rfc4514_string())


def _publish_authority(folder: Path, name: IssuerName, certificate: x509.Certificate) -> None:
    durable.write(authority_file(folder, name), certificate.public_bytes(Encoding.PEM))
    _say(step="root", authority=name, serial=f"{certificate.serial_number:x}", subject=certificate.subject.rfc4514_string())


def _publish_root_crl(room: Room, issuer: Issuer, *, only_if_due: bool) -> None:
    number = room.publisher(issuer).publish("root", only_if_due=only_if_due)
    crl = newest(room.engine, "root")
    assert crl is not None, "published above"
    durable.write(room.settings.pki_folder / "root.crl", crl.der)
    _say(step="root-crl", crl_number=number)


def _say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")


STEPS: Final[dict[str, Callable[[Room], None]]] = {
    "requests": step_requests,
    "root": step_root,
    "root-crl": step_root_crl,
    "issuing": step_issuing,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ca.ceremony", description="The CA's key ceremony; see ca/ceremony.toml.")
    steps = parser.add_subparsers(dest="step", required=True)
    for name, step in STEPS.items():
        steps.add_parser(name, help=step.__doc__).add_argument("--config", type=Path, required=True)
    issue = steps.add_parser("issue", help=issue_orders.__doc__)
    issue.add_argument("--config", type=Path, required=True)
    issue.add_argument("--orders", type=Path, help="a TOML file with an [[order]] table for each certificate, in place of the rest")
    issue.add_argument("--profile")
    issue.add_argument("--request", type=Path, help="PKCS#10, DER or PEM")
    issue.add_argument("--out", type=Path, help="the certificate, PEM")
    issue.add_argument("--chain", action="store_true", help="append the issuing CA's certificate")
    issue.add_argument("--issuer", choices=ISSUING, help="where the profile has several")
    issue.add_argument("--uri", default="")
    issue.add_argument("--dns", action="append", default=[])
    issue.add_argument("--ip", action="append", default=[])
    return parser


def _orders(chosen: argparse.Namespace, parser: argparse.ArgumentParser) -> Sequence[FileOrder]:
    if chosen.orders is not None:
        return load_orders(chosen.orders)
    if not (chosen.profile and chosen.request and chosen.out):
        parser.error("issue takes --orders, or --profile, --request and --out")
    names = ("profile", "request", "out", "chain", "issuer", "uri", "dns", "ip")
    return [FileOrder(**{name: getattr(chosen, name) for name in names})]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one step; the exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    configure("ca.ceremony", "WARNING")
    try:
        settings = load(chosen.config, CeremonySettings)
        plan = plans.load(settings.ceremony_file)
        orders = _orders(chosen, parser) if chosen.step == "issue" else ()
        engine = connect(settings.database.url)
        upgrade(engine, scripts("ca"))
        with Token.open(settings.token) as token:
            room = Room(settings, plan, token, engine, Linter(), SystemClock())
            if chosen.step == "issue":
                issue_orders(room, orders)
            else:
                STEPS[chosen.step](room)
        engine.dispose()
    except VermilionError as fault:
        sys.stderr.write(f"ca.ceremony {chosen.step}: {fault}\n{fault.rule}\n{fault.way_out}\n")
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
