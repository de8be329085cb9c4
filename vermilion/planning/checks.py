"""What a schema cannot say of a plan. Each check reads the file's values as they are, so that one that is wrong hides no other."""

from __future__ import annotations

import ipaddress
import socket
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from sealcore.errors import VermilionError
from signer.pdf.picture import LONGEST_NAME, round_seal
from vermilion.messages import text
from vermilion.operation.doctor import FONT_FILE
from vermilion.operation.ports import default_ports
from vermilion.planning.faults import Fault
from vermilion.planning.lines import Path
from vermilion.planning.model import COUNTRIES, MOST_ORGANIZATION, is_whole_identifier, organization_identifier
from vermilion.services import SERVICES

Values = Mapping[str, Any]
Resolve = Callable[[str], object]

ALONE: Final = ("operator", "auditor")
LEI_COUNTRY, LEI_LETTERS = "XG", 20
TAX_COUNTRIES: Final = ("EL", "XI")  # Greece and Northern Ireland, as their tax numbers begin
RESERVED: Final = frozenset({"operator", *(service.name for service in SERVICES)})
PUBLIC: Final = ("authority", "ocsp", "timestamp", "verify", "ledger", "office", "signer_page")


def resolve(host: str) -> object:
    """The addresses of a host, as this machine finds them; OSError."""
    return socket.getaddrinfo(host, None)


def faults(plan: Values, *, resolves: Resolve = resolve) -> list[Fault]:
    """All faults of a plan, in the order of its parts."""
    return [
        *_registration(plan),
        *_units(plan),
        *_people(plan),
        *_quorums(plan),
        *_pictures(plan),
        *_seals(plan),
        *_clients(plan),
        *_listening(plan),
        *_hosts(plan, resolves),
    ]


def _fault(path: Path, key: str, *, warning: bool = False, **values: object) -> Fault:
    return Fault(path, text(f"plan.{key}", **values), text(f"plan.{key}_way", **values), warning)


def rows(plan: Values, name: str) -> list[tuple[int, Values]]:
    """The tables of a list, with their places; what is no table is the schema's to refuse."""
    found = plan.get(name)
    return [(at, row) for at, row in enumerate(found) if isinstance(row, Mapping)] if isinstance(found, list) else []


def _text(row: Values, name: str) -> str:
    value = row.get(name)
    return value.strip() if isinstance(value, str) else ""


