"""Certificate paths in bounded work, whatever certificates a stranger brings along.

The path builder of pyhanko-certvalidator tries every way: of n certificates that have issued each other it walks through (n - 1)! of
them. This one looks at each certificate once, follows only issuers whose key made the signature, walks only towards trust anchors, and
offers few paths, the shortest first. Which of them is good (RFC 5280 §6.1) stays the validator's to say.
"""

# mypy: disallow-untyped-calls=False
from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.authority import AuthorityWithCert, TrustAnchor
from pyhanko_certvalidator.errors import PathBuildingError
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.registry import PathBuilder
from pyhanko_certvalidator.util import CancelableAsyncIterator

from sealcore.unreadable import UNREADABLE

MOST_CERTIFICATES: Final = (
    64  # that may lie between a certificate and the anchors; real ones have three at most, cross certificates some more
)
MOST_INTERMEDIATES: Final = 8  # in one path
MOST_PATHS: Final = 16  # that are offered; each costs its validation
MOST_CHECKS: Final = 1024  # of signatures, for one certificate's paths
MOST_STEPS: Final = 20_000  # of the walk
MOST_SUBTREES: Final = 128  # of name constraints in one issuer; each is held against each name of the certificate
MOST_KEY_BITS: Final = 8192  # of an issuer's RSA key: what it costs to verify grows with the square


class BoundedPathBuilder(PathBuilder):
    """A path builder whose work is bounded. Like the one it stands for, it belongs to one thread."""

    def async_build_paths_lazy(self, end_entity_cert: asn1.Certificate) -> CancelableAsyncIterator[ValidationPath]:
        """The paths to trust anchors that are offered, shortest first; PathBuildingError where there is none."""
        return _Offered(self._paths(end_entity_cert))

    def _paths(self, leaf: asn1.Certificate) -> Iterator[ValidationPath]:
        anchor = self.trust_manager.as_trust_anchor(AuthorityWithCert(leaf))
        if anchor:
            yield ValidationPath(anchor, [], None)
            return
        graph = _Graph(self, leaf)
        offered = 0
        for chain, root in graph.walks():
            yield ValidationPath(root, list(reversed(chain[1:])), leaf)
            offered += 1
            if offered == MOST_PATHS:
                return
        if not offered:
            name = leaf.subject.human_friendly
            raise PathBuildingError(
                f'Too many certificates may have issued "{name}"; the search for a path was broken off'
                if graph.cut
                else f'Unable to build a validation path for the certificate "{name}": none leads to a trust anchor'
            )


def bounded(context: ValidationContext) -> ValidationContext:
    """The same context, whose paths are built in bounded work. What fetches certificates must not use it: nothing is fetched."""
    context.path_builder = BoundedPathBuilder(context.path_builder.trust_manager, context.certificate_registry)
    return context


def is_chain(chain: Sequence[x509.Certificate]) -> bool:
    """Whether each one's key made the signature of the one before it, and is a CA's, but for the first. No more than that: for a path that
    was validated where it could be tampered with.
    """
    try:
        issuers = all(each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for each in chain[1:-1])
    except (*UNREADABLE, x509.ExtensionNotFound):
        return False
    return issuers and all(_signed(below, above, unreadable=False) for below, above in pairwise(chain))


class _Offered(CancelableAsyncIterator[ValidationPath]):
    """What pyhanko-certvalidator expects; nothing in it waits for anything."""

    def __init__(self, paths: Iterator[ValidationPath]) -> None:
        self._paths = paths

    def __aiter__(self) -> _Offered:
        return self

    async def __anext__(self) -> ValidationPath:
        for path in self._paths:
            return path
        raise StopAsyncIteration

    async def cancel(self) -> None:
        self._paths = iter(())


