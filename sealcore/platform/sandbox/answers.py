"""What a child answers, held to what it may answer: its document may have taken it over, and write what it likes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from sealcore.errors import REGISTRY, Code, Kind, VermilionError
from sealcore.text import shown

AnswerT = TypeVar("AnswerT")
LONGEST_TEXT: Final = 1000  # characters of a reason
REFUSAL_BYTES: Final = 64 * 1024
TELLABLE: Final = frozenset(
    {code for code, row in REGISTRY.items() if row.kind is Kind.DOCUMENT} | {Code.INVALID_ARGUMENT, Code.GRANT_CERTIFICATION}
)
"""What a child may refuse with: its document, and how that was to be sealed. Anything else (no memory, no room, no key) is of our own
processes, which act on it."""
_NONSENSE: Final = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError)


def damaged() -> VermilionError:
    """DOCUMENT_DAMAGED: what an answer that makes no sense says of the document."""
    return VermilionError(Code.DOCUMENT_DAMAGED, "the document cannot be read")


def understood(reading: Callable[[], AnswerT]) -> AnswerT:
    """What ``reading`` makes of an answer; DOCUMENT_DAMAGED where it makes no sense of it."""
    try:
        return reading()
    except _NONSENSE:
        raise damaged() from None


def refusal(told: Mapping[str, Any]) -> VermilionError:
    """The refusal that a child tells of: its code, if it may be told, and texts that are fit to be shown."""
    texts = {key: shown(str(told[key])[:LONGEST_TEXT])[:LONGEST_TEXT] if told.get(key) else None for key in ("reason", "document", "rule")}
    code = Code.__members__.get(str(told["code"]), Code.DOCUMENT_DAMAGED)
    reason = texts.pop("reason") or "no reason is given"
    return VermilionError(code if code in TELLABLE else Code.DOCUMENT_DAMAGED, reason, **texts)


def refusal_in(answer: list[bytes]) -> VermilionError:
    """The same, from its JSON."""
    try:
        return understood(lambda: refusal(json.loads(answer[0])))
    except VermilionError as nonsense:
        return nonsense


def fault_in(answer: list[bytes]) -> VermilionError:
    """DOCUMENT_DAMAGED, with the name of the exception that was not foreseen."""
    name = b"".join(answer).decode("ascii", "replace")[:100]
    return VermilionError(Code.DOCUMENT_DAMAGED, f"the document cannot be read ({name})") if name.isidentifier() else damaged()
