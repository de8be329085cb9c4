"""What is wrong with a plan: each fault with its line, what it is, and the way out."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from sealcore.errors import Code, VermilionError
from vermilion.messages import text
from vermilion.planning.lines import Lines, Path
from vermilion.planning.model import UNFIT, UNKNOWN_WORD, Plan

MISSING: Final = "missing"
UNKNOWN_NAME: Final = "extra_forbidden"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong or, as a warning, that may not be meant; ``path`` leads to it in the file."""

    path: Path
    what: str
    way_out: str
    warning: bool = False

    @property
    def where(self) -> str:
        """The path as a person counts: people[2].unit is the second one's."""
        return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in self.path).lstrip(".")


class PlanError(VermilionError):
    """A plan with faults, each of which is in ``faults`` with its line."""

    def __init__(self, file: str, faults: Sequence[tuple[int, Fault]]) -> None:
        super().__init__(Code.CONFIGURATION_INVALID, text("plan.faulty", count=len(faults), file=file), rule=text("plan.rule"))
        self.file, self.faults = file, tuple(faults)


def placed(faults: Sequence[Fault], lines: Lines) -> list[tuple[int, Fault]]:
    """The faults with their lines, in the order of the file."""
    return sorted(((lines.of(fault.path), fault) for fault in faults), key=lambda one: (one[0], one[1].where))


def of_schema(found: Sequence[ErrorDetails]) -> list[Fault]:
    """What does not fit the schema, one fault for each place."""
    return [_of_schema(one) for one in found]


def _of_schema(found: ErrorDetails) -> Fault:
    path, kind = tuple(part for part in found["loc"] if part != "[key]"), found["type"]
    described = describe(path)
    if kind == MISSING:
        return Fault(path, text("plan.missing"), described)
    if kind == UNKNOWN_NAME:
        known = names_in(path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, 1)
        way_out = text("plan.meant", name=near[0]) if near else text("plan.known", names=", ".join(known))
        return Fault(path, text("plan.unknown_name", name=str(path[-1])), way_out)
    if kind == UNKNOWN_WORD:
        about: Mapping[str, Any] = found["ctx"]
        near = difflib.get_close_matches(about["value"], about["known"], 1)
        meant = " ".join([*(text("plan.meant", name=one) for one in near), sentence(described)])
        return Fault(path, text("plan.unknown_word", what=about["what"], value=about["value"]), meant)
    if kind == UNFIT:
        return Fault(path, found["ctx"]["reason"], described)
    return Fault(path, text("plan.unfit", value=_shown(found["input"])), described)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return text("plan.a_table" if isinstance(value, dict) else "plan.a_list")
    return f"“{value}”" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def sentence(words: str) -> str:
    """The words as a sentence begins."""
    return words[:1].upper() + words[1:]


def describe(path: Path) -> str:
    """What the plan's field at this place is to be."""
    model: Any = Plan
    said = ""
    for part in path:
        if not isinstance(part, str) or not _has_fields(model):
            continue
        field = model.model_fields.get(part)
        if field is None:
            continue
        said = field.description or said
        model = _inner(field.annotation)
    return said or text("plan.see_example")


def names_in(path: Path) -> list[str]:
    """The names that a table at this place may have."""
    model: Any = Plan
    for part in path:
        if isinstance(part, str):
            model = _inner(model.model_fields[part].annotation)
    return list(model.model_fields) if _has_fields(model) else []


def _has_fields(model: Any) -> bool:
    return isinstance(model, type) and issubclass(model, BaseModel)


def _inner(annotation: Any) -> Any:
    """The model of a list's rows, or the field's own type."""
    arguments = getattr(annotation, "__args__", ())
    return next((one for one in arguments if _has_fields(one)), annotation)
