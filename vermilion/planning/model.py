"""What a plan may say, field by field. Its JSON Schema is docs/schemas/office-plan.json.

The description of a field is also what is said to whoever filled it in wrongly, and what is asked in the terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any, Final

from iso3166 import countries_by_alpha2
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from ca.issuance import profiles
from sealcore.errors import VermilionError
from sealcore.protocol.decision import MOST_PERSONS
from sealcore.text import require_name
from signer.pdf.picture import LONGEST_NAME
from signer.register.model import SEAL_KINDS
from timestamp.clock_watch import ClockPolicy
from vermilion.state.office import AddressPlan
from workflow.directory.model import UNIT_PATTERN, Role

COUNTRIES: Final = frozenset(countries_by_alpha2)
ALGORITHMS: Final = tuple(map(str, profiles.load()["seal"].algorithms))
ROLES: Final = tuple(map(str, Role))
KINDS: Final = tuple(sorted(SEAL_KINDS))
UNKNOWN_WORD: Final = "unknown_word"  # the type of a fault about a word that is none of those that there are
UNFIT: Final = "unfit"
SHORT_NAME: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
CLIENT_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
MOST_ORGANIZATION: Final = 64  # RFC 5280 appendix A: ub-organization-name, ub-common-name


def _one_of(words: Collection[str], what: str) -> Callable[[str], str]:
    def judge(value: str) -> str:
        if value not in words:
            raise PydanticCustomError(UNKNOWN_WORD, "{what} {value}", {"what": what, "value": value, "known": sorted(words)})
        return value

    return judge


def _name(value: str) -> str:
    try:
        require_name(value, "it")
    except VermilionError as fault:
        raise PydanticCustomError(UNFIT, "{reason}", {"reason": fault.reason}) from None
    return value


def _said(description: str, /, **more: Any) -> Any:
    return Field(description=description, **more)


def _name_or_nothing(value: str) -> str:
    return _name(value) if value else value


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True), AfterValidator(_name)]
RegisteredName = Annotated[str, StringConstraints(min_length=1, max_length=MOST_ORGANIZATION, strip_whitespace=True), AfterValidator(_name)]
UnitCode = Annotated[str, StringConstraints(pattern=UNIT_PATTERN)]
Persons = Annotated[int, Field(ge=1, le=MOST_PERSONS)]
PersonsOrNone = Annotated[int, Field(ge=0, le=MOST_PERSONS)]
Country = Annotated[str, AfterValidator(_one_of(COUNTRIES, "country"))]
Kind = Annotated[str, AfterValidator(_one_of(KINDS, "kind of seal")), Field(json_schema_extra={"enum": list(KINDS)})]
Algorithm = Annotated[str, AfterValidator(_one_of(ALGORITHMS, "algorithm")), Field(json_schema_extra={"enum": list(ALGORITHMS)})]
RoleName = Annotated[str, AfterValidator(_one_of(ROLES, "role")), Field(json_schema_extra={"enum": list(ROLES)})]
Certification = Annotated[
    str, AfterValidator(_one_of(("final", "form-fill"), "certification")), Field(json_schema_extra={"enum": ["final", "form-fill"]})
]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]


class PlanBlock(BaseModel):
    """Strict: an unknown name or a number in quotes is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Unit(PlanBlock):
    """A part of the organisation."""

    code: UnitCode = _said("1 to 16 capital letters and digits, a letter first; the numbers of the unit's forms begin with it")
    name: Name = _said("what the unit is called")


class Person(PlanBlock):
    """Somebody who applies, approves, stops seals, operates or audits."""

    name: Name = _said("the person's whole name, as no other is called")
    unit: UnitCode | None = _said("the code of the person's unit; the office's own where none is named", default=None)
    roles: list[RoleName] = _said(
        f"one or more of {', '.join(ROLES)}; an operator or auditor has no other role", min_length=1, max_length=5
    )


