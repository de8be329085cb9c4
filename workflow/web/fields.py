"""What REST bodies are made of. Times are NumericDates, digests lower hex, other bytes base64url without padding."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from sealcore.errors import Code, VermilionError
from sealcore.protocol.canonical import MOST_INTEGER
from sealcore.protocol.decision import MOST_PERSONS
from sealcore.protocol.leaf import TEXT_CHARACTERS
from sealcore.text import require_name, require_readable
from workflow.directory.model import UNIT_PATTERN

UUID7 = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
UUID7_OR_NOTHING = r"^([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})?$"
SHA256 = r"^[0-9a-f]{64}$"
FORM_NUMBER = r"^[A-Z][A-Z0-9]{0,15}-[0-9]{4}-[0-9]{6,9}$"
SINT32 = 2**31 - 1


class Body(BaseModel):
    """Strict: an unknown member or a number in quotes is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


DECEPTIVE = "text_deceptive"  # pydantic's type of a fault that leaves as TEXT_DECEPTIVE


def _judged(value: str, judge: Callable[[str, str], None]) -> str:
    try:
        judge(value, "it")
    except VermilionError as fault:
        raise PydanticCustomError(DECEPTIVE, "{reason}", {"reason": fault.reason}) from None
    return value


Readable = BeforeValidator(
    lambda value: _judged(value, require_readable) if isinstance(value, str) else value
)  # before the pattern: it names the sign


def _require_title(value: str, what: str) -> None:
    """As free text, and something of it is seen."""
    require_readable(value, what)
    if value and not value.strip():
        raise VermilionError(Code.TEXT_DECEPTIVE, f"{what} is blank")


Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    BeforeValidator(lambda value: _judged(value, _require_title) if isinstance(value, str) else value),
]
Name = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    BeforeValidator(lambda value: _judged(value, require_name) if isinstance(value, str) else value),
]
Reason = Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS), Readable]
FileName = Annotated[str, StringConstraints(min_length=1, max_length=4096), Readable]
Uuid = Annotated[str, StringConstraints(pattern=UUID7)]
UnitCode = Annotated[str, StringConstraints(pattern=UNIT_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=SHA256)]
Salt = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{21}[AQgw]$")]  # 16 bytes
Signature = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=120)]
Time = Annotated[int, Field(ge=0, le=MOST_INTEGER)]
Count = Annotated[int, Field(ge=0)]
Millipoints = Annotated[int, Field(ge=-SINT32, le=SINT32)]
Quorum = Annotated[int, Field(ge=0, le=MOST_PERSONS)]
Base64 = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]+={0,2}$")]
RoleName = Literal["applicant", "approver", "officer", "operator", "auditor"]
State = Literal["applied", "approved", "rejected", "withdrawn", "lapsed"]


def bytes_of(text: str) -> bytes:
    """What base64 stands for; INVALID_ARGUMENT."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise VermilionError(Code.INVALID_ARGUMENT, "a member that holds bytes is not base64") from None


class Problem(BaseModel):
    """RFC 9457 problem details. `code` is stable; `way_out` says what can be done."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    reason: str
    rule: str
    document: str | None
    way_out: str
