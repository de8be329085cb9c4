"""The kinds of forms, one module each. A new kind is a module here and an entry of ``KINDS``; nothing else lists them.

Who carries acts out is in ``performers``; which actions there are, in ``sealcore.protocol.actions``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Final

from sealcore.protocol.covers import Covers
from workflow.forms.kinds.act import ActKind
from workflow.forms.kinds.documents import DocumentsKind
from workflow.forms.kinds.grant import GrantKind
from workflow.forms.kinds.kind import Application, Kind

KINDS: Final[tuple[Kind, ...]] = (GrantKind(), ActKind(), DocumentsKind())
"""In the order in which a body's members are looked for; the last is meant where no other's member is there."""


def require_distinct(kinds: Iterable[Kind]) -> None:
    """ValueError for two kinds that share a tag, a type of request or a type of covers: one of them would never be found."""
    for one, other in itertools.permutations(kinds, 2):
        if one.tag == other.tag or issubclass(one.request, other.request) or issubclass(one.covers, other.covers):
            raise ValueError(f"{type(one).__name__} and {type(other).__name__} are not told apart by tag, request and covers")


require_distinct(KINDS)


def of_application(application: Application) -> Kind:
    """The kind that an application asks for."""
    return next(kind for kind in KINDS if isinstance(application.asked, kind.request))


def of_covers(covers: Covers) -> Kind:
    """The kind of form whose approval covers this."""
    return next(kind for kind in KINDS if isinstance(covers, kind.covers))
