"""Someone who signs with python-pkcs11 alone. Arguments: module, configuration, token label, PIN file, key label. Prints "signed"."""

import os
import sys
from pathlib import Path
from typing import Any

module, configuration, token_label, pin_file, key_label = sys.argv[1:]
os.environ["SOFTHSM2_CONF"] = configuration

import pkcs11  # noqa: E402

session = pkcs11.lib(module).get_token(token_label=token_label).open(user_pin=Path(pin_file).read_text().strip())
key: Any = session.get_key(label=key_label, object_class=pkcs11.ObjectClass.PRIVATE_KEY)
key.sign(b"d" * 32, mechanism=pkcs11.Mechanism.ECDSA)
print("signed")
