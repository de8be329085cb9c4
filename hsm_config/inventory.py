"""The declared inventory of keys, and how the content of a token compares with it. Pure: opens no token."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from sealcore.errors import Code, VermilionError
from sealcore.hsm.algorithm import Algorithm

INVENTORY_FILE: Final = Path(__file__).with_name("inventory.toml")

Row = TypeVar("Row", bound="Declaration")


@dataclass(frozen=True)
class Declaration:
    """What is declared about a key or a family of keys. A key is replaced by a successor ``rotation_days`` after it was generated."""

    token: str
    algorithm: Algorithm
    purpose: str
    rotation_days: int
    owner: str

    def __post_init__(self) -> None:
        if not (self.token and self.purpose and self.owner):
            raise ValueError("token, purpose and owner must not be empty")
        if self.rotation_days < 1:
            raise ValueError("rotation_days must be at least 1")


@dataclass(frozen=True)
class DeclaredKey(Declaration):
    """One key, by its label."""

    label: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.label:
            raise ValueError("label must not be empty")


@dataclass(frozen=True)
class DeclaredPattern(Declaration):
    """Keys that come and go, such as those of seals. ``label_pattern`` is a regular expression that must match the whole label."""

    label_pattern: str

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            re.compile(self.label_pattern)
        except re.error as fault:
            raise ValueError(f"label_pattern: {fault}") from None

    def matches(self, label: str) -> bool:
        """Whether a key with this label belongs to the family."""
        return re.fullmatch(self.label_pattern, label) is not None


@dataclass(frozen=True)
class FoundKey:
    """A key, as the token that holds it describes it."""

    label: str
    algorithm: Algorithm
    extractable: bool
    sensitive: bool


@dataclass(frozen=True)
class Comparison:
    """How a token differs from its declaration. ``deviating`` keys are declared, but have another algorithm or could leave the token."""

    missing: tuple[DeclaredKey, ...]
    undeclared: tuple[str, ...]
    deviating: tuple[str, ...]


@dataclass(frozen=True)
class Inventory:
    """All declared keys. A label may be declared only once for a token."""

    keys: tuple[DeclaredKey, ...]
    patterns: tuple[DeclaredPattern, ...]

    def __post_init__(self) -> None:
        seen: set[tuple[str, str]] = set()
        for key in self.keys:
            if (key.token, key.label) in seen:
                raise ValueError(f"{key.label} is declared twice in {key.token}")
            seen.add((key.token, key.label))

    @property
    def tokens(self) -> tuple[str, ...]:
        """The names of all tokens, in the order of the file."""
        return tuple(dict.fromkeys(declaration.token for declaration in (*self.keys, *self.patterns)))

    def keys_of(self, token: str) -> tuple[DeclaredKey, ...]:
        """The keys that a token must hold; raises NOT_FOUND for a token that is not declared."""
        if token not in self.tokens:
            raise VermilionError(Code.NOT_FOUND, f"the inventory declares no token {token}; it has {', '.join(self.tokens)}")
        return tuple(key for key in self.keys if key.token == token)

    def declaration(self, token: str, label: str) -> DeclaredKey | DeclaredPattern | None:
        """The declaration for this label in this token, if there is one."""
        for key in self.keys_of(token):
            if key.label == label:
                return key
        return next((pattern for pattern in self.patterns if pattern.token == token and pattern.matches(label)), None)

    def compare(self, token: str, found: Iterable[FoundKey]) -> Comparison:
        """Compares the keys declared for ``token`` with those found in it: missing, undeclared, and deviating ones."""
        labels: set[str] = set()
        undeclared: list[str] = []
        deviating: list[str] = []
        for key in found:
            declared = self.declaration(token, key.label)
            if declared is None or key.label in labels:
                undeclared.append(key.label)  # a second key with a declared label is undeclared like any other
            elif key.algorithm is not declared.algorithm or key.extractable or not key.sensitive:
                deviating.append(key.label)
            labels.add(key.label)
        missing = tuple(key for key in self.keys_of(token) if key.label not in labels)
        return Comparison(missing, tuple(undeclared), tuple(deviating))


def load(path: Path = INVENTORY_FILE) -> Inventory:
    """Reads an inventory. Raises CONFIGURATION_INVALID, naming the wrong entry."""
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name} cannot be read: {fault}") from None
    unknown = set(content) - {"key", "pattern"}
    if unknown:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name}: unknown table {sorted(unknown)[0]}")
    keys = tuple(_declared(DeclaredKey, row, path) for row in content.get("key", []))
    patterns = tuple(_declared(DeclaredPattern, row, path) for row in content.get("pattern", []))
    try:
        return Inventory(keys, patterns)
    except ValueError as fault:
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name}: {fault}") from None


def _declared(kind: type[Row], row: dict[str, Any], path: Path) -> Row:
    name = row.get("label") or row.get("label_pattern") or "an entry without label"
    try:
        return kind(**{**row, "algorithm": Algorithm(row.get("algorithm", ""))})
    except (TypeError, ValueError) as fault:  # a member that is missing, unknown or wrong
        raise VermilionError(Code.CONFIGURATION_INVALID, f"{path.name}: {name}: {fault}") from None
