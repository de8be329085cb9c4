"""A plan from its file: read, judged by the schema and by the checks, all faults at once."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sealcore.errors import Code, VermilionError
from sealcore.platform import durable
from vermilion.messages import text
from vermilion.planning import checks
from vermilion.planning.faults import Fault, PlanError, of_schema, placed
from vermilion.planning.lines import Lines
from vermilion.planning.model import Plan

_AT = re.compile(r"line (\d+)")
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Judged:
    """A plan without faults, and what may not be meant in it, by line."""

    plan: Plan
    warnings: tuple[tuple[int, Fault], ...]


def load(file: Path, *, resolves: checks.Resolve = checks.resolve) -> Judged:
    """The plan in ``file``; PlanError (CONFIGURATION_INVALID) with all that is wrong, FILE_UNUSABLE."""
    try:
        content = file.read_bytes()
    except OSError as fault:
        raise durable.unusable(fault, file) from None
    if len(content) > MOST_BYTES:
        raise VermilionError(Code.FILE_UNUSABLE, f"{file} has more than {MOST_BYTES:,} bytes; it is no plan")
    return read(content, file.name, resolves=resolves)


def read(content: bytes, name: str, *, resolves: checks.Resolve = checks.resolve) -> Judged:
    """The plan that these bytes state; PlanError with all that is wrong. ``name`` is what the file is called to whoever reads the faults."""
    try:
        written = content.decode("utf-8")
        values = tomllib.loads(written)
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        raise PlanError(name, [(line, Fault((), text("plan.not_utf8"), text("plan.not_utf8_way")))]) from None
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        found = _AT.search(str(fault))
        raise PlanError(name, [(int(found[1]) if found else 1, Fault((), str(fault), text("plan.not_toml_way")))]) from None
    plan, wrong = _by_schema(values)
    wrong += checks.faults(values, resolves=resolves)
    lines = Lines(written)
    if plan is None or not all(fault.warning for fault in wrong):
        raise PlanError(name, placed([fault for fault in wrong if not fault.warning], lines))
    return Judged(plan, tuple(placed(wrong, lines)))


def faults_of(values: dict[str, Any], *, resolves: checks.Resolve = checks.resolve) -> list[Fault]:
    """All that is wrong with these values of a plan."""
    return [*_by_schema(values)[1], *checks.faults(values, resolves=resolves)]


def _by_schema(values: dict[str, Any]) -> tuple[Plan | None, list[Fault]]:
    try:
        return Plan.model_validate(values), []
    except ValidationError as fault:
        return None, of_schema(fault.errors(include_url=False))
