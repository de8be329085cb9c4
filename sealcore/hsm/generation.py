"""Making a key pair in the token, and reading back that the token keeps it as it was asked to."""

from __future__ import annotations

import secrets
from typing import Any, Final

import pkcs11

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import RSA_BITS, Algorithm
from sealcore.hsm.keys import EC_PARAMS

_PUBLIC_EXPONENT: Final = (65537).to_bytes(3)

# What a private key of the office must be. `local` and the two `never`/`always` are the token's own word that the key was
# made inside and has not been otherwise since; they are read back, not set.
_PRIVATE: Final = {
    pkcs11.Attribute.TOKEN: True,
    pkcs11.Attribute.PRIVATE: True,
    pkcs11.Attribute.SENSITIVE: True,
    pkcs11.Attribute.EXTRACTABLE: False,
    pkcs11.Attribute.MODIFIABLE: False,
    pkcs11.Attribute.SIGN: True,
    pkcs11.Attribute.SIGN_RECOVER: False,
    pkcs11.Attribute.DECRYPT: False,
    pkcs11.Attribute.UNWRAP: False,
    pkcs11.Attribute.DERIVE: False,
}
_READ_BACK: Final = {
    **_PRIVATE,
    pkcs11.Attribute.LOCAL: True,
    pkcs11.Attribute.NEVER_EXTRACTABLE: True,
    pkcs11.Attribute.ALWAYS_SENSITIVE: True,
}
_PUBLIC: Final = {
    pkcs11.Attribute.TOKEN: True,
    pkcs11.Attribute.PRIVATE: False,
    pkcs11.Attribute.MODIFIABLE: False,
    pkcs11.Attribute.VERIFY: True,
    pkcs11.Attribute.VERIFY_RECOVER: False,
    pkcs11.Attribute.ENCRYPT: False,
    pkcs11.Attribute.WRAP: False,
}


def generate_pair(session: pkcs11.Session, label: str, algorithm: Algorithm) -> None:
    """Makes the pair under a new random CKA_ID; a pair that the token keeps otherwise than asked is destroyed again."""
    public_template: dict[pkcs11.Attribute, Any] = {**_PUBLIC}
    if algorithm.is_rsa:
        kind = pkcs11.KeyType.RSA
        public_template[pkcs11.Attribute.PUBLIC_EXPONENT] = _PUBLIC_EXPONENT
    else:
        kind = pkcs11.KeyType.EC_EDWARDS if algorithm is Algorithm.ED25519 else pkcs11.KeyType.EC
        public_template[pkcs11.Attribute.EC_PARAMS] = EC_PARAMS[algorithm]
    public, private = session.generate_keypair(
        kind,
        key_length=RSA_BITS.get(algorithm),
        id=secrets.token_bytes(16),
        label=label,
        store=True,
        capabilities=pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY,
        public_template=public_template,
        private_template={**_PRIVATE},
    )
    try:
        _read_back(private)
    # A key that may be copied out is worse than none: somebody would certify it.
    except BaseException:
        private.destroy()
        public.destroy()
        raise


def _read_back(private: pkcs11.PrivateKey) -> None:
    wrong = [name.name for name, value in _READ_BACK.items() if bool(private[name]) is not value]
    if wrong:
        raise VermilionError(Code.HSM_UNAVAILABLE, f"the token does not keep a key as asked ({', '.join(wrong)}); it was destroyed")
