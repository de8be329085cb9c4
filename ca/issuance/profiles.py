"""Certificate profiles: what each kind of certificate is like, read from ``profiles.toml`` and checked once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final, Literal, Self

from cryptography import x509
from cryptography.x509.oid import NameOID
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from ca.issuance.qc import QcStatements
from ca.issuance.subject import NameRule
from ca.names import Role
from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm
from sealcore.platform.config import Block

KeyUsageBit = Literal["digital_signature", "content_commitment", "key_cert_sign", "crl_sign"]
AttributeName = Literal[
    "country", "organization", "organization_identifier", "common_name", "given_name", "surname", "pseudonym", "serial_number"
]

ATTRIBUTES: Final[Mapping[AttributeName, x509.ObjectIdentifier]] = MappingProxyType(
    {  # in the order in which a subject lists them
        "country": NameOID.COUNTRY_NAME,
        "organization": NameOID.ORGANIZATION_NAME,
        "organization_identifier": NameOID.ORGANIZATION_IDENTIFIER,
        "surname": NameOID.SURNAME,
        "given_name": NameOID.GIVEN_NAME,
        "pseudonym": NameOID.PSEUDONYM,
        "serial_number": NameOID.SERIAL_NUMBER,
        "common_name": NameOID.COMMON_NAME,
    }
)

BY_ACT: Final = "act"  # among a profile's callers: an approved act, which is no caller's own word
SERVICE_DAYS_LIMIT: Final = 30  # docs/protocol.md, "Keys and trust": mTLS keys are files, so they must not live long


class SubjectRules(Block):
    """Where each attribute of the subject comes from, and what a request may ask for in it."""

    office: tuple[AttributeName, ...] = ()
    required: tuple[AttributeName, ...] = ()
    allowed: tuple[AttributeName, ...] = ()
    one_of: tuple[AttributeName, ...] = ()
    rules: dict[AttributeName, NameRule] = Field(default_factory=dict)

    def rule(self, name: AttributeName) -> NameRule:
        """The rule of an attribute; where the profile has none, the lengths of RFC 5280 alone."""
        return self.rules.get(name, NameRule())


class Authority(Block):
    """basicConstraints of a CA. ``certified_as``: a cross certificate, for a key certified under that profile already."""

    path_length: int | None = Field(default=None, ge=0, le=1)
    certified_as: Literal["root", "issuing"] | None = None


class DeclaredKeys(Block):
    """The keys that a service may have certified: of its token, under labels that begin so, and recorded by the ceremony."""

    token: Literal["signer", "ocsp"]
    labels: str = Field(min_length=1)


class Profile(Block):
    """One kind of certificate; the fields are explained at the top of ``profiles.toml``."""

    issuers: tuple[Role, ...] = Field(min_length=1)
    days: int | None = Field(default=None, ge=1, le=3653)
    private_key_days: int | None = Field(default=None, ge=1)
    algorithms: tuple[Algorithm, ...] = Field(min_length=1)
    key_usage: tuple[KeyUsageBit, ...] = Field(min_length=1)
    extended_key_usage: tuple[str, ...] = ()
    extended_key_usage_critical: bool = False
    ocsp_no_check: bool = False
    authority: Authority | None = None
    subject: SubjectRules
    uri: str | None = None
    addresses: bool = False
    policies: tuple[str, ...] = ()
    practice_statement: str | None = None
    qc: QcStatements = QcStatements()
    callers: tuple[str, ...] = ()
    keys: DeclaredKeys | None = None
    renewable: bool = False
    etsi: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        signs_certificates = "key_cert_sign" in self.key_usage
        if signs_certificates != (self.authority is not None):
            raise ValueError("key_cert_sign goes with authority (RFC 5280 §4.2.1.3)")
        if self.authority is not None and (self.callers or self.days is not None):
            raise ValueError("CAs are made by the ceremony alone, which also says how long they live")
        if self.authority is None and self.days is None:
            raise ValueError("days are missing")
        if self.private_key_days is not None and self.private_key_days >= (self.days or 0):
            raise ValueError("the private key is used for less long than the certificate lives")
        if self.practice_statement is not None and not self.policies:
            raise ValueError("a practice statement belongs to a policy (RFC 5280 §4.2.1.4)")
        if self.uri is not None and set(self.callers) - {BY_ACT}:
            raise ValueError("an identity is never taken from a request: its certificate comes by the ceremony, an act or renewal")
        if (self.keys is not None) != any(one.startswith("service:") for one in self.callers):
            raise ValueError("a service that may ask has its declared keys certified, and nothing else")
        if "1.3.6.1.5.5.7.3.1" in self.extended_key_usage and (self.days or 0) > SERVICE_DAYS_LIMIT:
            raise ValueError(f"a service's certificate lives at most {SERVICE_DAYS_LIMIT} days")
        return self

    @property
    def name_rules(self) -> list[str]:
        """What may stand in subject and SAN, one phrase each."""
        subject = self.subject
        phrases = [f"{name}: {why}" for why, names in (("the office's", subject.office), ("required", subject.required)) for name in names]
        phrases += [f"{name}: allowed" for name in subject.allowed]
        phrases += [f"one of {', '.join(subject.one_of)}"] if subject.one_of else []
        phrases += [f"{name}: {rule.phrase}" for name, rule in subject.rules.items()]
        phrases += [f"URI {self.uri}…"] if self.uri else []
        return phrases + (["DNS names and IP addresses"] if self.addresses else [])

    @property
    def qualifiers(self) -> list[str | x509.UserNotice] | None:
        """What each policy carries: where the practice statement is (CPSuri)."""
        return [self.practice_statement] if self.practice_statement else None


def load() -> Mapping[str, Profile]:
    """All profiles by name; CONFIGURATION_INVALID when the file contradicts itself."""
    text = resources.files("ca.issuance").joinpath("profiles.toml").read_text("utf-8")
    try:
        return MappingProxyType(TypeAdapter(dict[str, Profile]).validate_python(tomllib.loads(text)))
    except ValidationError as fault:
        first = fault.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise VermilionError(Code.CONFIGURATION_INVALID, f"profiles.toml: {where}: {first['msg']}") from None
