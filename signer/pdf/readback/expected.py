"""What an update is to hold, as the compiled account takes it. Importable only where the core is built (``sealcore.compiled``).

Made from the plan by itself: a fault in what the writer makes of the plan must not blind what looks at the result.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from sealcore.compiled import core
from signer.pdf.plan import Plan
from signer.pdf.readback.appearance import looks_of


def expected(plan: Plan) -> core.Expected:
    """The same plan."""
    placement = plan.placement
    texts = placement.texts
    return core.Expected(
        plan.field_name,
        _pdf_date(plan.signing_time),
        [(look.page, look.rectangle.as_list(), look.picture_sha256, look.slice_number, look.slices) for look in looks_of(placement)],
        (texts.name, texts.reason, texts.location, texts.contact),
        int(placement.certification),
        plan.hole_size_bytes,
        plan.writer_version,
        plan.owner_name,
    )


@lru_cache(maxsize=256)  # all documents of a batch have one signing time
def _pdf_date(moment: datetime) -> str:
    """ISO 32000-2 §7.9.4, in UTC."""
    return moment.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
