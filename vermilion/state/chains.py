"""Which chains a certificate of ours has: from it over our authorities and their cross certificates to each root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from ca.names import IssuerName, generations
from ca.pki import Hierarchy, is_issued_by
from sealcore.errors import Code, VermilionError


@dataclass(frozen=True)
class Step:
    """One authority of a chain: its name, and who certified it where that is another root than the one that first did."""

    name: str
    certificate: x509.Certificate


@dataclass(frozen=True)
class Chain:
    """From the issuer of the certificate to a root that signed itself."""

    steps: Sequence[Step]

    @property
    def root(self) -> IssuerName:
        """The root that a relying party has to trust."""
        return self.steps[-1].name

    def ends(self, leaf: x509.Certificate) -> datetime:
        """Until when leaf and chain are all valid."""
        return min(one.not_valid_after_utc for one in (leaf, *(step.certificate for step in self.steps)))


def chains(leaf: x509.Certificate, hierarchy: Hierarchy) -> list[Chain]:
    """All chains, the shortest first; none for a certificate that no authority of ours issued."""
    return sorted((Chain(steps) for steps in _upwards(leaf, hierarchy, ())), key=lambda chain: len(chain.steps))


def _upwards(certificate: x509.Certificate, hierarchy: Hierarchy, seen: tuple[IssuerName, ...]) -> Iterator[tuple[Step, ...]]:
    roots = generations("root", hierarchy.authorities)
    for name in hierarchy.authorities:
        if name in seen or not is_issued_by(certificate, hierarchy.authorities[name]):
            continue  # each key once: roots certify each other
        own, *crosses = hierarchy.certificates_of(name)
        if name in roots:
            yield (Step(name, own),)
        for each in crosses if name in roots else (own, *crosses):
            label = name if each is own else _cross_name(name, each, hierarchy)
            for rest in _upwards(each, hierarchy, (*seen, name)):
                yield (Step(label, each), *rest)


def _cross_name(name: IssuerName, certificate: x509.Certificate, hierarchy: Hierarchy) -> str:
    cross = next(cross for cross, each in hierarchy.crosses.items() if each is certificate)
    return f"{name}-by-{cross.issuer}"


def read_certificate(file: Path) -> x509.Certificate:
    """The first certificate of a PEM file, or a DER file; INVALID_ARGUMENT when there is none."""
    try:
        content = file.read_bytes()
        if content.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificates(content)[0]
        return x509.load_der_x509_certificate(content)
    except (OSError, ValueError):
        raise VermilionError(Code.INVALID_ARGUMENT, f"{file.name} holds no certificate") from None