def _number(row: Values, name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(row: Values, name: str) -> list[str]:
    found = row.get(name)
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _doubled(found: Sequence[tuple[Path, str]], key: str) -> Iterator[Fault]:
    """A fault for every value but the first that is there already, in whatever case, spacing and composition."""
    seen: dict[str, Path] = {}
    for path, value in found:
        first = seen.setdefault(" ".join(unicodedata.normalize("NFKC", value).casefold().split()), path)
        if value and first != path:
            yield _fault(path, key, name=value, first=Fault(first, "", "").where)


def _registration(plan: Values) -> Iterator[Fault]:
    number, country = _text(plan, "registration_number"), _text(plan, "country")
    whole = organization_identifier(country, number)
    if len(whole) > MOST_ORGANIZATION:
        yield _fault(("registration_number",), "number_long", most=MOST_ORGANIZATION)
    if not number or not is_whole_identifier(number):
        return
    scheme, place, reference = number[:3], number[3:5], number[6:]
    if scheme == "LEI":
        if place != LEI_COUNTRY or not _is_lei(reference):
            yield _fault(("registration_number",), "number_lei")
    elif place not in COUNTRIES and not (scheme == "VAT" and place in TAX_COUNTRIES):
        yield _fault(("registration_number",), "number_country", country=place)
    elif place != country and country in COUNTRIES:
        yield _fault(("registration_number",), "number_elsewhere", warning=True, place=place, country=country)


def _is_lei(value: str) -> bool:
    """ISO 17442: 18 letters and digits, and two check digits (ISO 7064, mod 97-10)."""
    if len(value) != LEI_LETTERS or not (value.isascii() and value.isalnum() and value.upper() == value):
        return False
    return int("".join(str(int(one, 36)) for one in value)) % 97 == 1


def _units(plan: Values) -> Iterator[Fault]:
    units = rows(plan, "units")
    yield from _doubled([(("units", at, "code"), _text(row, "code")) for at, row in units], "unit_twice")
    yield from _doubled([(("units", at, "name"), _text(row, "name")) for at, row in units], "unit_named_twice")
    known = [_text(row, "code") for _, row in units]
    named: list[tuple[Path, str]] = [(("unit",), _text(plan, "unit"))]
    named += [(("people", at, "unit"), _text(row, "unit")) for at, row in rows(plan, "people")]
    for at, row in rows(plan, "clients"):
        named += [(("clients", at, "unit"), _text(row, "unit")), *((("clients", at, "units"), one) for one in _texts(row, "units"))]
    for path, code in named:
        if code and code not in known:
            yield _fault(path, "unit_unknown", code=code, known=", ".join(filter(None, known)) or "–")


def _people(plan: Values) -> Iterator[Fault]:
    people = rows(plan, "people")
    yield from _doubled([(("people", at, "name"), _text(row, "name")) for at, row in people], "person_twice")
    for at, row in people:
        roles = _texts(row, "roles")
        if set(roles) & set(ALONE) and len(set(roles)) > 1:
            yield _fault(("people", at, "roles"), "roles_together", name=_text(row, "name"))
        for role in (role for role, times in Counter(roles).items() if times > 1):
            yield _fault(("people", at, "roles"), "role_twice", role=role)
    if people and not any("officer" in _texts(row, "roles") for _, row in people):
        yield _fault(("people",), "no_officer")


def approvers(plan: Values) -> int:
    """How many people may approve; whose roles are no list may be one of them."""
    return sum("approver" in row["roles"] if isinstance(row.get("roles"), list) else True for _, row in rows(plan, "people"))


def _quorums(plan: Values) -> Iterator[Fault]:
    """No quorum above the approvers that there are: whatever asks for more could never happen."""
    have, register = approvers(plan), plan.get("register_quorum", 2)
    if not rows(plan, "people"):
        return
    asked: list[tuple[Path, Any]] = [(("register_quorum",), register)]
    for at, row in rows(plan, "seals"):
        asked += [(("seals", at, name), row.get(name)) for name in ("quorum", "resume_quorum", "grant_quorum")]
    for path, least in asked:
        if isinstance(least, int) and not isinstance(least, bool) and least > have:
            yield _fault(path, "quorum_unmeetable" if have else "no_approver", least=least, have=have)
    for at, row in rows(plan, "seals"):
        if _number(row, "quorum") == 0:
            yield _fault(("seals", at, "quorum"), "quorum_none", warning=True)
        elif (least := _number(row, "quorum")) is not None and least == have and _all_apply(plan):
            yield _fault(("seals", at, "quorum"), "quorum_applicant", warning=True, least=least)


def _all_apply(plan: Values) -> bool:
    """Whether only approvers may apply: who applies does not count among those that approve."""
    applicants = [_texts(row, "roles") for _, row in rows(plan, "people") if "applicant" in _texts(row, "roles")]
    return bool(applicants) and all("approver" in roles for roles in applicants)


def _seals(plan: Values) -> Iterator[Fault]:
    seals = rows(plan, "seals")
    yield from _doubled([(("seals", at, "number"), _text(row, "number")) for at, row in seals], "seal_number_twice")
    alike = [(("seals", at, "kind"), "\n".join(_text(row, name) for name in ("kind", "caption", "language"))) for at, row in seals]
    seen: dict[str, Path] = {}
    for path, what in alike:
        first = seen.setdefault(what, path)
        if first != path and what.strip():
            yield _fault(path, "seal_twice", kind=what.partition("\n")[0], first=Fault(first[:-1], "", "").where)


def ring(plan: Values, seal: Values) -> str:
    """The text on a seal's ring."""
    names = plan.get("names")
    own = names.get(_text(seal, "language")) if isinstance(names, Mapping) else None
    return own.strip() if isinstance(own, str) else _text(plan, "name")


def _pictures(plan: Values) -> Iterator[Fault]:
    """Each picture is drawn once: whether its texts have room there, and the font has their characters."""
    if not FONT_FILE.exists():
        yield Fault((), text("plan.no_font", file=FONT_FILE), text("plan.no_font_way"))
        return
    names = plan.get("names")
    for at, row in rows(plan, "seals"):
        if (language := _text(row, "language")) and language not in (names if isinstance(names, Mapping) else {}):
            yield _fault(("seals", at, "language"), "language_unknown", language=language)
        words, caption, number = ring(plan, row), _text(row, "caption"), _text(row, "number")
        if not words or len(words) > LONGEST_NAME:
            if words:
                yield _fault(("names",) if _text(row, "language") else ("name",), "ring_long", most=LONGEST_NAME)
            continue
        if not _undrawable(words, caption, number):
            continue
        parts: list[tuple[Path, tuple[str, str, str]]] = [(("name",), (words, "", ""))]
        parts += [(("seals", at, "caption"), (words, caption, "")), (("seals", at, "number"), (words, "", number))]
        for path, drawn in parts:
            if (reason := _undrawable(*drawn)) and (path == ("name",) or not _undrawable(words, "", "")):
                yield Fault(path, reason, text("plan.picture_way"))


@lru_cache(maxsize=64)
def _undrawable(words: str, caption: str, number: str) -> str:
    """Why no picture can be drawn with these texts; empty where it can."""
    try:
        round_seal(words, caption, number, font_file=FONT_FILE)
    except VermilionError as fault:
        return fault.reason
    return ""


def _clients(plan: Values) -> Iterator[Fault]:
    clients = rows(plan, "clients")
    yield from _doubled([(("clients", at, "name"), _text(row, "name")) for at, row in clients], "client_twice")
    for at, row in clients:
        if _text(row, "name").casefold() in RESERVED:
            yield _fault(("clients", at, "name"), "client_reserved", name=_text(row, "name"))


def _hosts(plan: Values, resolves: Resolve) -> Iterator[Fault]:
    """Names that this machine cannot find: perhaps only not yet."""
    addresses = plan.get("addresses")
    if not isinstance(addresses, Mapping):
        return
    hosts: list[tuple[Path, str]] = [(("addresses", name), _host(_text(addresses, name))) for name in PUBLIC]
    hosts += [(("addresses", "names"), one) for one in _texts(addresses, "names")]
    known: dict[str, bool] = {}
    for path, host in hosts:
        if host and not known.setdefault(host, _resolves(host, resolves)):
            yield _fault(path, "host_unknown", warning=True, host=host)


def _listening(plan: Values) -> Iterator[Fault]:
    """Ports that there are, and addresses of this machine as a listener takes them."""
    addresses = plan.get("addresses")
    listen = addresses.get("listen") if isinstance(addresses, Mapping) else None
    known = default_ports()
    for name, host in listen.items() if isinstance(listen, Mapping) else ():
        if name not in known:
            yield _fault(("addresses", "listen", name), "port_unknown", name=name, known=", ".join(known))
        if isinstance(host, str) and not _is_address(host):
            yield _fault(("addresses", "listen", name), "no_address", host=host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _resolves(host: str, resolves: Resolve) -> bool:
    try:
        resolves(host)
    except (OSError, UnicodeError):
        return False
    return True
