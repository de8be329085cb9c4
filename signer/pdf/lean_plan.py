"""A plan as the compiled writer takes it. Importable only where the core is built (``sealcore.compiled``)."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from sealcore.compiled import core
from signer.pdf.marks import impressions
from signer.pdf.plan import ContentPolicy, Plan


def lean_plan(plan: Plan) -> core.Plan:
    """The same plan; ValueError where one of its pictures is odd, which leaves the document to the sandbox."""
    placement = plan.placement
    texts = placement.texts
    names = list(dict.fromkeys(mark.picture_sha256 for mark in placement.marks))
    marks = [
        (mark.page, mark.rectangle.as_list(), names.index(mark.picture_sha256), mark.slice.number, mark.slice.of)
        for mark in (impressions(placement.marks) if placement.marks else ())
    ]
    return core.Plan(
        plan.field_name,
        _times(plan.signing_time),
        marks,
        [_picture(plan.pictures[name]) for name in names],
        (texts.name, texts.reason, texts.location, texts.contact),
        int(placement.certification),
        None if plan.bound is None else int(plan.bound),
        plan.hole_size_bytes,
        plan.content_policy is ContentPolicy.STRICT,
        plan.writer_version,
        plan.owner_name,
    )


@lru_cache(maxsize=256)  # all documents of a batch have one signing time
def _times(signing_time: datetime) -> tuple[str, str]:
    """As PDF date (ISO 32000-2 §7.9.4), and as the identifier of the file takes it."""
    return signing_time.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'"), signing_time.isoformat()


@lru_cache(maxsize=64)
def _picture(source: bytes) -> core.Picture:
    return core.Picture(source)
