"""The kinds of forms, one module each. A new kind is a module here and an entry of ``KINDS``; nothing else lists them.

Who carries acts out is in ``performers``; which actions there are, in ``sealcore.protocol.actions``.
"""

from __future__ import annotations

from typing import Final

from sealcore.protocol.covers import Covers
from workflow.forms.kinds.act import ActKind
from workflow.forms.kinds.documents import DocumentsKind
from workflow.forms.kinds.grant import GrantKind
from workflow.forms.kinds.kind import Application, Kind

KINDS: Final[tuple[Kind, ...]] = (GrantKind(), ActKind(), DocumentsKind())
"""In the order in which a body's members are looked for; the last is meant where no other's member is there."""


def of_application(application: Application) -> Kind:
    """The kind that an application asks for."""
    return next(kind for kind in KINDS if isinstance(application.asked, kind.request))


def of_covers(covers: Covers) -> Kind:
    """The kind of form whose approval covers this."""
    return next(kind for kind in KINDS if isinstance(covers, kind.covers))