class Seal(PlanBlock):
    """A seal: its key, what its picture says, how many people it takes."""

    kind: Kind = _said(f"one of {', '.join(KINDS)}")
    algorithm: Algorithm = _said(
        f"of the seal's key: one of {', '.join(ALGORITHMS)}; p-256 is fastest, rsa-3072 is read most widely and long"
    )
    quorum: PersonsOrNone = _said(
        f"how many people approve a document, beside who applies: 0 to {MOST_PERSONS}; 0 lets the workflow alone approve, which shows everywhere"
    )
    resume_quorum: Persons | None = _said(
        f"how many people let a stopped seal go on, or revoke its certificate: 1 to {MOST_PERSONS}; as many as change the register where it is left out",
        default=None,
    )
    grant_quorum: PersonsOrNone | None = _said(
        "how many people give a standing approval that no template bounds; the larger of quorum and register_quorum where it is left out",
        default=None,
    )
    caption: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_name_or_nothing)] = _said(
        f"what stands below the star of the picture, at most {LONGEST_NAME} characters; may be empty", default="", max_length=LONGEST_NAME
    )
    number: Annotated[str, StringConstraints(strip_whitespace=True)] = _said(
        "what stands along the bottom of the picture, at most 30 characters; may be empty", default="", max_length=LONGEST_NAME // 2
    )
    language: Language | None = _said(
        "which of [names] stands on the ring of the picture; the registered name where it is left out", default=None
    )
    certification: Certification | None = _said(
        "final where documents end with the seal, form-fill where people sign after it; left out, the kind decides", default=None
    )


class Client(PlanBlock):
    """A business system that applies for seals."""

    name: Annotated[str, StringConstraints(pattern=CLIENT_NAME)] = _said(
        "letters, digits, dots, hyphens and underscores; its certificate lies in the folder of this name"
    )
    unit: UnitCode | None = _said("the code of the unit that it belongs to; the office's own where none is named", default=None)
    units: list[UnitCode] = _said("codes of further units that it may apply for", default_factory=list)


class Plan(PlanBlock):
    """An office: who it is, who belongs to it, which seals it has. Identifiers are not in it: the program makes them."""

    name: RegisteredName = _said(f"the registered name, as it stands in certificates: at most {MOST_ORGANIZATION} characters")
    name_english: Name | None = _said(
        "the name in English, for people who cannot read the registered one; the same where it is left out", default=None
    )
    names: dict[Language, RegisteredName] = _said("names in further languages, by language tag (et, zh-Hant)", default_factory=dict)
    country: Country = _said("two capital letters of ISO 3166-1, such as EE or CN")
    registration_number: (
        Annotated[str, StringConstraints(min_length=1, max_length=58, strip_whitespace=True), AfterValidator(_name)] | None
    ) = _said(
        "the number in the country's register of companies, or a whole identifier of ETSI EN 319 412-1 such as VATEE-100931558 or "
        "LEIXG-…; certificates get a local number where it is left out",
        default=None,
    )
    short_name: Annotated[str, StringConstraints(pattern=SHORT_NAME)] = _said(
        "small letters, digits and hyphens; the log of seals is called so for ever"
    )
    unit: UnitCode | None = _said(
        "the code of the unit under which changes of the register are numbered; the first where it is left out", default=None
    )
    register_quorum: Persons = _said(f"how many people change the register (people, seals, rules): 1 to {MOST_PERSONS}", default=2)
    clock: ClockPolicy = _said(
        "require-synchronised stops timestamps while nothing synchronises this machine's clock; trust-machine does not",
        default="require-synchronised",
    )
    addresses: AddressPlan = _said(
        "under which addresses strangers reach the office; 127.0.0.1 where they are left out", default=AddressPlan()
    )
    units: list[Unit] = _said("one or more [[units]]", min_length=1, max_length=200)
    people: list[Person] = _said("one or more [[people]]", min_length=1, max_length=500)
    seals: list[Seal] = _said("one or more [[seals]]", min_length=1, max_length=50)
    clients: list[Client] = _said(
        "business systems as [[clients]]; others come later, by `vermilion clients add`", default_factory=list, max_length=200
    )

    @property
    def office_unit(self) -> str:
        """The code of the office's own unit."""
        return self.unit or self.units[0].code


def organization_identifier(country: str, number: str | None) -> str:
    """The organizationIdentifier of a registration number (ETSI EN 319 412-1 §5.1.4); empty for none."""
    if not number:
        return ""
    return number if is_whole_identifier(number) else f"NTR{country}-{number}"


def is_whole_identifier(number: str) -> bool:
    """Whether the number names its register already: VAT, NTR, PSD or LEI, or two letters and a colon, then a country and a hyphen."""
    scheme, place, rest = number[:3], number[3:5], number[5:]
    local = scheme[:2].isascii() and scheme[:2].isalpha() and scheme[:2].isupper() and scheme[2:] == ":"
    return (scheme in ("VAT", "NTR", "PSD", "LEI") or local) and len(place) == 2 and place.isupper() and rest[:1] == "-" and len(rest) > 1


def schema() -> dict[str, Any]:
    """The JSON Schema of a plan."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Plan of an office", **Plan.model_json_schema()}