class _Graph:
    """The certificates above one, each once, and who really issued whom. ``cut``: whether a bound was reached and some were left out."""

    def __init__(self, builder: PathBuilder, leaf: asn1.Certificate) -> None:
        self._builder, self._leaf = builder, leaf
        self._read: dict[bytes, x509.Certificate | None] = {}
        self._checks = self._steps = 0
        self.cut = False
        self._issuers: dict[bytes, list[asn1.Certificate]] = {}
        self._anchors: dict[bytes, list[TrustAnchor]] = {}
        self._grow()
        self._distance = self._distances()

    def _grow(self) -> None:
        waiting = deque([self._leaf])
        self._issuers[self._leaf.sha256] = []
        while waiting:
            one = waiting.popleft()
            issuers, anchors = self._issuers[one.sha256], self._anchors.setdefault(one.sha256, [])
            for each in self._builder.registry.find_potential_issuers(one, self._builder.trust_manager):
                if isinstance(each, TrustAnchor):
                    anchors.append(each)
                elif self._issued(each, one):
                    if each.sha256 not in self._issuers:
                        if len(self._issuers) > MOST_CERTIFICATES:
                            self.cut = True
                            continue
                        self._issuers[each.sha256] = []
                        waiting.append(each)
                    issuers.append(each)

    def _issued(self, issuer: asn1.Certificate, one: asn1.Certificate) -> bool:
        """Whether the issuer's key made the signature; what cannot be told is left to the validator."""
        if self._checks >= MOST_CHECKS:
            self.cut = True
            return False
        self._checks += 1
        above, below = self._parsed(issuer), self._parsed(one)
        if above is None or below is None or _subtrees(issuer) > MOST_SUBTREES:
            return False
        return _signed(below, above)

    def _parsed(self, one: asn1.Certificate) -> x509.Certificate | None:
        if one.sha256 not in self._read:
            try:
                self._read[one.sha256] = x509.load_der_x509_certificate(one.dump())
            except UNREADABLE:
                self._read[one.sha256] = None
        return self._read[one.sha256]

    def _distances(self) -> dict[bytes, int]:
        """How many certificates lie between each one and the nearest anchor; who leads to none is not in it."""
        below: dict[bytes, list[bytes]] = {}
        for name, issuers in self._issuers.items():
            for each in issuers:
                below.setdefault(each.sha256, []).append(name)
        distances = {name: 0 for name, anchors in self._anchors.items() if anchors}
        waiting = deque(distances)
        while waiting:
            name = waiting.popleft()
            for each in below.get(name, ()):
                if each not in distances:
                    distances[each] = distances[name] + 1
                    waiting.append(each)
        return distances

    def walks(self) -> Iterator[tuple[list[asn1.Certificate], TrustAnchor]]:
        """Chains from the certificate upwards, with the anchor above each; shortest first, no certificate twice in one."""
        nearest = self._distance.get(self._leaf.sha256)
        if nearest is None:
            return
        for length in range(nearest, MOST_INTERMEDIATES + 1):
            yield from self._walk([self._leaf], {self._leaf.issuer_serial}, length)

    def _walk(self, chain: list[asn1.Certificate], seen: set[bytes], left: int) -> Iterator[tuple[list[asn1.Certificate], TrustAnchor]]:
        self._steps += 1
        if self._steps > MOST_STEPS:
            self.cut = True
            return
        top = chain[-1].sha256
        if left == 0:
            yield from ((list(chain), anchor) for anchor in self._anchors[top])
            return
        for each in self._issuers[top]:
            if each.issuer_serial not in seen and self._distance.get(each.sha256, left) < left:
                yield from self._walk([*chain, each], {*seen, each.issuer_serial}, left - 1)


def _subtrees(issuer: asn1.Certificate) -> int:
    try:
        constraints: Any = issuer.name_constraints_value
        return 0 if constraints is None else sum(len(constraints[part]) for part in ("permitted_subtrees", "excluded_subtrees"))
    except UNREADABLE:
        return 0  # the validator reads it, and refuses it


def _signed(one: Any, issuer: x509.Certificate, *, unreadable: bool = True) -> bool:
    try:
        key: Any = issuer.public_key()
        how = one.signature_algorithm_parameters
        if isinstance(key, rsa.RSAPublicKey):
            if key.key_size > MOST_KEY_BITS:
                return False
            key.verify(one.signature, one.tbs_certificate_bytes, how, one.signature_hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(one.signature, one.tbs_certificate_bytes, how)
        elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
            key.verify(one.signature, one.tbs_certificate_bytes)
        else:
            return unreadable
    except InvalidSignature:
        return False
    except UNREADABLE:
        return unreadable
    return True
