"""qcStatements (RFC 3739 §3.2.6) with the statements of ETSI EN 319 412-5, as a profile declares them."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from asn1crypto import core
from cryptography import x509
from pydantic import Field, model_validator

from sealcore.platform.config import Block

OID: Final = "1.3.6.1.5.5.7.1.3"  # id-pe-qcStatements
_QCS: Final = "0.4.0.1862.1"  # id-etsi-qcs
_TYPES: Final = {"esign": f"{_QCS}.6.1", "eseal": f"{_QCS}.6.2", "web": f"{_QCS}.6.3"}

QcType = Literal["esign", "eseal", "web"]


class _Statement(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("statementId", core.ObjectIdentifier), ("statementInfo", core.Any, {"optional": True})]


class _Statements(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _Statement


class _Types(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.ObjectIdentifier


class _PdsLocation(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("url", core.IA5String), ("language", core.PrintableString)]


class _PdsLocations(core.SequenceOf):  # type: ignore[misc]
    _child_spec = _PdsLocation


class _MonetaryValue(core.Sequence):  # type: ignore[misc]
    _fields: ClassVar = [("currency", core.PrintableString), ("amount", core.Integer), ("exponent", core.Integer)]


class _Countries(core.SequenceOf):  # type: ignore[misc]
    _child_spec = core.PrintableString


class DisclosureStatement(Block):
    """Where a PKI disclosure statement is, and its language (ISO 639-1)."""

    url: str = Field(pattern=r"^https://[!-~]{1,255}$")
    language: str = Field(pattern=r"^[a-z]{2}$")


class Limit(Block):
    """The largest transaction: amount · 10^exponent of a currency (ISO 4217)."""

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    amount: int = Field(ge=0)
    exponent: int = Field(ge=0, le=12)


class QcStatements(Block):
    """What the issuer declares; each statement is in the certificate only if the profile makes it.

    compliance       QcCompliance: a qualified certificate under Regulation (EU) 910/2014 (EN 319 412-5 §4.2.1)
    sscd             QcSSCD: the key lies in a qualified signature or seal creation device (§4.2.2)
    type             QcType: for signatures, seals or web sites (§4.2.3)
    legislation      QcCClegislation: qualified under the law of these countries, ISO 3166-1 (§4.2.4)
    limit            QcLimitValue (§4.3.2)
    retention_years  QcRetentionPeriod: how long the registration's records are kept (§4.3.3)
    disclosure       QcPDS (§4.3.4)
    """

    compliance: bool = False
    sscd: bool = False
    type: QcType | None = None
    legislation: tuple[str, ...] = ()
    limit: Limit | None = None
    retention_years: int | None = Field(default=None, ge=1, le=100)
    disclosure: tuple[DisclosureStatement, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(len(country) != 2 or not country.isascii() or not country.isupper() for country in self.legislation):
            raise ValueError("legislation names countries by two capital letters")
        if self.compliance and self.legislation:
            raise ValueError("compliance says Regulation (EU) 910/2014; legislation says another law (EN 319 412-5 §4.2.4)")
        if self.compliance and not any(one.language == "en" for one in self.disclosure):
            raise ValueError("compliance takes a disclosure statement in English (EN 319 412-5 §4.3.4)")
        if self.compliance and self.type is None:
            raise ValueError("compliance takes a type (EN 319 412-5 §4.2.3)")
        if self.sscd and not (self.compliance or self.legislation):
            raise ValueError("a device is qualified only under the law that compliance or legislation names")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The statements made, by their names in EN 319 412-5."""
        made = {
            "QcCompliance": self.compliance, "QcLimitValue": self.limit, "QcRetentionPeriod": self.retention_years,
            "QcSSCD": self.sscd, "QcPDS": self.disclosure, f"QcType {self.type}": self.type, "QcCClegislation": self.legislation,
        }  # fmt: skip
        return tuple(name for name, value in made.items() if value)

    def extension(self) -> x509.UnrecognizedExtension | None:
        """The extension, never critical; None where nothing is stated."""
        made: list[tuple[int, core.Asn1Value | None]] = []
        if self.compliance:
            made.append((1, None))
        if self.limit is not None:
            made.append((2, _MonetaryValue(self.limit.model_dump())))
        if self.retention_years is not None:
            made.append((3, core.Integer(self.retention_years)))
        if self.sscd:
            made.append((4, None))
        if self.disclosure:
            made.append((5, _PdsLocations([one.model_dump() for one in self.disclosure])))
        if self.type is not None:
            made.append((6, _Types([_TYPES[self.type]])))
        if self.legislation:
            made.append((7, _Countries(list(self.legislation))))
        if not made:
            return None
        statements = [{"statementId": f"{_QCS}.{number}", **({"statementInfo": info} if info is not None else {})} for number, info in made]
        return x509.UnrecognizedExtension(x509.ObjectIdentifier(OID), _Statements(statements).dump())
