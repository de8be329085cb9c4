"""Public keys whose secret can be found from them. Size, exponent and curve are judged elsewhere (``sealcore.hsm.algorithm``).

A point that is not on its curve never gets here: ``cryptography`` refuses to load it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

SMALL_PRIMES_BELOW: Final = 1 << 16
FERMAT_ROUNDS: Final = 1000  # finds primes that differ in their lower half or less; sound generators never come near
_ROCA_PRIMES: Final = 39  # the primes up to 167: what the fingerprint of CVE-2017-15361 is taken over
_ROCA_GENERATOR: Final = 65537


def weakness(key: PublicKeyTypes) -> str | None:
    """How the key can be broken, as a phrase; None where none of the known ways works."""
    if not isinstance(key, rsa.RSAPublicKey):
        return None
    modulus = key.public_numbers().n
    if math.gcd(modulus, _product_of_small_primes()) != 1:
        return "its modulus has a small factor"
    if _primes_are_close(modulus):
        return "its two primes lie close together (Fermat)"
    if _is_roca(modulus):
        return "it comes from the faulty generator of CVE-2017-15361 (ROCA)"
    return None


def _primes_are_close(modulus: int) -> bool:
    """Fermat's factorisation, for a bounded number of rounds."""
    middle = math.isqrt(modulus)
    if middle * middle == modulus:
        return True
    for candidate in range(middle + 1, middle + 1 + FERMAT_ROUNDS):
        rest = candidate * candidate - modulus
        root = math.isqrt(rest)
        if root * root == rest:
            return True
    return False


def _is_roca(modulus: int) -> bool:
    """Whether the modulus is a power of 65537 modulo every small prime, as all of that generator's are."""
    return all(modulus % prime in powers for prime, powers in _roca_powers())


@lru_cache(maxsize=1)
def _roca_powers() -> tuple[tuple[int, frozenset[int]], ...]:
    found = []
    for prime in _small_primes()[1:_ROCA_PRIMES]:  # 2 tells nothing: every modulus is odd
        powers, power = set(), 1
        while power not in powers:
            powers.add(power)
            power = power * _ROCA_GENERATOR % prime
        found.append((prime, frozenset(powers)))
    return tuple(found)


@lru_cache(maxsize=1)
def _small_primes() -> tuple[int, ...]:
    sieve = bytearray([1]) * SMALL_PRIMES_BELOW
    sieve[:2] = b"\0\0"
    for number in range(2, math.isqrt(SMALL_PRIMES_BELOW) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, SMALL_PRIMES_BELOW, number)))
    return tuple(number for number, is_prime in enumerate(sieve) if is_prime)


@lru_cache(maxsize=1)
def _product_of_small_primes() -> int:
    return math.prod(_small_primes())
