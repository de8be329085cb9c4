"""`vermilion init` at a terminal: what a plan would say is asked, each answer judged at once as the plan's own checks judge it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Final

import typer

from timestamp.clock_sources import read_clock_state
from vermilion.messages import text
from vermilion.planning import checks
from vermilion.planning.faults import Fault, describe, sentence
from vermilion.planning.lines import Path
from vermilion.planning.model import Plan
from vermilion.planning.reading import faults_of
from vermilion.terminal import say

USUAL_QUORUM: Final = 2
PUBLIC: Final = (  # what strangers reach, how its address begins, and the label that is proposed before the domain
    ("authority", "http", "pki"),
    ("ocsp", "http", "ocsp"),
    ("timestamp", "http", "tsa"),
    ("verify", "https", "verify"),
    ("ledger", "https", "log"),
    ("office", "https", "seals"),
    ("signer_page", "https", "decide.seals"),
)

Convert = Callable[[str], Any]


def ask() -> Plan:
    """The plan that the answers make; ``typer.Abort`` where whoever answers stops."""
    asked = _Interview()
    say("ask.begin")
    asked.who()
    asked.units()
    asked.people()
    asked.seals()
    asked.clients()
    asked.addresses()
    asked.clock()
    return Plan.model_validate(asked.values)


class _Interview:
    """The answers so far, in the form of a plan's file."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._resolves = lru_cache(maxsize=64)(checks.resolve)
        self._hinted: set[str] = set()

    def who(self) -> None:
        """Names, country, number, short name."""
        say("ask.part.who", "title")
        name = self._text(("name",))
        self._text(("name_english",), default=name if name.isascii() else "", optional=True)
        while language := self._prompt(text("ask.language"), ""):
            self._set(("names", language), self._prompt(text("ask.name_in", language=language), ""))
            if self._told(("names", language)):
                del self.values["names"][language]
        self._text(("country",), convert=str.upper)
        self._text(("registration_number",), optional=True)
        self._text(("short_name",), default=_short(self.values.get("name_english", name)))

    def units(self) -> None:
        say("ask.part.units", "title")
        self._rows("units", "code", self._unit, least=1, default="OFFICE", convert=str.upper)

    def _unit(self, at: int) -> None:
        self._text(("units", at, "name"), default=self.values["name"] if at == 0 else "")

    def people(self) -> None:
        """People, until somebody may approve and somebody may stop a seal; then how many change the register."""
        say("ask.part.people", "title")
        self._rows("people", "name", self._person, least=1)
        while lacking := self._lacking():
            say("ask.lacking", "undetermined", what=lacking)
            self._row("people", "name", self._person)
        self._number(("register_quorum",), default=min(USUAL_QUORUM, checks.approvers(self.values)))

    def _lacking(self) -> str:
        if checks.approvers(self.values) == 0:
            return text("plan.no_approver_way")
        return next((fault.way_out for fault in self._faults(("people",)) if fault.path == ("people",)), "")

    def _person(self, at: int) -> None:
        if len(self.values["units"]) > 1:
            self._text(("people", at, "unit"), default=self.values["units"][0]["code"], convert=str.upper)
        self._text(("people", at, "roles"), default="approver, officer" if at == 0 else "approver", convert=_words)

    def seals(self) -> None:
        say("ask.part.seals", "title")
        self._rows("seals", "kind", self._seal, least=1, default="contract")

    def _seal(self, at: int) -> None:
        self._text(("seals", at, "algorithm"), default="p-256")
        self._number(("seals", at, "quorum"), default=min(USUAL_QUORUM, checks.approvers(self.values)))
        if self.values.get("names"):
            self._text(("seals", at, "language"), optional=True)
        self._text(("seals", at, "caption"), optional=True)
        self._text(("seals", at, "number"), optional=True)

    def clients(self) -> None:
        say("ask.part.clients", "title")
        self._rows("clients", "name", self._client, least=0)

    def _client(self, at: int) -> None:
        if len(self.values["units"]) > 1:
            self._text(("clients", at, "unit"), default=self.values["units"][0]["code"], convert=str.upper)

    def addresses(self) -> None:
        """Public host names, each proposed under the domain of the first."""
        say("ask.part.addresses", "title")
        if not typer.confirm(text("ask.strangers"), default=False):
            return
        domain = ""
        for what, scheme, label in PUBLIC:
            url = self._text(
                ("addresses", what),
                default=f"{label}.{domain}" if domain else "",
                optional=True,
                convert=partial(_url, scheme),
            )
            domain = domain or ".".join(str(url).partition("://")[2].split("/")[0].split(".")[1:])

    def clock(self) -> None:
        reading = read_clock_state(None)
        say("ask.part.clock", "title")
        say("ask.clock_free" if reading.bound_us is None else "ask.clock_well", "quiet")
        stops = typer.confirm(text("ask.clock_stops"), default=True)
        self.values["clock"] = "require-synchronised" if stops else "trust-machine"

    # --- one answer, one row

    def _rows(self, name: str, first: str, rest: Callable[[int], None], *, least: int, default: str = "", convert: Convert = str) -> None:
        """Rows until the first question of one stays without an answer."""
        while self._row(name, first, rest, default=default if not self.values.get(name) else "", least=least, convert=convert):
            pass

    def _row(
        self, name: str, first: str, rest: Callable[[int], None], *, default: str = "", least: int = 1, convert: Convert = str
    ) -> bool:
        at = len(self.values.get(name, []))
        optional = at >= least
        if not self._text((name, at, first), default=default, optional=optional, convert=convert, more=optional):
            return False
        rest(at)
        return True

    def _number(self, path: Path, *, default: int) -> None:
        self._text(path, default=str(default), convert=lambda typed: int(typed) if re.fullmatch(r"-?[0-9]{1,4}", typed) else typed)

    def _text(self, path: Path, *, default: str = "", optional: bool = False, convert: Convert = str, more: bool = False) -> Any:
        """The answer that the plan's checks let pass; nothing for one that may be left out, and is."""
        key = ".".join(part for part in path if isinstance(part, str))
        if key not in self._hinted:
            say("ask.hint", "quiet", hint=describe(path))
            self._hinted.add(key)
        while True:
            typed = self._prompt(text("ask.more" if more else "ask.one", what=text(f"ask.{key}")), default)
            if not typed and optional:
                self._drop(path)
                return ""
            self._set(path, convert(typed))
            if not self._told(path):
                return self._get(path)

    def _prompt(self, question: str, default: str) -> str:
        answer: str = typer.prompt(question, default=default, show_default=bool(default))
        return unicodedata.normalize("NFC", answer).strip()

    def _told(self, path: Path) -> bool:
        """Whether the answer is refused; what is to be said of it was."""
        found = self._faults(path)
        for fault in found:
            say(
                "ask.warned" if fault.warning else "ask.refused",
                "undetermined" if fault.warning else "invalid",
                what=fault.what,
                way_out=sentence(fault.way_out),
            )
        return not all(fault.warning for fault in found)

    def _faults(self, path: Path) -> list[Fault]:
        """What is wrong at this place, leaving aside what is not asked yet."""
        return [fault for fault in faults_of(self.values, resolves=self._resolves) if fault.path[: len(path)] == path]

    def _set(self, path: Path, value: Any) -> None:
        inner: Any = self.values
        for part, following in pairwise(path):
            if isinstance(part, str):
                inner = inner.setdefault(part, [] if isinstance(following, int) else {})
            else:
                if part == len(inner):
                    inner.append({})
                inner = inner[part]
        inner[path[-1]] = value

    def _get(self, path: Path) -> Any:
        inner: Any = self.values
        for part in path:
            inner = inner[part]
        return inner

    def _drop(self, path: Path) -> None:
        """Takes an answer back, and the row that it would begin."""
        inner: Any = self.values
        for part in path[:-1]:
            if isinstance(part, str) and part not in inner:
                return
            if isinstance(part, int) and part >= len(inner):
                return
            inner = inner[part]
        inner.pop(path[-1], None)
        if isinstance(path[-2] if len(path) > 1 else None, int) and not inner:
            self._get(path[:-2]).pop()


def _words(typed: str) -> list[str]:
    return [word for word in re.split(r"[,\s]+", typed.lower()) if word]


def _url(scheme: str, typed: str) -> str:
    return typed if "://" in typed else f"{scheme}://{typed}"


def _short(name: str) -> str:
    """A short name from the first word of a name, if it can be written so."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return next(iter(re.findall(r"[a-z0-9-]+", plain)), "").strip("-")
