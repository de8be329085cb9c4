"""A service over its lives: started, ended by itself, started again after a while, left down after too many ends."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from sealcore.clock import Clock
from sealcore.platform.durable import unusable
from vermilion.operation.process import ServiceProcess, forget
from vermilion.operation.restarts import Deaths, RestartPolicy
from vermilion.operation.signals import postponed
from vermilion.services import ServiceSpec
from vermilion.state.layout import Layout

READY_TIMEOUT_S: Final = 90.0  # a cold start on two busy cores, with room
_HUNG: Final = f"was not ready within {READY_TIMEOUT_S:.0f} s"


class Turn(StrEnum):
    """What became of a service."""

    ENDED = "ended"  # by itself; it is started again
    BACK = "back"  # ready again
    DOWN = "down"  # it ended too often, or a repeat would do harm


@dataclass(frozen=True)
class Change:
    """cause  why it ended, as a predicate; again_s  how long until it is started again; deaths  how often it had ended when it was left down."""

    service: str
    turn: Turn
    cause: str = ""
    again_s: float = 0.0
    deaths: int = 0


@dataclass(frozen=True)
class Absence:
    """The note of a service that ended by itself and is not ready again."""

    cause: str
    since: str  # UTC, ISO 8601
    given_up: bool


def absence(layout: Layout, service: str) -> Absence | None:
    """What its launcher notes of a service that is away; None when it notes nothing."""
    try:
        return Absence(**json.loads(layout.run(f"{service}.down").read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


class Watched:
    """Not thread-safe. Nothing of it blocks but ``stop``."""

    def __init__(self, layout: Layout, service: ServiceSpec, clock: Clock, policy: RestartPolicy) -> None:
        self.service = service
        self._layout, self._clock, self._policy = layout, clock, policy
        self._note = layout.run(f"{service.name}.down")
        self._process: ServiceProcess | None = None
        self._deaths = Deaths(policy)
        self._begun_s = self._again_s = 0.0
        self._ready_s: float | None = None
        self._unwritten: Absence | None = None  # the note of what must not be started again, while the disk is full
        self._short_of = ""
        self.given_up = False

    @property
    def is_ready(self) -> bool:
        """Whether it serves, as far as is known."""
        return self._ready_s is not None

    def start(self) -> None:
        """Begins a life; OSError where the system has no room for a process."""
        self._ready_s, self._begun_s = None, self._clock.monotonic_s()
        with postponed():  # an interrupt just after the start would leave a process that nobody knows
            self._process = ServiceProcess(self._layout, self.service)

    def why_not_ready(self) -> str | None:
        """Why this life will not become ready, as a predicate; None while it may, and once it is."""
        assert self._process is not None, "it was not started"
        if self._process.has_ended:
            return self._process.cause
        says_so = self._process.is_ready  # also later: what it says is to be taken from it
        if self._ready_s is None:
            now_s = self._clock.monotonic_s()
            if says_so:
                self._ready_s = now_s
            elif now_s - self._begun_s > READY_TIMEOUT_S:
                self._process.stop(within_s=0)
                return _HUNG
        return None

    def look(self, *, may_start: bool) -> Change | None:
        """One look at it: what has become of it since the last one. ``may_start``: whether what it needs is there."""
        if self._process is not None:
            was_ready = self.is_ready
            if (cause := self.why_not_ready()) is not None:
                return self._ended(cause)
            return self._back() if self.is_ready and not was_ready else None
        if self.given_up and self._unwritten is not None:
            self._write(self._unwritten, needed=True)
        elif self.given_up and self._note_is_gone():  # somebody has mended it and says so
            self.given_up, self._deaths, self._again_s = False, Deaths(self._policy), 0.0
        if self.given_up or not may_start or self._clock.monotonic_s() < self._again_s:
            return None
        try:
            self.start()
        except OSError as fault:
            why = unusable(fault, fault.filename or self._layout.log(self.service.name))
            return self._hindered(f"could not be started: {why.code}: {why.reason}")
        return None

    def stop(self) -> None:
        """Ends it in order; nothing of it is left, and no note of it."""
        if self._process is not None:
            self._process.stop()
        self._process, self._ready_s = None, None
        forget(self._note)

    def _back(self) -> Change:
        forget(self._note)
        self._short_of = ""
        return Change(self.service.name, Turn.BACK)

    def _ended(self, cause: str) -> Change | None:
        now_s = self._clock.monotonic_s()
        served_s = 0.0 if self._ready_s is None else now_s - self._ready_s
        harmful = self._process is not None and self._process.repeat_does_harm
        short = self._process is not None and self._process.was_short
        self._process, self._ready_s = None, None
        if short:
            return self._hindered(cause)
        self._short_of = ""
        again_s = self._deaths.add(now_s, served_s)
        self.given_up = harmful or again_s is None
        self._write(self._absence(cause), needed=harmful)
        if again_s is None or harmful:
            return Change(self.service.name, Turn.DOWN, cause, deaths=1 if harmful else self._policy.deaths)
        self._again_s = now_s + again_s
        return Change(self.service.name, Turn.ENDED, cause, again_s)

    def _hindered(self, cause: str) -> Change | None:
        """It cannot run for now, through no fault of its own: told once, and tried until it can."""
        again_s = self._deaths.add_shortage()
        self._again_s = self._clock.monotonic_s() + again_s
        if cause == self._short_of:
            return None
        self._short_of = cause
        self._write(self._absence(cause))
        return Change(self.service.name, Turn.ENDED, cause, again_s)

    def _absence(self, cause: str) -> Absence:
        return Absence(cause, self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"), self.given_up)

    def _note_is_gone(self) -> bool:
        try:
            return not self._note.exists()
        except OSError:  # nobody can tell
            return False

    def _write(self, note: Absence, *, needed: bool = False) -> None:
        """Notes it. Where the disk has no room for that, what is given up is tried again, as seldom as may be: nobody could remove the note
        of it. What is ``needed`` is noted later instead, and nothing is tried until then."""
        try:
            self._note.write_text(json.dumps(asdict(note)), "utf-8")
            self._unwritten = None
        except OSError:
            if needed:
                self._unwritten = note
            elif self.given_up:
                self.given_up, self._again_s = False, self._clock.monotonic_s() + self._policy.most_s
