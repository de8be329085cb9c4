"""What stands in paths and queries."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from sealcore.protocol.canonical import MOST_INTEGER
from workflow.directory.model import UNIT_PATTERN
from workflow.web import fields

MOST_PER_PAGE = 200

Number = Annotated[str, Path(pattern=fields.FORM_NUMBER, max_length=40, description="A form's number.")]
Id = Annotated[str, Path(pattern=fields.UUID7, description="A UUIDv7.")]
Digest = Annotated[str, Path(pattern=fields.SHA256, description="The lower hex of a SHA-256.")]
UnitCode = Annotated[str, Path(pattern=UNIT_PATTERN, max_length=16, description="A unit's code.")]
Limit = Annotated[int, Query(ge=1, le=MOST_PER_PAGE, description="Most entries of a page.")]
Row = Annotated[int, Query(ge=0, le=MOST_INTEGER, description="`next` of the page before.")]
RowId = Annotated[int, Path(ge=1, le=MOST_INTEGER, description="The refusal's id.")]
After = Annotated[str, Query(pattern=fields.UUID7_OR_NOTHING, description="`next` of the page before.")]
