"""Which metrics and labels a PromQL expression names; enough of the language for our own alerts and dashboard."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

FUNCTIONS = frozenset({"sum", "min", "max", "rate", "increase", "histogram_quantile"})
KEYWORDS = frozenset({"by", "or", "unless", "and"})
_TOKEN = re.compile(
    r"""\s+ | (?P<string>"(?:[^"\\]|\\.)*") | (?P<range>\[(?:\d+[smhd]|\$__rate_interval)\]) | (?P<number>\d+(?:\.\d+)?(?:e\d+)?)
      | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*) | (?P<sign>=~|!~|!=|==|<=|>=|[-+*/<>=(){},])""",
    re.VERBOSE,
)


@dataclass
class Named:
    """What an expression names: metric → labels that it is filtered by; labels that it groups by."""

    metrics: dict[str, set[str]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)


def parse(expression: str) -> Named:
    """Raises ValueError for what is none: an unknown character or function, brackets that do not match."""
    named, closing = Named(), []
    tokens = list(_tokens(expression))
    place = 0
    while place < len(tokens):
        kind, text = tokens[place]
        following = tokens[place + 1][1] if place + 1 < len(tokens) else ""
        if kind == "sign" and text in "({":
            closing.append({"(": ")", "{": "}"}[text])
        elif kind == "sign" and text in ")}" and (not closing or closing.pop() != text):
            raise ValueError(f"brackets do not match in {expression!r}")
        elif kind == "name" and text == "by":
            end = next(at for at in range(place, len(tokens)) if tokens[at][1] == ")")
            named.groups |= {word for what, word in tokens[place:end] if what == "name" and word != "by"}
            place = end
        elif kind == "name" and following == "(" and text not in KEYWORDS:
            if text not in FUNCTIONS:
                raise ValueError(f"unknown function {text} in {expression!r}")
        elif kind == "name" and text not in KEYWORDS and text not in FUNCTIONS:
            labels = named.metrics.setdefault(text, set())
            if following == "{":
                end = next(at for at in range(place, len(tokens)) if tokens[at][1] == "}")
                labels |= {word for what, word in tokens[place + 2 : end] if what == "name"}
                place = end
        place += 1
    if closing:
        raise ValueError(f"brackets do not match in {expression!r}")
    return named


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"{expression[at : at + 10]!r} is no PromQL")
        if match.lastgroup is not None:
            found.append((match.lastgroup, match.group()))
        at = match.end()
    return found
