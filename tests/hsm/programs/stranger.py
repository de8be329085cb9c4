"""Someone who has the PIN and python-pkcs11, but none of our code, tries to get a private key out of the token.

Arguments: module, configuration, token label, PIN file, key label. Prints one JSON object {attempt: how the token answered}.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

module, configuration, token_label, pin_file, key_label = sys.argv[1:]
os.environ["SOFTHSM2_CONF"] = configuration

import pkcs11  # noqa: E402
from pkcs11 import Attribute, KeyType, MechanismFlag, ObjectClass  # noqa: E402

token = pkcs11.lib(module).get_token(token_label=token_label)
session = token.open(rw=True, user_pin=Path(pin_file).read_text().strip())
key = session.get_key(label=key_label, object_class=ObjectClass.PRIVATE_KEY)
wrapping: Any = session.generate_key(KeyType.AES, 256, capabilities=MechanismFlag.WRAP | MechanismFlag.ENCRYPT)


def answer(attempt: Callable[[], object]) -> str:
    try:
        return f"got {attempt()!r}"
    except pkcs11.PKCS11Error as fault:
        return type(fault).__name__


SECRET = (Attribute.VALUE, Attribute.PRIVATE_EXPONENT, Attribute.PRIME_1, Attribute.PRIME_2, Attribute.EXPONENT_1, Attribute.COEFFICIENT)
answers = {f"read {name.name}": answer(partial(key.__getitem__, name)) for name in SECRET}
answers["wrap"] = answer(lambda: wrapping.wrap_key(key))
answers["make extractable"] = answer(lambda: key.__setitem__(Attribute.EXTRACTABLE, True))
answers["make readable"] = answer(lambda: key.__setitem__(Attribute.SENSITIVE, False))
answers["rename"] = answer(lambda: key.__setitem__(Attribute.LABEL, "mine"))
answers["copy extractable"] = answer(lambda: key.copy({Attribute.EXTRACTABLE: True, Attribute.SENSITIVE: False}))
print(json.dumps(answers))
