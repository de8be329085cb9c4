"""The key ceremony and issuing without the service: ``python -m ca.ceremony STEP --config FILE``.

Each step opens one token. Each may be run again: what was made before is found in the CA's record and stays as it is. The
steps and their order stand at the top of ``ceremony.toml``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.ceremony import plan as plans
from ca.ceremony import rollover
from ca.ceremony.context import Room, say
from ca.ceremony.orders import FileOrder, load_orders
from ca.ceremony.revoke_authority import revoke_authority
from ca.instants import to_text
from ca.issuance.issue import Issuer, Order
from ca.issuance.lint import Linter
from ca.issuance.request import read
from ca.names import ISSUING, IssuerName, generations, role_of
from ca.pki import load_authorities
from ca.restore import record_restore
from ca.revocation.change import AUTHORITY_REASONS, instant
from ca.settings import CeremonySettings
from sealcore.clock import SystemClock
from sealcore.errors import VermilionError
from sealcore.hsm.token import Token
from sealcore.platform import durable
from sealcore.platform.config import load
from sealcore.platform.db import connect
from sealcore.platform.log import configure
from sealcore.platform.migrate import scripts, upgrade

_FAILED: Final = 1


def step_requests(room: Room, names: Sequence[IssuerName] = ISSUING) -> None:
    """Each issuing CA's key asks for its certificate, and so proves that it is in the token."""
    for name in names:
        room.ask(name)


def step_root(room: Room) -> None:
    """The root signs itself, then the issuing CAs, then its CRL."""
    root = room.issuance(room.issuer("root", None)).ensure(Order("root", room.own_request("root"), days=room.plan["root"].days))
    room.publish_authority("root", root)
    issuer = room.issuer("root", root)
    issuance = room.issuance(issuer)
    for name in ISSUING:
        room.publish_authority(name, issuance.ensure(Order("issuing", room.asked(name), days=room.plan[name].days)))
    room.publish_root_crl(issuer, only_if_due=True)


def step_root_crl(room: Room) -> None:
    """The CRL of each root anew."""
    authorities = load_authorities(room.settings.pki_folder)
    for name in generations("root", authorities):
        room.publish_root_crl(room.issuer(name, authorities[name]), only_if_due=False)


def step_issuing(room: Room) -> None:
    """The issuing CAs are checked against their keys and make their first CRLs."""
    issuers = _issuing(room, load_authorities(room.settings.pki_folder))
    publisher = room.publisher(*issuers)
    for issuer in issuers:
        name = issuer.parent.name
        say(step="issuing", authority=name, crl_number=publisher.publish(name, only_if_due=True))


def step_restored(room: Room) -> None:
    """After the CA's database came back from a backup, before the CA is started: earlier approval tokens count no more."""
    say(step="restored", tokens_count_from=to_text(record_restore(room.engine, clock=room.clock)))


def issue_orders(room: Room, orders: Sequence[FileOrder]) -> None:
    """Issues without the service; an order that was served before gets its certificate again."""
    authorities = load_authorities(room.settings.pki_folder)
    issuance = room.issuance(*_issuing(room, authorities))
    for order in orders:
        request = read(order.request_der(), uri=order.uri, dns=order.dns, addresses=order.ip)
        certificate = issuance.ensure(Order(order.profile, request, issuer=order.issuer, generation=order.generation))
        issuer = next(each for each in authorities.values() if each.subject == certificate.issuer)
        chain = [certificate, issuer] if order.chain else [certificate]
        durable.write(order.out, b"".join(each.public_bytes(Encoding.PEM) for each in chain))
        say(step="issue", profile=order.profile, serial=f"{certificate.serial_number:x}", subject=certificate.subject.rfc4514_string())


def _issuing(room: Room, authorities: Mapping[IssuerName, x509.Certificate]) -> list[Issuer]:
    return [room.issuer(name, certificate) for name, certificate in authorities.items() if role_of(name) in ISSUING]


STEPS: Final[dict[str, Callable[[Room], None]]] = {
    "requests": step_requests,
    "root": step_root,
    "root-crl": step_root_crl,
    "issuing": step_issuing,
    "restored": step_restored,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ca.ceremony", description="The CA's key ceremony; see ca/ceremony/ceremony.toml.")
    steps = parser.add_subparsers(dest="step", required=True)
    for name, step in STEPS.items():
        steps.add_parser(name, help=step.__doc__).add_argument("--config", type=Path, required=True)
    steps.choices["requests"].add_argument("--authority", action="append", metavar="NAME", help="another than the first generation")
    successor = steps.add_parser("rollover", help=rollover.certify.__doc__)
    successor.add_argument("--config", type=Path, required=True)
    successor.add_argument("--authority", required=True, metavar="NAME", help="the successor: seals.2, root.2, …")
    revoke = steps.add_parser("revoke", help=revoke_authority.__doc__)
    revoke.add_argument("--config", type=Path, required=True)
    revoke.add_argument("--authority", required=True, metavar="NAME", help="seals, seals.2, …; of a root its cross certificates")
    revoke.add_argument("--reason", required=True, choices=AUTHORITY_REASONS)
    revoke.add_argument("--invalid-since", metavar="INSTANT", help="e.g. 2026-03-01T12:00:00Z")
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


def _run(room: Room, chosen: argparse.Namespace, orders: Sequence[FileOrder]) -> None:
    if chosen.step == "issue":
        issue_orders(room, orders)
    elif chosen.step == "revoke":
        invalid = instant(chosen.invalid_since) if chosen.invalid_since else None
        revoke_authority(room, chosen.authority, chosen.reason, invalid)
    elif chosen.step == "rollover":
        rollover.certify(room, chosen.authority)
    elif chosen.step == "requests":
        step_requests(room, chosen.authority or ISSUING)
    else:
        STEPS[chosen.step](room)


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
            _run(room, chosen, orders)
        engine.dispose()
    except VermilionError as fault:
        sys.stderr.write(f"ca.ceremony {chosen.step}: {fault}\n{fault.rule}\n{fault.way_out}\n")
        return _FAILED
    return 0
