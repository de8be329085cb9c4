"""Generates exactly the declared keys of one token: ``python -m hsm_config.keygen --token NAME --settings FILE``.

Prints ``{label: base64 of SubjectPublicKeyInfo}`` of all keys in the token and exits with 0. A second run generates nothing and
prints the same. If the token holds a key that is undeclared or differs from its declaration, nothing is generated: exit status 1, and the
error as JSON on standard error. Each token needs a run, and so a process, of its own.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hsm_config.inventory import INVENTORY_FILE, DeclaredKey, FoundKey, Inventory, load
from sealcore.errors import Code, VermilionError
from sealcore.hsm.token import Algorithm, Token, TokenKey
from sealcore.platform.config import TokenSettings
from sealcore.platform.config import load as load_settings


def make_declared(token: Token, name: str, inventory: Inventory) -> list[TokenKey]:
    """Generates the missing keys and returns all keys of the token. CONFLICT if it holds a key that is not as declared."""
    for key in check(token, name, inventory):
        _ensure(token, key.label, key.algorithm)
    left = check(token, name, inventory)
    if left:
        raise VermilionError(Code.HSM_KEY_MISSING, f"{left[0].label} is not in the token {name} after it was made")
    return token.keys()


def add(token: Token, name: str, label: str, inventory: Inventory) -> list[TokenKey]:
    """Generates the key ``label``, which a declared pattern must allow, unless it exists; PERMISSION_DENIED for any other label."""
    check(token, name, inventory)
    declared = inventory.declaration(name, label)
    if declared is None:
        raise VermilionError(Code.PERMISSION_DENIED, f"the inventory declares no key {label} in the token {name}")
    _ensure(token, label, declared.algorithm)
    return token.keys()


def verify(token: Token, name: str, inventory: Inventory) -> list[TokenKey]:
    """Generates nothing. HSM_KEY_MISSING if a declared key is missing, CONFLICT if the token holds a key that is not as declared."""
    missing = [key.label for key in check(token, name, inventory)]
    if missing:
        raise VermilionError(Code.HSM_KEY_MISSING, f"the token {name} lacks {', '.join(missing)}")
    return token.keys()


def check(token: Token, name: str, inventory: Inventory) -> Sequence[DeclaredKey]:
    """The declared keys that are missing. CONFLICT names those that are undeclared or not as declared."""
    held = token.found()
    comparison = inventory.compare(name, [FoundKey(key.label, key.algorithm, key.extractable, key.sensitive) for key in held.keys])
    undeclared = [*comparison.undeclared, *(f"{key.label} ({key.described})" for key in held.foreign)]
    if undeclared:
        raise VermilionError(Code.CONFLICT, f"the token {name} holds undeclared keys: {', '.join(undeclared)}")
    if comparison.deviating:
        raise VermilionError(Code.CONFLICT, f"keys of the token {name} are not as declared: {', '.join(comparison.deviating)}")
    return comparison.missing


def _ensure(token: Token, label: str, algorithm: Algorithm) -> None:
    try:
        token.generate(label, algorithm)
    except VermilionError as fault:
        if fault.code is not Code.CONFLICT:  # another run has generated it meanwhile, which is just as well
            raise


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hsm_config.keygen", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--token", required=True, metavar="NAME", help="the token as the inventory names it")
    parser.add_argument("--settings", required=True, type=Path, metavar="FILE", help="TOML of the token's settings (token.toml)")
    parser.add_argument("--inventory", type=Path, default=INVENTORY_FILE, metavar="FILE", help="another inventory than the office's")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--check", action="store_true", help="make nothing; fail if a declared key is missing")
    only.add_argument("--add", metavar="LABEL", help="make one key that a declared pattern allows")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit status."""
    given = _arguments(arguments)
    try:
        inventory = load(given.inventory)
        inventory.keys_of(given.token)  # an unknown token is refused before any is opened
        with Token.open(load_settings(given.settings, TokenSettings)) as token:
            if given.check:
                keys = verify(token, given.token, inventory)
            elif given.add is not None:
                keys = add(token, given.token, given.add, inventory)
            else:
                keys = make_declared(token, given.token, inventory)
    except VermilionError as fault:
        sys.stderr.write(json.dumps(fault.as_dict(), ensure_ascii=False) + "\n")
        return 1
    sys.stdout.write(json.dumps({key.label: base64.b64encode(key.spki_der).decode("ascii") for key in keys}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
