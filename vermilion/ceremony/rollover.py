"""Rollover of an authority: a new key, its certificate and cross certificates, its first CRL, and what services trust.

Steps, each a process with one token: the root's is opened by these processes alone, never by a service. A rollover that was stopped
goes on where it was, because every step finds what it made before; until it has ended, its beginning stands in the ceremony folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from ca.names import ISSUING, IssuerName, Role, generations, name_of, parts
from ca.pki import load_authorities
from sealcore.clock import Clock, SystemClock
from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.ceremony.alone import alone
from vermilion.ceremony.authorities import settings_file
from vermilion.ceremony.context import Ceremony
from vermilion.operation.programs import run
from vermilion.state import keyring, trust_files
from vermilion.state.layout import Layout
from vermilion.state.office import Office

Step = Callable[[Ceremony, IssuerName], None]


def roll(
    layout: Layout,
    office: Office,
    role: Role,
    *,
    generation: int | None = None,
    report: Callable[[str], None] = lambda _key: None,
    clock: Clock | None = None,
) -> IssuerName:
    """Makes the next generation of an authority, or goes on with the one that was begun; its name.

    ``generation`` says which one is meant; one that is there already stays as it is. CONFLICT for one that cannot be next, or while
    another process is at it.
    """
    with alone(layout):
        name = _next(layout, role, generation)
        begun = _begun(layout, name)
        if begun.exists() or name not in load_authorities(layout.pki):
            durable.write(begun, b"", mode=durable.PRIVATE)
            ceremony = Ceremony(layout, office, clock or SystemClock())
            for key, step in STEPS:
                report(key)
                step(ceremony, name)
            begun.unlink()
            durable.sync_folder(begun.parent)
        return name


def _next(layout: Layout, role: Role, wanted: int | None) -> IssuerName:
    newest = parts(generations(role, load_authorities(layout.pki))[-1])[1]
    unfinished = next((number for number in (newest, newest + 1) if _begun(layout, name_of(role, number)).exists()), None)
    number = wanted or unfinished or newest + 1
    possible = [unfinished] if unfinished else [newest, newest + 1]
    if number not in possible or number == 1:
        rule = "Generations follow one another, and one is finished before the next begins."
        raise VermilionError(Code.CONFLICT, f"{name_of(role, number)} is not next; {name_of(role, possible[-1])} is", rule=rule)
    return name_of(role, number)


def _begun(layout: Layout, name: IssuerName) -> Path:
    return layout.ceremony / f"rollover-{name}.begun"


def _key(ceremony: Ceremony, name: IssuerName) -> None:
    """The successor's key, as a pattern of the inventory allows it."""
    token = "root" if parts(name)[0] == "root" else "ca"
    settings = ceremony.layout.token_settings(token)
    declared = keyring.write_inventory(ceremony.layout, ceremony.office)
    made = run("hsm_config.keygen", "--token", token, "--settings", settings, "--inventory", declared, "--add", f"ca.{name}")
    durable.write(keyring.record_file(ceremony.layout, token), made)


def _requests(ceremony: Ceremony, name: IssuerName) -> None:
    """In the CA's token: the keys that the root is to certify prove that they are there."""
    names = [name]
    if parts(name)[0] == "root":
        present = load_authorities(ceremony.layout.pki)
        names = [
            each for role in ISSUING for each in generations(role, present) if present[each].not_valid_after_utc > ceremony.clock.now()
        ]
    asking = [argument for each in names for argument in ("--authority", each)]
    run("ca.ceremony", "requests", "--config", settings_file(ceremony, "ca"), *asking)


def _certified(ceremony: Ceremony, name: IssuerName) -> None:
    """In the root's token: certificate and cross certificates; a new root's CRL."""
    run("ca.ceremony", "rollover", "--config", settings_file(ceremony, "root"), "--authority", name)


def _crl(ceremony: Ceremony, _name: IssuerName) -> None:
    """In the CA's token: a new issuing CA's first CRL."""
    run("ca.ceremony", "issuing", "--config", settings_file(ceremony, "ca"))


def _trust(ceremony: Ceremony, _name: IssuerName) -> None:
    trust_files.write_all(ceremony.layout, ceremony.clock.now())


STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("rollover_key", _key),
    ("rollover_requests", _requests),
    ("rollover_certified", _certified),
    ("rollover_crl", _crl),
    ("rollover_trust", _trust),
)
